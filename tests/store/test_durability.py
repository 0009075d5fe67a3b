"""Durable before it is said: settings of every session, kill -9, syncs, a WAL that is bounded."""

import asyncio
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from sqlalchemy import Connection, create_engine, make_url, select, text

from notifier.core.errors import Unavailable
from notifier.settings.sections import DatabaseSettings
from notifier.store.engine import CHECKPOINT_BYTES, writing
from notifier.store.file_lock import FileLock
from notifier.store.migrate import migrate
from notifier.store.schema import notification
from notifier.store.write_queue import Write
from tests.store.conftest import Opener
from tests.store.world import World

pytestmark = pytest.mark.anyio


def _ask(connection: Connection, items: Sequence[str]) -> Sequence[str]:
    return [str(connection.exec_driver_sql(item).scalar_one()) for item in items]


ASK: Write[str, str] = Write("ask", 1, _ask, key=str)


@pytest.mark.parametrize(
    ("pragma", "value"),
    [
        ("journal_mode", "wal"),
        ("synchronous", "2"),
        ("wal_autocheckpoint", "0"),
        ("secure_delete", "1"),
    ],
)
async def test_every_sqlite_connection_is_durable(
    open_sqlite: Opener, pragma: str, value: str
) -> None:
    store = open_sqlite().store
    assert await store.write(ASK, f"PRAGMA {pragma}") == value
    assert [await store.read(_ask, [f"PRAGMA {pragma}"]) for _ in range(4)] == [[value]] * 4


async def test_postgresql_commits_synchronously_whatever_the_database_says(
    open_postgres: Opener,
) -> None:
    first = open_postgres()
    name = first.store.database.engine.url.database
    with writing(first.store.database) as connection:
        connection.execute(text(f"ALTER DATABASE {name} SET synchronous_commit = off"))
    assert await open_postgres().store.write(ASK, "SHOW synchronous_commit") == "on"


async def test_what_a_reader_does_on_postgresql_cannot_write(open_postgres: Opener) -> None:
    assert await open_postgres().store.read(_ask, ["SHOW transaction_read_only"]) == ["on"]


async def test_the_files_of_a_sqlite_store_are_its_owners_alone(open_sqlite: Opener) -> None:
    world = open_sqlite()
    await world.accept(world.acceptance())
    assert world.store.database.path is not None
    files = list(world.store.database.path.parent.glob("notifier.db*"))
    assert {one.name: one.stat().st_mode & 0o077 for one in files} == {
        "notifier.db": 0,
        "notifier.db-wal": 0,
        "notifier.db-shm": 0,
        "notifier.db.lock": 0,
    }


def _acker(url: str, at_once: int, rounds: int, *before: str) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "tests.store.acker", url, str(at_once), str(rounds)]
    pipe, root = subprocess.PIPE, Path(__file__).parents[2]
    return subprocess.Popen([*before, *command], stdout=pipe, stderr=pipe, cwd=root)


def _stored(url: str) -> set[str]:
    engine = create_engine(make_url(url.replace("postgresql:", "postgresql+psycopg:")))
    with engine.connect() as connection:
        found = set(connection.execute(select(notification.c.id)).scalars())
    engine.dispose()
    return found


@pytest.mark.parametrize("acks", [1, 40, 200])
def test_every_id_acknowledged_before_kill_9_is_there(
    database: DatabaseSettings, tmp_path: Path, acks: int
) -> None:
    assert database.url is not None
    url = database.url.get_secret_value()
    migrate(database, tmp_path)
    with _acker(url, at_once=10, rounds=10_000) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(acks)]
        process.kill()
        lines += process.stdout.readlines()
    acked = {line.decode().strip() for line in lines if line.endswith(b"\n")}
    assert len(acked) >= acks
    assert acked <= _stored(url)


def test_two_processes_share_a_database_and_one_of_them_is_killed(
    database: DatabaseSettings, tmp_path: Path
) -> None:
    assert database.url is not None
    url = database.url.get_secret_value()
    migrate(database, tmp_path)
    with _acker(url, 10, 10_000) as victim, _acker(url, 5, 60) as survivor:
        assert victim.stdout is not None
        assert survivor.stdout is not None
        lines = [victim.stdout.readline() for _ in range(100)]
        victim.kill()
        lines += [*victim.stdout, *survivor.stdout]
    acked = {line.decode().strip() for line in lines if line.endswith(b"\n")}
    assert survivor.returncode == 0
    assert len(acked) >= 100 + 5 * 60
    assert acked <= _stored(url)


async def test_a_process_that_hangs_with_the_lock_makes_others_refuse_in_time(
    open_sqlite: Opener,
) -> None:
    world = open_sqlite(write_timeout_s=0.2)
    assert world.store.database.path is not None
    lock = FileLock(world.store.database.path.with_name("notifier.db.lock"))
    with lock.hold(), pytest.raises(Unavailable, match="in time"):
        await world.accept(world.acceptance())
    assert await world.accept(world.acceptance()) is None


def _wal(world: World) -> Path:
    assert world.store.database.path is not None
    return world.store.database.path.with_name("notifier.db-wal")


async def test_the_wal_stays_bounded_whatever_is_written(open_sqlite: Opener) -> None:
    world = open_sqlite()
    for _ in range(12):
        await world.accept(world.acceptance(body=b"x" * (CHECKPOINT_BYTES // 4)))
    assert _wal(world).stat().st_size < 2 * CHECKPOINT_BYTES


async def test_a_wal_that_was_long_once_does_not_cost_a_checkpoint_per_commit(
    open_sqlite: Opener,
) -> None:
    world = open_sqlite()
    await world.accept(world.acceptance(body=b"x" * (2 * CHECKPOINT_BYTES)))
    await world.accept(world.acceptance())
    before = world.store.database.path.stat().st_mtime_ns  # type: ignore[union-attr]
    for _ in range(5):
        await world.accept(world.acceptance())
    assert world.store.database.path.stat().st_mtime_ns == before  # type: ignore[union-attr]
    assert _wal(world).stat().st_size <= CHECKPOINT_BYTES


async def test_the_wal_is_gone_after_a_clean_close(open_sqlite: Opener) -> None:
    world = open_sqlite()
    await world.accept(world.acceptance())
    await asyncio.to_thread(world.store.close)
    assert not _wal(world).exists()


SYNC = re.compile(r"f(?:data)?sync\(\d+<[^>]*notifier\.db-wal>")
WAL_WRITE = re.compile(r"pwrite64\(\d+<[^>]*notifier\.db-wal>")
ACK = re.compile(r"write\(1<[^>]*>, \"ntf_")


def test_a_sync_stands_between_the_write_and_its_acknowledgement(tmp_path: Path) -> None:
    if shutil.which("strace") is None and "CI" not in os.environ:
        pytest.skip("strace is not installed")
    migrate(DatabaseSettings(), tmp_path)
    trace = tmp_path / "trace"
    calls = "trace=pwrite64,fsync,fdatasync,write"
    strace = ("strace", "-f", "-y", "-e", calls, "-o", str(trace))
    with _acker(f"sqlite:///{tmp_path}/notifier.db", 1, 3, *strace) as process:
        _, told = process.communicate()
    if b"PTRACE" in told and "CI" not in os.environ:
        pytest.skip("strace may not look into processes here")
    story = "".join(
        letter
        for line in trace.read_text().splitlines()
        for letter, call in (("s", SYNC), ("w", WAL_WRITE), ("a", ACK))
        if call.search(line)
    )
    assert re.fullmatch(r"(?:s*w[ws]*s+a){3}s*", story), story
