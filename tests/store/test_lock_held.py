"""Another process holds SQLite's write lock: calls are late or refused, and nothing is lost."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from notifier.core.errors import Unavailable
from notifier.core.message import Step
from notifier.store.schema import message, outbox
from tests.store.conftest import Opener
from tests.store.world import World

pytestmark = pytest.mark.anyio

HELD_S = 3.0
ROOT = Path(__file__).parents[2]
locks = pytest.mark.parametrize("lock", ["sqlite", "flock"])


@asynccontextmanager
async def held(world: World, lock: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """The other process has the lock when the block begins, and may be gone before it ends."""
    file = world.store.database.path
    assert file is not None
    holder = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.store.lock_holder", str(file), lock, str(HELD_S),
        cwd=ROOT, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert holder.stdout is not None
    assert await holder.stdout.readline() == b"held\n"
    try:
        yield holder
    finally:
        assert await holder.wait() == 0


@locks
async def test_a_write_lock_held_for_three_seconds_makes_calls_late_and_no_more(
    open_sqlite: Opener, lock: str
) -> None:
    """With the timeouts that are shipped."""
    world = open_sqlite()
    await world.accept(world.acceptance())
    (claimed,) = await world.claim()
    async with held(world, lock):
        accepted = [asyncio.create_task(world.accept(world.acceptance())) for _ in range(20)]
        recorded = asyncio.create_task(world.record(claimed, Step.DELIVERED))
        assert await world.count(message.c.id) == 1, "reading goes on"
        assert await asyncio.gather(*accepted) == [None] * 20
        assert await recorded is True
    assert (await world.count(message.c.id), await world.count(outbox.c.id)) == (21, 20)


@locks
async def test_a_write_lock_held_for_thirty_seconds_refuses_calls_and_loses_none(
    open_sqlite: Opener, lock: str
) -> None:
    """All times a tenth of those that are shipped: held for three times the patience of a call."""
    world = open_sqlite(write_timeout_s=1, lock_timeout_s=3)
    await world.accept(world.acceptance())
    (claimed,) = await world.claim()
    async with held(world, lock) as holder:
        calls = [world.accept(world.acceptance()) for _ in range(20)]
        refused = await asyncio.gather(
            *calls, world.record(claimed, Step.DELIVERED), return_exceptions=True
        )
        assert holder.returncode is None
    answered = [one for one in refused if not isinstance(one, Unavailable)]
    assert await world.accept(world.acceptance()) is None
    await world.record(claimed, Step.DELIVERED)
    assert await world.count(message.c.id) == 2 + answered.count(None)
    assert await world.count(outbox.c.id) == 1 + answered.count(None)
    assert len(answered) < len(refused)
