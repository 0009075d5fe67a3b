"""Group commit: who is in which group, who is refused, and that nothing is guessed."""

import asyncio
from dataclasses import replace

import pytest
from sqlalchemy.exc import IntegrityError

from notifier.core.errors import Unavailable
from notifier.store.acceptance import Acceptance
from notifier.store.schema import content, event, message
from tests.store.conftest import Opener
from tests.store.world import World
from tests.store.writes import DIVIDE, Counted, commits, queued, writer_busy

pytestmark = pytest.mark.anyio


def spoilt(item: Acceptance) -> Acceptance:
    """The same with a message that breaks NOT NULL, behind rows that are fine."""
    return replace(item, messages=(replace(item.messages[0], message_id=None),))  # type: ignore[arg-type]


async def test_what_arrives_during_a_commit_goes_into_the_next_one(open_world: Opener) -> None:
    world, counted = open_world(writers=1), Counted()
    async with writer_busy(world.store) as gate:
        late = [asyncio.create_task(world.store.write(counted.write, f"{n}")) for n in range(50)]
        await queued(world.store, 50)
        with commits(world.store.database.engine) as seen:
            gate.opened.set()
            await asyncio.gather(*late)
    assert counted.sizes == [50]
    assert len(seen) == 2


async def test_a_group_takes_no_more_than_its_most(open_world: Opener) -> None:
    world, counted = open_world(writers=1, group_max=20), Counted()
    async with writer_busy(world.store) as gate:
        late = [asyncio.create_task(world.store.write(counted.write, f"{n}")) for n in range(50)]
        await queued(world.store, 50)
        gate.opened.set()
        await asyncio.gather(*late)
    assert counted.sizes == [20, 20, 10]


async def test_results_find_their_callers_though_the_group_is_sorted(open_world: Opener) -> None:
    world, counted = open_world(writers=1), Counted()
    async with writer_busy(world.store) as gate:
        asked = [f"{n}" for n in range(30, 0, -1)]
        late = [asyncio.create_task(world.store.write(counted.write, one)) for one in asked]
        await queued(world.store, 30)
        gate.opened.set()
        assert await asyncio.gather(*late) == asked


async def test_one_bad_member_fails_alone(open_world: Opener) -> None:
    world = open_world(writers=1)
    items = [world.acceptance() for _ in range(10)]
    items[3] = spoilt(items[3])
    async with writer_busy(world.store) as gate:
        waiting = [asyncio.create_task(world.accept(item)) for item in items]
        await queued(world.store, 10)
        gate.opened.set()
        results = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(results.pop(3), IntegrityError)
    assert results == [None] * 9


async def test_of_a_bad_member_nothing_is_stored(world: World) -> None:
    with pytest.raises(IntegrityError):
        await world.accept(spoilt(world.acceptance()))
    assert [await world.count(table.c.id) for table in (content, message, event)] == [0, 0, 0]


async def test_a_programming_error_reaches_its_caller_and_the_writer_lives(world: World) -> None:
    with pytest.raises(ZeroDivisionError):
        await world.store.write(DIVIDE, 0)
    assert await world.store.write(DIVIDE, 4) == 0.25


async def test_a_waiter_whose_time_ends_before_its_group_is_refused_and_never_written(
    open_world: Opener,
) -> None:
    world = open_world(writers=1, write_timeout_s=0.1)
    async with writer_busy(world.store):
        with pytest.raises(Unavailable, match="in time"):
            await world.accept(world.acceptance())
        assert world.store.writes_waiting == 0
    await world.accept(world.acceptance())
    assert await world.count(message.c.id) == 1


async def test_one_whose_group_began_gets_its_result_however_long(open_world: Opener) -> None:
    world, counted = open_world(writers=1, write_timeout_s=0.1), Counted()
    async with writer_busy(world.store):  # which ends without an error
        for _ in range(3):
            with pytest.raises(Unavailable):
                await world.store.write(counted.write, "outlasted")
    assert counted.sizes == []


async def test_a_full_line_refuses_at_once_and_takes_again_when_it_moved(
    open_world: Opener,
) -> None:
    world = open_world(writers=1, queue_max=2)
    async with writer_busy(world.store) as gate:
        waiting = [asyncio.create_task(world.accept(world.acceptance())) for _ in range(2)]
        await queued(world.store, 2)
        with pytest.raises(Unavailable, match="too many"):
            await world.accept(world.acceptance())
        gate.opened.set()
        await asyncio.gather(*waiting)
    assert await world.accept(world.acceptance()) is None


async def test_closing_commits_what_waits_and_refuses_newcomers(open_world: Opener) -> None:
    world = open_world(writers=1)
    async with writer_busy(world.store) as gate:
        waiting = [asyncio.create_task(world.accept(world.acceptance())) for _ in range(20)]
        await queued(world.store, 20)
        closing = asyncio.create_task(asyncio.to_thread(world.store.close))
        gate.opened.set()
        assert await asyncio.gather(*waiting) == [None] * 20
    await closing
    assert await open_world().count(message.c.id) == 20
    with pytest.raises(Unavailable, match="stopping"):
        await world.accept(world.acceptance())
    with pytest.raises(Unavailable, match="stopping"):
        await world.store.ping()


async def test_what_a_cancelled_caller_handed_over_is_written_and_harms_nobody(
    open_world: Opener,
) -> None:
    world = open_world(writers=1)
    async with writer_busy(world.store) as gate:
        waiting = [asyncio.create_task(world.accept(world.acceptance())) for _ in range(3)]
        await queued(world.store, 3)
        waiting[1].cancel()
        gate.opened.set()
        results = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(one) for one in results] == [type(None), asyncio.CancelledError, type(None)]
    assert await world.count(message.c.id) == 3


async def test_two_stores_write_to_one_database_side_by_side(open_world: Opener) -> None:
    one, other = open_world(), open_world()
    await asyncio.gather(
        *(world.accept(world.acceptance()) for _ in range(200) for world in (one, other))
    )
    assert await one.count(message.c.id) == await other.count(event.c.id) == 400
