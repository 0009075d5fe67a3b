"""Who delivers, and what was ordered about relays; on both databases."""

from dataclasses import replace
from datetime import timedelta

import pytest

from notifier.store.engine import writing
from notifier.store.relay_commands import RelayCommand, command_relay, relay_commands
from notifier.store.workers import LEAVE, REPORT, RelaySeen, Worker, workers
from tests.store.world import World

pytestmark = pytest.mark.anyio


def worker(world: World, letter: str = "a") -> Worker:
    relay = RelaySeen("main", "paused", "auth: 535", world.now, None, True, ("live",))
    return Worker(
        f"own_{letter * 32}", "vm", 7, "serve", "1", world.now, world.now, 50, 3, (relay,)
    )


async def test_a_report_is_read_back_as_it_was_given(world: World) -> None:
    await world.store.write(REPORT, worker(world))
    assert list(await world.store.read(workers)) == [worker(world)]


async def test_a_later_report_takes_the_place_of_an_earlier_one(world: World) -> None:
    first = worker(world)
    await world.store.write(REPORT, first)
    later = replace(first, seen_at=world.now + timedelta(seconds=10), busy=0, relays=())
    await world.store.write(REPORT, later)
    assert list(await world.store.read(workers)) == [later]


async def test_who_takes_his_leave_is_gone(world: World) -> None:
    await world.store.write(REPORT, worker(world))
    await world.store.write(LEAVE, worker(world).owner)
    assert list(await world.store.read(workers)) == []


async def test_who_is_silent_for_a_minute_is_not_counted_on_and_after_a_day_forgotten(
    world: World,
) -> None:
    silent, other = worker(world, "a"), worker(world, "b")
    await world.store.write(REPORT, silent)
    assert silent.is_alive(world.now + timedelta(seconds=60))
    assert not silent.is_alive(world.now + timedelta(seconds=61))
    for hours, known in ((23, [silent]), (25, [])):
        at = world.now + timedelta(hours=hours)
        await world.store.write(REPORT, replace(other, seen_at=at))
        found = await world.store.read(workers)
        assert [one for one in found if one.owner == silent.owner] == known


async def test_the_last_order_about_a_relay_stands(world: World) -> None:
    for paused, reason in ((True, "moving"), (False, "resumed")):
        with writing(world.store.database) as connection:
            command_relay(connection, RelayCommand("main", paused, world.now, reason))
    (order,) = await world.store.read(relay_commands)
    assert (order.relay, order.paused, order.reason) == ("main", False, "resumed")
