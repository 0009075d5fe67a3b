"""Retention on both databases: what is forgotten, what stays, and that the sums close."""

from collections.abc import Mapping
from datetime import timedelta

import pytest
from sqlalchemy import Connection, func, select, update

from notifier.core.message import Step
from notifier.store import notifications
from notifier.store.acceptance import OnceKey
from notifier.store.retention import (
    ERASE_BYTES,
    FORGET_KEYS,
    FORGET_LOOSE_EVENTS,
    FORGET_NOTIFICATIONS,
    Sweep,
)
from notifier.store.schema import content, event, idempotency, message, notification, tally
from notifier.store.write_queue import Write
from tests.store.world import World

pytestmark = pytest.mark.anyio

_DAY = timedelta(days=1)


async def _sweep(world: World, write: Write[Sweep, int], age: timedelta, most: int = 100) -> int:
    return await world.store.write(write, Sweep(world.now - age, world.now, most))


async def _ended(world: World, step: Step = Step.DELIVERED) -> str:
    item = world.acceptance()
    await world.accept(item)
    (claimed,) = await world.claim()
    await world.record(claimed, step)
    return item.notification.id


async def test_bytes_are_erased_when_they_were_final_long_enough(world: World) -> None:
    await _ended(world)
    assert await _sweep(world, ERASE_BYTES, _DAY) == 0
    world.now += 2 * _DAY
    assert await _sweep(world, ERASE_BYTES, _DAY) == 1
    assert await world.count(content.c.body) == 0


async def test_bytes_of_a_message_that_still_waits_are_kept_however_old(world: World) -> None:
    await world.accept(world.acceptance("a@example.org", "b@example.org"))
    first, _ = await world.claim()
    await world.record(first, Step.DELIVERED)
    world.now += 100 * _DAY
    assert await _sweep(world, ERASE_BYTES, _DAY) == 0


async def test_a_held_message_is_kept_however_old(world: World) -> None:
    await _ended(world, Step.SET_ASIDE)
    world.now += 100 * _DAY
    assert await _sweep(world, FORGET_NOTIFICATIONS, _DAY) == 0


async def test_a_forgotten_notification_leaves_no_row_behind_but_in_the_tally(
    world: World,
) -> None:
    await _ended(world)
    await _ended(world, Step.RECIPIENT_REFUSED)
    world.now += 2 * _DAY
    kept = await _ended(world)
    assert await _sweep(world, FORGET_NOTIFICATIONS, _DAY) == 2
    for column in (content.c.id, message.c.id, notification.c.id):
        assert await world.count(column) == 1
    assert await world.count(event.c.id) == 2
    assert await world.status(kept) == "sent"


async def test_the_sums_close_after_retention(world: World) -> None:
    for step in (Step.DELIVERED, Step.DELIVERED, Step.RECIPIENT_REFUSED):
        await _ended(world, step)
    world.now += 2 * _DAY
    while await _sweep(world, FORGET_NOTIFICATIONS, _DAY, most=1):
        pass
    await _ended(world)

    def tallied(connection: Connection) -> Mapping[str, int]:
        rows = connection.execute(select(tally.c.status, tally.c.messages))
        return {row[0]: row[1] for row in rows}

    assert await world.store.read(tallied) == {"sent": 2, "bounced": 1}
    assert await world.store.read(notifications.statuses) == {"sent": 1}


async def test_a_batch_takes_no_more_than_it_may(world: World) -> None:
    for _ in range(3):
        await _ended(world)
    world.now += 2 * _DAY
    assert await _sweep(world, FORGET_NOTIFICATIONS, _DAY, most=2) == 2
    assert await _sweep(world, FORGET_NOTIFICATIONS, _DAY, most=2) == 1


async def test_an_idempotency_key_is_forgotten_after_its_day(world: World) -> None:
    await world.accept(world.acceptance(once=OnceKey("create", "k", "print", "answer")))
    world.now += timedelta(hours=23)
    assert await _sweep(world, FORGET_KEYS, _DAY) == 0
    world.now += timedelta(hours=2)
    assert await _sweep(world, FORGET_KEYS, _DAY) == 1
    assert await world.count(idempotency.c.key) == 0


async def test_events_of_no_notification_go_by_their_own_age(world: World) -> None:
    await _ended(world)

    def loosen(connection: Connection) -> None:
        connection.execute(update(event).values(notification_id=None))
        connection.commit()

    with world.store.database.engine.connect() as connection:
        loosen(connection)
    world.now += 2 * _DAY
    assert await _sweep(world, FORGET_LOOSE_EVENTS, _DAY) == 2
    assert await world.store.read(lambda c: c.execute(select(func.count(event.c.id))).scalar()) == 0
