"""What a database says about its own durability and room."""

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, text

from notifier.settings.sections import DatabaseSettings

WAL_RESET_FIXED: Final = (3, 51, 3)
"""Older SQLite can corrupt a database when two connections write and checkpoint at once; here a
lock of our own is held round every commit and checkpoint."""

_SETTINGS: Final = ("fsync", "full_page_writes", "autovacuum", "max_connections", "server_version")


@dataclass(frozen=True, slots=True)
class ServerReport:
    """A PostgreSQL server. `settings` are its own words; `synchronous_commit` that of our sessions.

    `connections` are open now, of all clients.
    """

    settings: Mapping[str, str]
    major: int
    synchronous_commit: str
    connections: int


def server_report(connection: Connection) -> ServerReport | None:
    """None: it is SQLite."""
    if connection.dialect.name != "postgresql":
        return None
    rows = connection.execute(
        text("SELECT name, setting FROM pg_settings WHERE name = ANY(:names)"),
        {"names": list(_SETTINGS)},
    )
    settings = {row.name: row.setting for row in rows}
    number = connection.execute(text("SHOW server_version_num")).scalar_one()
    commit = connection.execute(text("SHOW synchronous_commit")).scalar_one()
    backends = text("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'")
    count = connection.execute(backends).scalar_one()
    return ServerReport(settings, int(number) // 10_000, str(commit), int(count))


def sqlite_version() -> tuple[int, ...]:
    """Of the library that this process uses."""
    return sqlite3.sqlite_version_info


def connections_of_a_process(settings: DatabaseSettings) -> int:
    """How many connections a service makes at most."""
    return settings.readers + settings.writers
