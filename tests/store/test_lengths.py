"""The longest that is let in has room: PostgreSQL refuses what is too long, SQLite never does."""

from dataclasses import replace

import pytest

from notifier.core.envelope import Envelope
from notifier.core.message import Step
from notifier.store.acceptance import Acceptance, OnceKey
from notifier.store.outcomes import RECORD, Outcome
from tests.store.world import World

pytestmark = pytest.mark.anyio

DOMAIN = ".".join(["d" * 61] * 4)
ADDRESS = f"ab@{DOMAIN}"[:254]


def longest(world: World) -> Acceptance:
    """RFC 5321's longest addresses and what the API's limits allow beside them."""
    once = OnceKey("create_notification", "k" * 256, "f" * 64, "a" * 100_000)
    item = world.acceptance(ADDRESS, once=once)
    message_id = f"<{item.messages[0].id.removeprefix('msg_')}@{DOMAIN}>"
    one = replace(
        item.messages[0], envelope=Envelope(ADDRESS, ADDRESS, True), message_id=message_id
    )
    new = replace(
        item.notification,
        reference="r" * 255,
        template="t" * 64,
        template_version="v" * 64,
        tags={"t" * 100: "v" * 1000},
        metadata={"m": "é" * 2000},
    )
    return replace(item, messages=(one,), notification=new)


async def test_the_longest_notification_is_stored_and_read_back(world: World) -> None:
    item = longest(world)
    assert await world.accept(item) is None
    view = await world.view(item.notification.id)
    assert view.messages[0].message_id == item.messages[0].message_id
    assert (view.reference, view.metadata) == ("r" * 255, {"m": "é" * 2000})


async def test_the_longest_a_relay_can_be_called_and_say_is_recorded(world: World) -> None:
    await world.accept(world.acceptance())
    (claimed,) = await world.claim()
    outcome = Outcome(
        claimed.claim, world.now, Step.DELIVERED, None, 1, (), relay="r" * 255, queue_id="q" * 200
    )
    assert await world.store.write(RECORD, outcome) is True
