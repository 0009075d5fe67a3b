"""A full disk at intake and at an outcome: refused as ours, nothing half stored, and on it goes."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 6 MiB, where we may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(folder)]
    may = os.geteuid() == 0 and shutil.which("mount") is not None
    if not may or subprocess.run(mount, check=False).returncode:
        pytest.skip("a small disk cannot be mounted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def meet(folder: Path, how: str) -> dict[str, object]:
    """What a store in this folder says when the disk is full and when it is not any more."""
    command = [sys.executable, "-m", "tests.store.full_disk", str(folder), how]
    root = Path(__file__).parents[2]
    said: dict[str, object] = json.loads(subprocess.check_output(command, cwd=root, timeout=60))
    return said


EXPECTED = {
    "refused": ["store_unwritable"] * 6 + ["1 readable"],
    "counts": {"content": 2, "message": 2, "outbox": 1, "event": 3},
}


def is_sound(folder: Path) -> bool:
    connection = sqlite3.connect(folder / "notifier.db")
    found = connection.execute("PRAGMA integrity_check").fetchone()
    connection.close()
    return bool(found == ("ok",))


def test_a_file_that_may_not_grow_refuses_and_harms_nothing(tmp_path: Path) -> None:
    assert meet(tmp_path, "limit") == EXPECTED
    assert is_sound(tmp_path)


def test_a_disk_that_is_full_refuses_and_harms_nothing(small_disk: Path) -> None:
    assert meet(small_disk, "fill") == EXPECTED
    assert is_sound(small_disk)
