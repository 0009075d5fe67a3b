"""A confirmation code behind a hundred thousand bulk mails and a slow relay."""

import asyncio
import time
from datetime import timedelta

import pytest

from notifier.dispatch.lane import Pace
from tests.dispatch.wing import LEASE_S, QUICK, wing_of, working
from tests.store.bulk import due_bulk
from tests.store.world import World
from tests.support.office import Office
from tests.support.scripted_smtp import Hold, ScriptedSmtp, Step

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]

LIFE = timedelta(days=1)


async def test_a_confirmation_code_behind_a_hundred_thousand_bulk_mails_leaves_within_5_s(
    each: Office, server: ScriptedSmtp
) -> None:
    """The relay takes as long for each bulk mail as it likes: all seats that bulk may take, and
    all connections but one, wait for it.
    """
    due_bulk(World(each.desk.store, each.desk.new_id, each.clock(), LIFE), "shop", 100_000)
    slow = asyncio.Event()
    server.on(Step.DOT, Hold(slow), recipient="b@example.org")
    pace = Pace(20, LEASE_S, 60, 0, urgent_seats=5)
    async with working(wing_of(each, server.target(**QUICK), pace=pace)) as wing:
        await server.until(lambda: len(server.connections) >= 9)
        began = time.monotonic()
        await each.register("ann@example.org")
        wing.bell.ring()
        (step,) = await wing.steps(1)
        assert time.monotonic() - began < 5
        assert (step.recipient, step.status) == ("a***@example.org", "sent")
        slow.set()
