"""What one mail takes on the disk and in the log: rows and WAL, on SQLite and PostgreSQL.

Mails of 2 kB and 50 kB walk from POST to the relay's 250, from many callers at once, whose commits
are shared, and the small ones also one by one. Their words are random, because
PostgreSQL compresses what repeats: a real mail of many words takes less than these figures.
`row` is what stays for 30 days, `body` what is erased after 7; both with their indexes.
"""

import json
import secrets
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from sqlalchemy import Connection, create_engine, make_url, text

from benchmarks.rig.load import Load, put_under
from benchmarks.rig.machine import versions, words
from benchmarks.rig.sink import Sink, sink
from benchmarks.rig.started import KEY, notifier, run_notifier, settings_for
from tests.support.postgres import fresh_database, postgres_server

HEAD_BYTES = 550
LINE_CHARS = 72
PATIENCE_S = 300.0

Sizes = dict[str, int]
"""Bytes by table, its indexes included."""


@dataclass(frozen=True)
class Walk:
    """So many mails of a size, from so many callers at once."""

    mail_bytes: int
    count: int
    callers: int


WALKS = (Walk(2_000, 4000, 64), Walk(2_000, 400, 1), Walk(50_000, 1000, 64))


@dataclass(frozen=True)
class Books:
    """How a database is read: bytes by table, bytes of WAL so far, mails that wait."""

    tables: Callable[[], Sizes]
    wal: Callable[[], int]
    waiting: Callable[[], int]


def call(size_bytes: int) -> str:
    """A call whose mail has about so many bytes."""
    count = max(1, (size_bytes - HEAD_BYTES) // (LINE_CHARS + 2))
    lines = [secrets.token_urlsafe(LINE_CHARS)[:LINE_CHARS] for _ in range(count)]
    return json.dumps(
        {"to": "pNNNNNNNN@example.org", "subject": "Your order", "text": "\n".join(lines)}
    )


@contextmanager
def sqlite_books(folder: Path) -> Iterator[Books]:
    """A reader that stays keeps the WAL from beginning anew: its size is what was written."""
    file = folder / "notifier.db"
    with (
        closing(sqlite3.connect(file, isolation_level=None)) as stays,
        closing(sqlite3.connect(file, isolation_level=None)) as looks,
    ):
        stays.execute("BEGIN")
        stays.execute("SELECT count(*) FROM message").fetchone()

        def tables() -> Sizes:
            owners = "SELECT tbl_name, pgsize FROM dbstat JOIN sqlite_schema USING (name)"
            rows = looks.execute(f"SELECT tbl_name, sum(pgsize) FROM ({owners}) GROUP BY 1")
            return {str(name): int(size) for name, size in rows}

        yield Books(
            tables,
            lambda: file.with_name(file.name + "-wal").stat().st_size,
            lambda: int(looks.execute("SELECT count(*) FROM outbox").fetchone()[0]),
        )


@contextmanager
def postgres_books(url: str) -> Iterator[Books]:
    """Read over a connection of its own, from a checkpoint on."""
    engine = create_engine(
        make_url(url).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT"
    )
    with engine.connect() as connection:
        connection.execute(text("CHECKPOINT"))
        yield Books(
            lambda: _postgres_tables(connection),
            lambda: _number(connection, "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')"),
            lambda: _number(connection, "SELECT count(*) FROM outbox"),
        )
    engine.dispose()


def _postgres_tables(connection: Connection) -> Sizes:
    rows = connection.execute(
        text("SELECT relname, pg_total_relation_size(relid) FROM pg_stat_user_tables")
    )
    return {str(name): int(size) for name, size in rows}


def _number(connection: Connection, query: str) -> int:
    return int(connection.execute(text(query)).scalar_one())


def walked(books: Books, target: Sink, port: int, walk: Walk) -> dict[str, int]:
    """Let mails walk; the bytes that each left behind."""
    count, began = walk.count, target.count()
    before, wal = books.tables(), books.wal()
    load = Load([port], call(walk.mail_bytes), count, key=KEY, connections=walk.callers)
    put_under(load, PATIENCE_S)
    target.until(began + count, PATIENCE_S)
    ends = time.monotonic() + PATIENCE_S
    while books.waiting():
        assert time.monotonic() < ends, "mails that were sent are not recorded"
        time.sleep(0.05)
    grown = {name: size - before.get(name, 0) for name, size in books.tables().items()}
    return {
        "wal": (books.wal() - wal) // count,
        "row": sum(size for name, size in grown.items() if name != "content") // count,
        "body": grown["content"] // count,
    }


def measured(folder: Path, target: Sink, name: str, url: str) -> Iterator[dict[str, object]]:
    """The figures of all walks on one database."""
    settings = settings_for(target.port, DATABASE__URL=url)
    for walk in WALKS:
        run_notifier(folder, "migrate", settings=settings)
        books = sqlite_books(folder) if name == "sqlite" else postgres_books(url)
        with notifier(folder, "serve", settings=settings) as started, books as read:
            figures = walked(read, target, started.port, walk)
        yield {"database": name, **asdict(walk), **figures}


def main(_: Sequence[str]) -> int:
    """Measure, print a table and one line of JSON."""
    found: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as place:
        folder = Path(place)
        for name in ("sqlite", "postgres", "server"):
            (folder / name).mkdir()
        with sink(folder) as target:
            file = folder / "sqlite" / "notifier.db"
            found += measured(folder / "sqlite", target, "sqlite", f"sqlite:///{file}")
            with postgres_server(folder / "server") as server, fresh_database(server) as url:
                found += measured(folder / "postgres", target, "postgresql", url)
    print("  ".join(f"{name:>10}" for name in found[0]))
    for one in found:
        print("  ".join(f"{value:>10}" for value in one.values()))
    print(json.dumps({"benchmark": "footprint", "machine": words(), **versions(), "mails": found}))
    return 0
