"""What a probe asks of the store: right numbers, from index ranges."""

from datetime import timedelta

import pytest
from sqlalchemy import text

from notifier.core.message import Lane, Step
from notifier.store.engine import writing
from notifier.store.events import Event
from notifier.store.migrate import HEAD
from notifier.store.outbox import Claimed
from notifier.store.outcomes import RECORD, Outcome
from notifier.store.vitals import Depth, Vitals, later, vitals
from tests.store.test_plans import crowded, explained, is_scan
from tests.store.world import World

__all__ = ["crowded"]
pytestmark = pytest.mark.anyio


async def look(world: World) -> Vitals:
    return await world.store.read(vitals, world.now)


async def set_aside(world: World, claimed: Claimed) -> None:
    told = Event(
        world.ids.new("evt"),
        "default",
        "message.held",
        world.now,
        notification_id=claimed.notification_id,
        message_id=claimed.claim.id,
        data={},
    )
    outcome = Outcome(claimed.claim, world.now, Step.SET_ASIDE, None, 1, (told,))
    assert await world.store.write(RECORD, outcome)


def lane(found: Vitals, lane: Lane) -> Depth:
    (one,) = [one for one in found.depths if (one.route, one.lane) == ("live", lane)]
    return one


async def test_an_empty_queue_has_all_lanes_and_nothing_in_them(world: World) -> None:
    found = await look(world)
    assert len(found.depths) == 6
    assert {(one.due, one.oldest_age_s) for one in found.depths} == {(0, 0.0)}
    assert (found.held, found.revision) == (0, HEAD)
    assert found.server[0] == world.store.database.engine.dialect.name
    assert int(found.server[1].split(".")[0]) >= 3


async def test_what_is_due_is_counted_by_lane_with_the_age_of_its_oldest(world: World) -> None:
    await world.accept(world.acceptance("a@x.org", "b@x.org", lane=Lane.BULK))
    world.now += timedelta(seconds=90)
    await world.accept(world.acceptance(lane=Lane.BULK))
    await world.accept(world.acceptance(lane=Lane.URGENT, due_in_s=60))
    found = await look(world)
    assert lane(found, Lane.BULK) == Depth("live", Lane.BULK, 3, 90.0)
    assert lane(found, Lane.URGENT) == Depth("live", Lane.URGENT, 0, 0.0)
    counted = await world.store.read(later, world.now)
    assert (counted["live", Lane.BULK], counted["live", Lane.URGENT]) == (0, 1)


async def test_a_leased_message_is_not_due_but_comes_later(world: World) -> None:
    await world.accept(world.acceptance())
    await world.claim()
    assert lane(await look(world), Lane.TRANSACTIONAL).due == 0
    assert (await world.store.read(later, world.now))["live", Lane.TRANSACTIONAL] == 1


async def test_all_projects_of_a_lane_are_counted(world: World) -> None:
    columns = "id, route, lane, project, due_at, expires_at, claims, attempt, orphaned"
    at = int((world.now - timedelta(seconds=5)).timestamp()) * 1_000_000
    with writing(world.store.database) as connection:
        for number in range(7):
            project = f"p{number % 3}"
            row = f"'m{number}', 'test', 1, '{project}', {at + number}, {at}, 0, 0, 0"
            connection.execute(text(f"INSERT INTO outbox ({columns}) VALUES ({row})"))
    (found,) = [one for one in (await look(world)).depths if one.due]
    assert (found.route, found.due, found.oldest_age_s) == ("test", 7, 5.0)


async def test_held_messages_are_counted_until_they_are_put_back(world: World) -> None:
    await world.accept(world.acceptance("a@x.org", "b@x.org"))
    held, sent = await world.claim()
    await set_aside(world, held)
    await world.record(sent, Step.DELIVERED)
    assert (await look(world)).held == 1
    with writing(world.store.database) as connection:
        connection.execute(text("UPDATE message SET status = 'canceled' WHERE status = 'held'"))
    assert (await look(world)).held == 0


async def test_a_look_reads_index_ranges_beside_a_crowd(crowded: World) -> None:
    with explained(crowded.store.database.engine) as plans:
        await look(crowded)
    assert len(plans) == 8
    # An index of nothing but such events, read from end to end.
    plans = [plan.replace("SCAN event USING INDEX ix_event_held", "") for plan in plans]
    assert not any(map(is_scan, plans)), plans


async def test_a_claim_knows_for_when_its_mail_was_scheduled_also_after_a_deferral(
    world: World,
) -> None:
    await world.accept(world.acceptance(due_in_s=60))
    world.now = wanted = world.now + timedelta(seconds=60)
    (first,) = await world.claim()
    await world.record(first, None, due_in_s=10)
    world.now += timedelta(seconds=10)
    (second,) = await world.claim()
    assert (first.wanted_at, second.wanted_at) == (wanted, wanted)
