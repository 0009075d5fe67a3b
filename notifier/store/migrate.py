"""Bringing the schema up to date: one of several starters migrates, the others wait."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import DBAPIError

from notifier.core.errors import Misconfigured
from notifier.settings.sections import DatabaseSettings
from notifier.store.engine import Database, database_url, standalone

HEAD = "0002"
"""The newest revision. A test holds it against the scripts, so that a start whose schema is
current need not load Alembic (10 MB and a tenth of a second). A release adds at most one: that
is how a program knows a schema one release ahead, with which it still works, from a later one."""

_OURS = frozenset({"alembic_version", "confirmed_address"})
_ADVISORY_LOCK = 0x6E6F7469
_POLL_S = 0.5
_NOT_EMPTY = "the database holds other tables and no schema of Notifier; give it one of its own"


@dataclass(frozen=True, slots=True)
class MigrationReport:
    """Revisions before and after; `before` is None for an empty database."""

    before: str | None
    after: str

    @property
    def changed(self) -> bool:
        """Whether anything was done."""
        return self.before != self.after


def migrate(settings: DatabaseSettings, data_dir: Path) -> MigrationReport:
    """Upgrade to HEAD, waiting for another process that is at it. Raises Misconfigured."""
    with (
        _opened(settings, data_dir) as database,
        database.engine.connect() as connection,
        _alone(database, connection),
    ):
        before = current(connection)
        if not _fits(before):
            _upgrade(connection)
        after = current(connection)
        connection.commit()
    return MigrationReport(before, after or HEAD)


def wait_until_current(settings: DatabaseSettings, data_dir: Path) -> None:
    """Wait for somebody else's `notifier migrate`. Raises Misconfigured after `migrate_wait_s`."""
    deadline = time.monotonic() + settings.migrate_wait_s
    with (
        _opened(settings, data_dir) as database,
        database.engine.connect().execution_options(reads=True) as connection,
    ):
        while not _fits(found := current(connection)):
            if time.monotonic() > deadline:
                raise Misconfigured(
                    f"the schema is at revision {found or 'none'}, this program needs {HEAD}: run "
                    "`notifier migrate`, or set NOTIFIER_DATABASE__MIGRATE=auto"
                )
            connection.rollback()
            time.sleep(_POLL_S)


def current(connection: Connection) -> str | None:
    """The revision that the database is at; None for an empty one."""
    tables = inspect(connection).get_table_names()
    if not tables:
        return None
    if not _OURS.issubset(tables):
        raise Misconfigured(_NOT_EMPTY)
    row = connection.execute(text("SELECT version_num FROM alembic_version")).first()
    return None if row is None else str(row[0])


@contextmanager
def _opened(settings: DatabaseSettings, data_dir: Path) -> Iterator[Database]:
    url = database_url(settings, data_dir)
    try:
        with standalone(url, settings) as database:
            yield database
    except (DBAPIError, OSError) as error:
        where = url.database if url.get_backend_name() == "sqlite" else f"{url.host}/{url.database}"
        reason = str(error.orig if isinstance(error, DBAPIError) else error).strip()
        raise Misconfigured(f"the database at {where} cannot be used: {reason}") from error


@contextmanager
def _alone(database: Database, connection: Connection) -> Iterator[None]:
    if database.is_sqlite:
        with database.write_lock():
            yield
        return
    # Ends with the transaction, also when this process dies.
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})
    yield


def _upgrade(connection: Connection) -> None:
    # Alembic is loaded only where there is something to do.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def steps_ahead(found: str | None) -> int:
    """By how many releases a schema is newer than this program's; negative: it is behind."""
    return int(found or 0) - int(HEAD)


def _fits(found: str | None) -> bool:
    """Whether this program works with that schema: its own, or one release ahead of it.

    Raises Misconfigured for a later one.
    """
    ahead = steps_ahead(found)
    if ahead > 1:
        raise Misconfigured(
            f"the schema is at revision {found}, newer than this program's {HEAD}: "
            "start the newer version of Notifier"
        )
    return ahead >= 0
