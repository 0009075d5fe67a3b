"""Rates shared by processes: exact however many take, and a pause saves nothing up."""

import asyncio
from datetime import timedelta
from itertools import pairwise

import pytest

from notifier.assembly.rates import shared_rates
from notifier.core.clock import Clock
from notifier.core.envelope import Envelope
from notifier.core.verdict import Action
from notifier.settings.relay import RelayTarget
from notifier.smtp.relays import Relays
from notifier.store.rates import MOST_AHEAD, TAKE_SLICE, Slice
from notifier.store.store import Store
from tests.store.conftest import Opener
from tests.store.world import World
from tests.support.scripted_smtp import ScriptedSmtp

pytestmark = pytest.mark.anyio
LENGTH = timedelta(milliseconds=100)
MAIL = b"Subject: x\r\n\r\nx\r\n"


async def test_a_slice_may_be_spent_at_once_when_none_was_taken(world: World) -> None:
    assert await world.store.write(TAKE_SLICE, Slice("main", LENGTH, world.now)) == world.now


async def test_slices_of_several_processes_never_overlap(open_world: Opener) -> None:
    worlds = [open_world() for _ in range(3)]
    wanted = Slice("main", LENGTH, worlds[0].now)
    takes = [world.store.write(TAKE_SLICE, wanted) for world in worlds for _ in range(20)]
    starts = sorted(await asyncio.gather(*takes))
    assert starts[0] == wanted.now
    assert {after - before for before, after in pairwise(starts)} == {LENGTH}


async def test_a_pause_saves_nothing_up(world: World) -> None:
    later = world.now + timedelta(hours=1)
    await world.store.write(TAKE_SLICE, Slice("main", LENGTH, world.now))
    starts = [await world.store.write(TAKE_SLICE, Slice("main", LENGTH, later)) for _ in range(3)]
    assert starts == [later, later + LENGTH, later + 2 * LENGTH]


async def test_rates_of_different_names_do_not_touch_each_other(world: World) -> None:
    for name in ("one", "two"):
        assert await world.store.write(TAKE_SLICE, Slice(name, LENGTH, world.now)) == world.now


async def test_what_a_wrong_clock_wrote_stops_nobody(world: World) -> None:
    ahead = world.now + (MOST_AHEAD + 1) * LENGTH
    await world.store.write(TAKE_SLICE, Slice("main", LENGTH, ahead))
    assert await world.store.write(TAKE_SLICE, Slice("main", LENGTH, world.now)) == world.now


def relays_on(store: Store, target: RelayTarget, now: Clock) -> Relays:
    return Relays(
        [target],
        helo_name="client.test",
        observe=lambda fact: None,
        grants=shared_rates(store, now),
    )


async def test_two_processes_together_keep_to_a_relays_rate(open_world: Opener) -> None:
    stores = [open_world().store for _ in range(2)]
    async with ScriptedSmtp() as server:
        target = server.target(rate_per_s=50)
        sides = [relays_on(store, target, store.now) for store in stores]
        sends = [
            side.send("live", Envelope("a@example.org", f"{n}@example.org"), MAIL)
            for side in sides
            for n in range(20)
        ]
        attempts = await asyncio.gather(*sends)
        for side in sides:
            await side.aclose()
    assert {attempt.verdict.action for attempt in attempts} == {Action.SENT}
    # 40 mails in slices of 5, each of which lasts 0.1 s; each side may be late with one slice.
    times = sorted(mail.at for mail in server.accepted)
    assert len(times) == 40
    assert times[-1] - times[0] >= 0.5
    for window_s in (0.2, 0.5):
        most = max(sum(t <= at < t + window_s for at in times) for t in times)
        assert most <= 50 * window_s + 10
