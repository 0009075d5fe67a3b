"""Opening a database: the URL, the engine, and what each of the two needs to be durable."""

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from sqlalchemy import URL, Connection, Engine, ExceptionContext, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError

from notifier.core.errors import Misconfigured
from notifier.settings.sections import DatabaseSettings
from notifier.store.file_lock import FileLock

CHECKPOINT_BYTES = 4 * 1024 * 1024
"""WAL size from which the writer checkpoints after a commit: 1,000 pages of 4 kB, as SQLite's
own default, which is switched off here (`wal_autocheckpoint=0`). It is also the size to which
a WAL that begins anew is cut, so that it is above only while it holds that much."""

_BELL = 2
"""Connections of the doorbell: one to ring, one to listen."""

_WAL_TRIES = 100
_WAL_PAUSE_S = 0.05

_READ_ONLY = "25006"
"""PostgreSQL's code for a write to a server that only reads: after a failover, the old one."""

_POSTGRESQL_DEFAULTS = {
    "connect_timeout": 10,
    # A server that vanishes without a word is given up after half a minute, not after hours.
    "keepalives_idle": 15,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}
"""libpq's parameters where the URL names none."""


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
    # Connected first: a new connection may need the lock itself (see `_enter_wal`).
    with (
        database.engine.connect() as connection,
        database.write_lock(),
        connection.begin(),
    ):
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
    if backend != "sqlite" or not url.database or url.database == ":memory:" or url.query:
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
    # Mails are nobody else's business. SQLite gives its other files the same mode.
    path.touch(mode=0o600)
    lock = FileLock(path.with_name(path.name + ".lock"))
    engine = create_engine(
        url,
        connect_args={
            "isolation_level": None,
            "check_same_thread": False,
            "timeout": settings.lock_timeout_s,
        },
        pool_size=settings.readers + 1 + _BELL,
        max_overflow=0,
        hide_parameters=True,  # in errors, which end in the log: they are addresses and mails
    )
    event.listen(engine, "connect", lambda new, _record: _prepare_sqlite(new, lock))
    event.listen(engine, "begin", _begin)
    wal = path.with_name(path.name + "-wal")

    def checkpoint(connection: Connection) -> None:
        # A checkpoint that fails costs nothing but a longer WAL; the commit before it stands.
        with suppress(OSError, sqlite3.Error):
            if wal.stat().st_size > CHECKPOINT_BYTES:
                _driver(connection).execute("PRAGMA wal_checkpoint(PASSIVE)").close()

    def close() -> None:
        # The last connection to close checkpoints, which is why it needs the lock too.
        with lock.hold():
            engine.dispose()
        lock.close()

    return Database(engine, True, path, lock.hold, checkpoint, close)


def _prepare_sqlite(connection: sqlite3.Connection, lock: FileLock) -> None:
    if connection.execute("PRAGMA journal_mode").fetchone() != ("wal",):
        _enter_wal(connection, lock)
    for pragma in (
        "synchronous=FULL",
        "wal_autocheckpoint=0",
        f"journal_size_limit={CHECKPOINT_BYTES}",
        "secure_delete=ON",
        "temp_store=MEMORY",
    ):
        connection.execute(f"PRAGMA {pragma}").close()


def _enter_wal(connection: sqlite3.Connection, lock: FileLock) -> None:
    """Once in a database's life. SQLite's own timeout does not hold here: it fails at once when
    several starters want it together (hence the lock) or somebody looks at the file (the tries).
    """
    with lock.hold():
        for _ in range(_WAL_TRIES):
            with suppress(sqlite3.OperationalError):
                connection.execute("PRAGMA journal_mode=WAL").close()
                return
            time.sleep(_WAL_PAUSE_S)
        connection.execute("PRAGMA journal_mode=WAL").close()


def _begin(connection: Connection) -> None:
    """Begin at the database, not only in the driver: who gets past here has one that answers."""
    reads = connection.get_execution_options().get("reads")
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("BEGIN READ ONLY" if reads else "BEGIN")
    else:
        # IMMEDIATE: a deferred transaction that upgrades from read to write can lose an update.
        connection.exec_driver_sql("BEGIN DEFERRED" if reads else "BEGIN IMMEDIATE")


def _driver(connection: Connection) -> sqlite3.Connection:
    return cast("sqlite3.Connection", connection.connection.driver_connection)


def _open_postgresql(url: URL, settings: DatabaseSettings) -> Database:
    defaults = {name: at for name, at in _POSTGRESQL_DEFAULTS.items() if name not in url.query}
    options = " ".join([*url.normalized_query.get("options", ()), "-c synchronous_commit=on"])
    engine = create_engine(
        url,
        connect_args={**defaults, "options": options, "autocommit": True},
        pool_size=settings.readers + settings.writers + _BELL,
        max_overflow=0,
        hide_parameters=True,  # in errors, which end in the log: they are addresses and mails
        pool_pre_ping=True,
    )
    event.listen(engine, "begin", _begin)
    event.listen(engine, "handle_error", _leave_read_only)
    return Database(engine, False, None, nullcontext, lambda _connection: None, engine.dispose)


def is_passing(error: Exception) -> bool:
    """Whether this is about the database being busy or away, not about our statement."""
    broken = isinstance(error, DBAPIError) and error.connection_invalidated
    return broken or isinstance(error, OperationalError)


def is_lost(error: Exception) -> bool:
    """Whether the connection broke, so that nobody knows what became of the transaction."""
    return (
        isinstance(error, DBAPIError)
        and error.connection_invalidated
        and not _is_read_only(error.orig)
    )


def _is_read_only(error: BaseException | None) -> bool:
    return getattr(error, "sqlstate", None) == _READ_ONLY


def _leave_read_only(context: ExceptionContext) -> None:
    """Connect anew: whoever takes writes now is found behind the same name."""
    if _is_read_only(context.original_exception):
        context.is_disconnect = True


@contextmanager
def standalone(url: URL, settings: DatabaseSettings) -> Iterator[Database]:
    """A database for one short piece of work outside a running service."""
    database = open_database(url, settings)
    try:
        yield database
    finally:
        database.close()
