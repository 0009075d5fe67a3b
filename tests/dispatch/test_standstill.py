"""Lives that end while nothing can be sent, and default lives that stand still."""

from datetime import timedelta

import pytest

from notifier.dispatch.lane import Pace
from notifier.dispatch.standstill import Standstill
from notifier.store.standstill import SAY_PAUSED, totals
from tests.dispatch.wing import LEASE_S, QUICK, Wing, wing_of, working
from tests.support.office import Office, mail
from tests.support.scripted_smtp import ScriptedSmtp

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(30)]

DAY_S = 86_400
PACE = Pace(20, LEASE_S, 60, 5, ended_s=0.02)


async def paused_for(wing: Wing, seconds: float) -> None:
    """All relays are paused, and it is said every few seconds."""
    wing.relays.hold({"main": "by hand"})
    still = Standstill(wing.office.desk.store, wing.relays, wing.office.clock)
    await still.say()
    while seconds > 0:
        wing.office.clock.move(min(seconds, 5))
        seconds -= 5
        await still.say()


async def test_a_mail_expires_on_time_while_its_relay_is_paused(
    each: Office, server: ScriptedSmtp
) -> None:
    sent = await each.accept(mail(expires_at=each.clock() + timedelta(hours=1)))
    later = await each.accept(mail(expires_at=each.clock() + timedelta(hours=2)))
    wing = wing_of(each, server.target(**QUICK), pace=PACE)
    wing.relays.hold({"main": "by hand"})
    each.clock.move(3600)
    async with working(wing):
        await wing.steps(1)
    assert await each.status(sent.notification_id) == "expired"
    assert await each.status(later.notification_id) == "queued"
    assert server.connections == []


async def test_more_expired_mails_than_seats_all_end(office: Office, server: ScriptedSmtp) -> None:
    for _ in range(7):
        await office.accept(mail(expires_at=office.clock() + timedelta(hours=1)))
    wing = wing_of(office, server.target(**QUICK), pace=Pace(3, LEASE_S, 60, 5, ended_s=60))
    wing.relays.hold({"main": "by hand"})
    office.clock.move(3600)
    async with working(wing):
        steps = await wing.steps(7)
    assert {step.status for step in steps} == {"expired"}


async def test_the_next_end_is_waited_for(office: Office) -> None:
    wing = wing_of(office)
    await office.accept(mail(expires_at=office.clock() + timedelta(seconds=100)))
    await office.accept(mail(expires_at=office.clock() + timedelta(seconds=40)))
    room = PACE.capacity.beside([])
    assert await wing.lane.claim_ended(room) == ((), 40)
    office.clock.move(40)
    jobs, next_s = await wing.lane.claim_ended(room)
    assert (len(jobs), next_s) == (1, 60)


async def test_a_default_life_stands_still_while_every_relay_is_paused(
    each: Office, server: ScriptedSmtp
) -> None:
    default = await each.accept()
    asked = await each.accept(mail(expires_at=each.clock() + timedelta(days=1)))
    wing = wing_of(each, server.target(**QUICK), pace=PACE)
    await paused_for(wing, 60)
    wing.relays.hold({})
    each.clock.move(DAY_S - 30)
    async with working(wing):
        await wing.steps(2)
    assert await each.status(default.notification_id) == "sent"
    assert await each.status(asked.notification_id) == "expired"


async def test_it_ends_after_its_life_and_the_standstill(
    each: Office, server: ScriptedSmtp
) -> None:
    sent = await each.accept()
    wing = wing_of(each, server.target(**QUICK), pace=PACE)
    await paused_for(wing, 60)
    each.clock.move(DAY_S - 0.001)
    room = PACE.capacity.beside([])
    assert (await wing.lane.claim_ended(room))[0] == ()
    each.clock.move(0.001)
    async with working(wing):
        await wing.steps(1)
    assert await each.status(sent.notification_id) == "expired"


async def test_a_standstill_before_a_mail_was_accepted_does_not_lengthen_its_life(
    each: Office, server: ScriptedSmtp
) -> None:
    wing = wing_of(each, server.target(**QUICK), pace=PACE)
    await paused_for(wing, 60)
    wing.relays.hold({})
    sent = await each.accept()
    each.clock.move(DAY_S)
    async with working(wing):
        await wing.steps(1)
    assert await each.status(sent.notification_id) == "expired"


async def test_a_sign_ups_mail_ends_with_its_link(each: Office, server: ScriptedSmtp) -> None:
    await each.register()
    wing = wing_of(each, server.target(**QUICK), pace=PACE)
    await paused_for(wing, 60)
    wing.relays.hold({})
    each.clock.move(DAY_S - 60)
    async with working(wing):
        (step,) = await wing.steps(1)
    assert step.status == "expired"


async def test_each_second_of_a_pause_counts_once_however_many_say_it(each: Office) -> None:
    store, began = each.desk.store, each.clock()
    for at in (0, 5, 5, 8, 7, 12, 41.999, 71.999, 75):
        await store.write(SAY_PAUSED, ("live", began + timedelta(seconds=at)))
    # 12 s, 29.999 s, nothing for a gap of 30 s, and 3.001 s.
    assert await store.read(totals) == {"live": 45_000_000}


async def test_nothing_is_said_of_a_relay_that_works(office: Office, server: ScriptedSmtp) -> None:
    wing = wing_of(office, server.target(**QUICK))
    await Standstill(office.desk.store, wing.relays, office.clock).say()
    assert await office.desk.store.read(totals) == {}
