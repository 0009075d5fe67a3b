"""The handbook's way to back up SQLite while it runs, and to restore it without sending twice."""

import asyncio
import shutil
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.e2e.fleet import API, Callers, Settings, one, operators
from tests.e2e.process import run
from tests.support.scripted_smtp import ScriptedSmtp

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]


@pytest.fixture
async def relay() -> AsyncIterator[ScriptedSmtp]:
    async with ScriptedSmtp() as running:
        yield running


@pytest.fixture
def settings(relay: ScriptedSmtp, migrated_sqlite: Path, tmp_path: Path) -> Settings:
    shutil.copyfile(migrated_sqlite, tmp_path / "notifier.db")
    return operators(f"sqlite:///{tmp_path}/notifier.db", relay, tmp_path)


def back_up(folder: Path) -> Path:
    """As the handbook says."""
    copy = folder / "copy.db"
    with closing(sqlite3.connect(f"file:{folder}/notifier.db?mode=ro", uri=True)) as store:
        store.execute(f"VACUUM INTO '{copy}'")
    return copy


def restore(folder: Path, copy: Path) -> None:
    for end in ("", "-wal", "-shm"):
        (folder / f"notifier.db{end}").unlink(missing_ok=True)
    copy.rename(folder / "notifier.db")


def count(file: Path, table: str) -> int:
    with closing(sqlite3.connect(file)) as store:
        assert store.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return int(store.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


async def test_a_backup_of_a_busy_file_holds_all_that_was_accepted_before_it(
    settings: Settings, tmp_path: Path
) -> None:
    async with one(tmp_path, *API, **settings) as api:
        callers = Callers([api])
        async with callers.posting():
            await callers.more(20)
            before = len(callers.accepted)
            copy = await asyncio.to_thread(back_up, tmp_path)
    assert before <= count(copy, "message") <= len(callers.accepted)


@pytest.mark.parametrize("cancels", [False, True], ids=["at once", "after cancel"])
async def test_a_restored_backup_sends_again_what_waited_unless_it_is_called_off(
    settings: Settings, relay: ScriptedSmtp, tmp_path: Path, cancels: bool
) -> None:
    async with one(tmp_path, *API, **settings) as api:
        told = await api.send("ann@example.org")
        copy = back_up(tmp_path)
    async with one(tmp_path, "serve", **settings) as service:
        await service.until(told, "sent")
    restore(tmp_path, copy)
    if cancels:
        code, said = await run(tmp_path, "cancel", "--status", "queued", "--yes", **settings)
        assert code == 0, said
    async with one(tmp_path, "serve", **settings) as service:
        await service.until(told, "canceled" if cancels else "sent")
    assert len(relay.accepted) == (1 if cancels else 2)
    assert len({mail.content for mail in relay.accepted}) == 1
