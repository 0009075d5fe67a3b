"""A commit whose outcome nobody knows: it is repeated, and repeating it changes nothing."""

import asyncio
from datetime import timedelta

import pytest

from notifier.core.errors import Unavailable
from notifier.core.message import Step
from notifier.store.schema import content, event, message, outbox
from tests.store.conftest import Opener
from tests.store.world import World
from tests.store.writes import foreign_lock, lose_next_commits_answer, queued, writer_busy

pytestmark = pytest.mark.anyio


@pytest.fixture
def world(open_world: Opener) -> World:
    """With one writer: with two, an empty group of the other's could be the next commit."""
    return open_world(writers=1)


both_ways = pytest.mark.parametrize("took_effect", [True, False])


@both_ways
async def test_a_mail_whose_commit_broke_off_is_there_once(world: World, took_effect: bool) -> None:
    lose_next_commits_answer(world.store.database.engine, before=not took_effect)
    assert await world.accept(world.acceptance()) is None
    assert [await world.count(one.c.id) for one in (content, message, outbox, event)] == [1] * 4


@both_ways
async def test_a_whole_group_whose_commit_broke_off_is_there_once(
    world: World, took_effect: bool
) -> None:
    async with writer_busy(world.store) as gate:
        waiting = [asyncio.create_task(world.accept(world.acceptance())) for _ in range(30)]
        await queued(world.store, 30)
        lose_next_commits_answer(world.store.database.engine, before=not took_effect)
        gate.opened.set()
        assert await asyncio.gather(*waiting) == [None] * 30
    assert await world.count(message.c.id) == 30


@both_ways
async def test_an_outcome_whose_commit_broke_off_is_known_as_written(
    world: World, took_effect: bool
) -> None:
    item = world.acceptance()
    await world.accept(item)
    (claimed,) = await world.claim()
    lose_next_commits_answer(world.store.database.engine, before=not took_effect)
    assert await world.record(claimed, Step.DELIVERED) is True
    assert await world.status(item.notification.id) == "sent"


async def test_a_claim_whose_commit_broke_off_hands_nothing_out_twice(
    world: World,
) -> None:
    await asyncio.gather(*(world.accept(world.acceptance()) for _ in range(4)))
    lose_next_commits_answer(world.store.database.engine)
    first = await world.claim(seats=2)
    second = await world.claim(seats=4)
    assert len({one.claim.id for one in [*first, *second]}) == len(first) + len(second) == 2
    world.now += timedelta(seconds=31)
    assert sorted(one.orphaned for one in await world.claim(seats=4)) == [1] * 4


async def test_a_locked_database_refuses_in_time_and_writes_nothing_later(
    open_sqlite: Opener,
) -> None:
    world = open_sqlite(write_timeout_s=0.2, lock_timeout_s=0.05)
    with foreign_lock(world.store), pytest.raises(Unavailable, match="in time"):
        await world.accept(world.acceptance())
    await world.accept(world.acceptance())
    assert await world.count(message.c.id) == 1


async def test_a_write_that_waits_for_a_lock_goes_through_when_it_is_gone(
    open_sqlite: Opener,
) -> None:
    world = open_sqlite(lock_timeout_s=0.05)
    with foreign_lock(world.store):
        waiting = asyncio.create_task(world.accept(world.acceptance()))
        await asyncio.sleep(0.3)  # several BEGINs fail meanwhile
        assert world.store.writes_waiting == 1
    assert await waiting is None


async def test_closing_ends_though_a_stranger_keeps_the_lock(
    open_sqlite: Opener,
) -> None:
    world = open_sqlite(write_timeout_s=0.2, lock_timeout_s=0.05)
    with foreign_lock(world.store):
        waiting = asyncio.create_task(world.accept(world.acceptance()))
        await queued(world.store, 1)
        await asyncio.wait_for(asyncio.to_thread(world.store.close), 10)
        with pytest.raises(Unavailable):
            await waiting
