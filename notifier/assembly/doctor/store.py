"""The database: whether it is there, is of this release, and keeps what it is told."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Final

from notifier.assembly.doctor.check import Check, failed, ok, warning
from notifier.core.errors import Misconfigured, Unavailable
from notifier.settings import Settings
from notifier.store.beside import Beside, beside, missing_file
from notifier.store.checkup import (
    WAL_RESET_FIXED,
    ServerReport,
    connections_of_a_process,
    server_report,
    sqlite_version,
)
from notifier.store.migrate import current
from notifier.store.workers import workers

_OLDEST_SERVER: Final = 14
_ANOTHER_SCHEMA: Final = (
    "`notifier migrate` makes an older schema, or none, into this release's; for a newer one take"
    " the newer release"
)
_SKEW: Final = timedelta(seconds=2)
_MUCH_SKEW: Final = timedelta(seconds=30)
_SPARE: Final = 10
"""Connections left for other clients: a person with psql, a backup."""


def of_store(settings: Settings) -> Iterator[Check]:
    """Of the configured database; whatever is wrong is a check, never an exception."""
    missing = missing_file(settings.database, settings.data_dir)
    if missing is not None:
        yield _sqlite()
        yield warning(
            "database",
            f"there is no store at {missing} yet",
            "the first `notifier serve` or `notifier dev` makes it; if one runs already, this"
            " command needs the same NOTIFIER_DATA_DIR or NOTIFIER_DATABASE__URL",
        )
        return
    try:
        with beside(settings.database, settings.data_dir) as store:
            yield from _opened(store, settings)
    except (Misconfigured, Unavailable) as error:
        away = "cannot be used" in error.detail
        remedy = "start the database, or mend NOTIFIER_DATABASE__URL" if away else _ANOTHER_SCHEMA
        yield failed("database", error.detail, remedy)


def _opened(store: Beside, settings: Settings) -> Iterator[Check]:
    report = store.read(server_report)
    revision = store.read(current)
    if report is None:
        yield _sqlite()
        yield ok("database", f"{store.where} answers, its schema is at revision {revision}")
    else:
        version = report.settings.get("server_version", "?")
        where = f"PostgreSQL {version} at {store.where}"
        yield ok("database", f"{where} answers, its schema is at revision {revision}")
        yield _skew(store.now.ahead)
        yield from _server(report)
        yield _connections(report, store, settings)
    yield _delivery(store)


def _sqlite() -> Check:
    version = ".".join(map(str, sqlite_version()))
    if sqlite_version() >= WAL_RESET_FIXED:
        return ok("sqlite", f"SQLite {version}")
    return ok(
        "sqlite",
        f"SQLite {version}. Its WAL-reset bug (before 3.51.3) cannot bite: every commit and"
        " checkpoint holds a lock of Notifier's own. No other program may write to the file",
    )


def _skew(ahead: timedelta) -> Check:
    seconds = ahead.total_seconds()
    says = f"the database's clock is {abs(seconds):.2f} s {'ahead' if seconds > 0 else 'behind'}"
    remedy = "keep the clocks of both machines in step, best by NTP"
    if abs(ahead) > _MUCH_SKEW:
        return failed("clock_skew", says, remedy)
    return ok("clock_skew", says) if abs(ahead) <= _SKEW else warning("clock_skew", says, remedy)


def _server(report: ServerReport) -> Iterator[Check]:
    if report.major < _OLDEST_SERVER:
        yield failed(
            "postgresql_version",
            f"PostgreSQL {report.major} is older than {_OLDEST_SERVER}",
            f"upgrade it to {_OLDEST_SERVER} or later",
        )
    for name, loss in (
        ("fsync", "a crash of its machine can destroy the whole database"),
        ("full_page_writes", "a crash of its machine can tear pages"),
    ):
        if report.settings.get(name) == "off":
            yield failed(
                name,
                f"PostgreSQL's {name} is off: {loss}",
                f"ALTER SYSTEM SET {name} = on, and reload",
            )
        else:
            yield ok(name, f"PostgreSQL's {name} is on")
    if report.synchronous_commit == "off":
        yield failed(
            "synchronous_commit",
            "synchronous_commit is off in our sessions: accepted mail can be lost in a crash",
            "take it out of the URL's options and of ALTER ROLE",
        )
    else:
        yield ok(
            "synchronous_commit", f"its synchronous_commit is {report.synchronous_commit} here"
        )
    if report.settings.get("autovacuum") == "off":
        yield warning(
            "autovacuum",
            "its autovacuum is off: the queue's table grows and claims become slow",
            "ALTER SYSTEM SET autovacuum = on, and reload",
        )
    else:
        yield ok("autovacuum", "its autovacuum is on")


def _connections(report: ServerReport, store: Beside, settings: Settings) -> Check:
    most = int(report.settings.get("max_connections", "0"))
    alive = sum(one.is_alive(store.now()) for one in store.read(workers))
    each = connections_of_a_process(settings.database)
    wanted = max(alive, 1) * each + _SPARE
    says = (
        f"the server allows {most} connections (max_connections), {report.connections} are open;"
        f" {alive} Notifier processes deliver, and each takes up to {each}"
    )
    if wanted <= most:
        return ok("max_connections", says)
    return warning(
        "max_connections",
        says,
        "raise it, lower NOTIFIER_DATABASE__READERS and __WRITERS, or put a pooler between",
    )


def _delivery(store: Beside) -> Check:
    now = store.now()
    found = store.read(workers)
    alive = [one for one in found if one.is_alive(now)]
    if alive:
        names = ", ".join(one.name for one in alive)
        return ok("delivery", f"delivered by {names}")
    remedy = "start `notifier serve` or `notifier worker`; until then mail waits"
    if not found:
        return warning("delivery", "no process delivers just now", remedy)
    last = max(found, key=lambda one: one.seen_at)
    seen = f"{last.seen_at:%Y-%m-%d %H:%M:%S} UTC"
    return warning(
        "delivery", f"no process delivers; {last.name} was not seen since {seen}", remedy
    )
