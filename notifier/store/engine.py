"""Opening a database: the URL, the engine, and what each of the two needs to be durable."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError

from notifier.core.errors import Misconfigured
from notifier.settings.sections import DatabaseSettings
from notifier.store.file_lock import FileLock

CHECKPOINT_BYTES = 4 * 1024 * 1024
"""WAL size from which the writer checkpoints after a commit: 1,000 pages of 4 kB, as SQLite's
own default, which is switched off here (`wal_autocheckpoint=0`)."""


@dataclass(frozen=True, slots=True)
class Database:
    """An opened database.

    `write_lock()` is held round every write transaction; on PostgreSQL it does nothing.
    `after_commit` runs with the writer's connection and under that lock.
    """

    engine: Engine
    is_sqlite: bool
    path: Path | None
    write_lock: Callable[[], AbstractContextManager[None]]
    after_commit: Callable[[Connection], None]
    close: Callable[[], None]


@contextmanager
def writing(database: Database) -> Iterator[Connection]:
    """One write transaction outside a running service's group commit."""
    with database.write_lock(), database.engine.begin() as connection:
        yield connection


def database_url(settings: DatabaseSettings, data_dir: Path) -> URL:
    """The URL in SQLAlchemy's form. Raises Misconfigured, without echoing a password."""
    if settings.url is None:
        return URL.create("sqlite", database=str(data_dir / "notifier.db"))
    try:
        url = make_url(settings.url.get_secret_value())
    except ArgumentError:
        raise Misconfigured("NOTIFIER_DATABASE__URL is not a database URL") from None
    backend = url.get_backend_name()
    if backend in {"postgresql", "postgres"}:
        return url.set(drivername="postgresql+psycopg")
    if backend != "sqlite" or not url.database:
        raise Misconfigured(
            "NOTIFIER_DATABASE__URL must be sqlite:///<file> or postgresql://user@host/name"
        )
    return url


def open_database(url: URL, settings: DatabaseSettings) -> Database:
    """An engine for `url`; no connection is made yet."""
    if url.get_backend_name() == "sqlite":
        return _open_sqlite(url, settings)
    return _open_postgresql(url, settings)


def _open_sqlite(url: URL, settings: DatabaseSettings) -> Database:
    path = Path(str(url.database)).absolute()
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path.with_name(path.name + ".lock"))
    engine = create_engine(
        url,
        connect_args={
            "isolation_level": None,
            "check_same_thread": False,
            "timeout": settings.lock_timeout_s,
        },
        pool_size=settings.readers + 1,
        max_overflow=0,
    )
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    wal = path.with_name(path.name + "-wal")

    def checkpoint(connection: Connection) -> None:
        # A checkpoint that fails costs nothing but a longer WAL; the commit before it stands.
        with suppress(OSError, sqlite3.OperationalError):
            if wal.stat().st_size > CHECKPOINT_BYTES:
                _driver(connection).execute("PRAGMA wal_checkpoint(PASSIVE)")

    def close() -> None:
        # The last connection to close checkpoints, which is why it needs the lock too.
        with lock.hold():
            engine.dispose()
        lock.close()

    return Database(engine, True, path, lock.hold, checkpoint, close)


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "wal_autocheckpoint=0",
        "secure_delete=ON",
        "temp_store=MEMORY",
    ):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin_sqlite(connection: Connection) -> None:
    # IMMEDIATE: a deferred transaction that upgrades from read to write can lose an update.
    kind = "DEFERRED" if connection.get_execution_options().get("reads") else "IMMEDIATE"
    _driver(connection).execute(f"BEGIN {kind}")


def _driver(connection: Connection) -> sqlite3.Connection:
    return cast("sqlite3.Connection", connection.connection.driver_connection)


def _open_postgresql(url: URL, settings: DatabaseSettings) -> Database:
    engine = create_engine(
        url,
        connect_args={"connect_timeout": 10, "options": "-c synchronous_commit=on"},
        pool_size=settings.readers + settings.writers,
        max_overflow=0,
        pool_pre_ping=True,
    )
    return Database(engine, False, None, nullcontext, lambda _connection: None, engine.dispose)


@contextmanager
def standalone(url: URL, settings: DatabaseSettings) -> Iterator[Database]:
    """A database for one short piece of work outside a running service."""
    database = open_database(url, settings)
    try:
        yield database
    finally:
        database.close()
