"""Lease owners: the dead are told from the living, across processes, however they died."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from notifier.store.file_lock import FileLock
from notifier.store.owners import Owners

_LIVE = """
import sys
from pathlib import Path
from notifier.store.owners import Owners
owners = Owners(Path(sys.argv[1]))
owners.announce("own_child")
print("lives", flush=True)
sys.stdin.read()
owners.close()
"""


@contextmanager
def child(database: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A process that has announced itself; it ends in order when its stdin does."""
    command = [sys.executable, "-c", _LIVE, str(database)]
    root = Path(__file__).parents[2]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, cwd=root) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"lives\n"
        yield process


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "notifier.db"


@pytest.fixture
def owners(database: Path) -> Iterator[Owners]:
    mine = Owners(database)
    yield mine
    mine.close()


def test_an_owner_in_another_process_lives_until_kill_9(owners: Owners, database: Path) -> None:
    with child(database) as process:
        assert not owners.is_dead("own_child")
        process.kill()
        process.wait()
        assert owners.is_dead("own_child")


def test_one_who_ended_in_order_left_no_file(owners: Owners, database: Path) -> None:
    with child(database) as process:
        process.communicate()
    assert owners.is_dead("own_child")
    assert not (database.parent / "notifier.db.owners" / "own_child").exists()


def test_the_dead_are_listed_and_nobody_else(owners: Owners, database: Path) -> None:
    assert owners.dead() == []
    owners.announce("own_me")
    with child(database) as process:
        assert owners.dead() == []
        process.kill()
    assert owners.dead() == ["own_child"]
    owners.bury("own_child")
    assert owners.dead() == []


def test_asking_does_not_make_a_living_one_dead(owners: Owners, database: Path) -> None:
    with child(database):
        assert [owners.is_dead("own_child") for _ in range(3)] == [False] * 3


def test_my_own_lives_and_one_never_heard_of_is_dead(owners: Owners) -> None:
    owners.announce("own_me")
    assert not owners.is_dead("own_me")
    assert owners.is_dead("own_nobody")


def test_two_objects_of_one_process_know_of_each_other(owners: Owners, database: Path) -> None:
    owners.announce("own_me")
    other = Owners(database)
    assert not other.is_dead("own_me")
    with pytest.raises(ValueError, match="held by somebody else"):
        other.announce("own_me")


def test_the_dead_can_be_buried_twice(owners: Owners, database: Path) -> None:
    with child(database) as process:
        process.kill()
    owners.bury("own_child")
    owners.bury("own_child")
    assert owners.is_dead("own_child")


def test_on_postgresql_nobody_is_taken_for_dead() -> None:
    owners = Owners(None)
    owners.announce("own_me")
    owners.bury("own_me")
    assert not owners.is_dead("own_anybody")
    owners.close()


def test_a_lock_file_keeps_out_threads_with_the_same_object_too(tmp_path: Path) -> None:
    lock = FileLock(tmp_path / "lock")
    with lock.hold():
        assert not lock._mutex.acquire(blocking=False)
    with lock.hold():
        assert not FileLock(tmp_path / "lock").try_hold()
    lock.close()
