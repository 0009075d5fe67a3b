"""What becomes of a message, by what the relay says and does."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from notifier.core.message import FINAL, Status
from notifier.dispatch.lane import Lease
from notifier.flows.desk import Client
from notifier.store.seal import Seal
from tests.dispatch.wing import (
    LEASE_S,
    QUICK,
    bitten,
    claim_as_another,
    store_away,
    wing_of,
    working,
)
from tests.support.office import Office, boxes, mail
from tests.support.scripted_smtp import Drop, Hold, Say, ScriptedSmtp, Step

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(30)]


async def kinds(office: Office, notification_id: str) -> list[str]:
    return [event.type for event in await office.story(notification_id)]


async def test_a_250_to_the_dot_is_sent_with_the_relays_own_id(
    each: Office, server: ScriptedSmtp
) -> None:
    server.on(Step.DOT, Say(250, "2.0.0 Ok: queued as 4ABC"))
    async with working(wing_of(each, server.target(**QUICK))) as wing:
        sent = await wing.send()
        await wing.steps(1)
    (one,) = (await each.view(sent)).messages
    assert (one.status, one.relay, one.queue_id) == (Status.SENT, "main", "4ABC")
    assert (one.attempts, one.sent_at) == (1, each.clock())
    (mail,) = server.accepted
    assert (mail.mail_from, mail.rcpt_to) == ("bounces@example.com", "ann@example.org")
    assert [mail.content] == await each.bodies()
    accepted, step = await each.story(sent)
    assert (accepted.type, step.type, step.message_id) == (
        "notification.accepted", "message.sent", one.id,
    )  # fmt: skip
    tried = dict(step.data["attempt"])
    assert tried.pop("ms") >= 0
    assert tried == {
        "n": 1, "of": 12, "relay": "main", "phase": "dot", "code": 250, "enhanced": "2.0.0",
        "text": "Ok: queued as 4ABC",
    }  # fmt: skip
    assert (step.data["ambiguous"], step.data["action"]) == (False, None)


async def test_each_recipient_has_his_own_fate(office: Office, server: ScriptedSmtp) -> None:
    server.on(Step.RCPT, Say(550, "5.1.1 no such user"), recipient="bob@example.org")
    server.on(Step.RCPT, Say(450, "4.2.0 later"), recipient="zoe@example.org")
    to = boxes("ann@example.org", "bob@example.org", "zoe@example.org")
    async with working(wing_of(office, server.target(**QUICK))) as wing:
        sent = await wing.send(mail(to=to))
        await wing.steps(3)
    assert [one.status for one in (await office.view(sent)).messages] == [
        Status.SENT,
        Status.BOUNCED,
        Status.DEFERRED,
    ]


@pytest.mark.parametrize(
    ("step", "reply", "status", "action"),
    [
        (Step.RCPT, "550 5.1.1 no such user", "bounced", "fix_address"),
        (Step.RCPT, "550 5.7.1 policy", "rejected", "fix_content_or_config"),
        (Step.DOT, "554 5.6.0 spam", "rejected", "fix_content_or_config"),
    ],
)
async def test_a_permanent_refusal_ends_it(
    office: Office, server: ScriptedSmtp, step: Step, reply: str, status: str, action: str
) -> None:
    server.on(step, Say(int(reply[:3]), reply[4:]))
    async with working(wing_of(office, server.target(**QUICK))) as wing:
        sent = await wing.send()
        await wing.steps(1)
        wing.pass_time(3600)
    last = (await office.story(sent))[-1]
    assert (await office.status(sent), last.type) == (status, f"message.{status}")
    assert last.data["action"] == action
    assert "outbox" not in await office.counts()


async def test_a_temporary_refusal_waits_and_is_tried_again(
    each: Office, server: ScriptedSmtp
) -> None:
    server.on(Step.RCPT, Say(450, "4.2.0 later"), times=1)
    async with working(wing_of(each, server.target(**QUICK))) as wing:
        sent = await wing.send()
        await wing.steps(1)
        (one,) = (await each.view(sent)).messages
        assert (one.status, one.attempts) == (Status.DEFERRED, 1)
        assert one.next_attempt_at is not None
        deferred = (await each.story(sent))[-1]
        assert deferred.data["next_attempt_at"] == "2030-01-31T09:30:15.000Z"
        wing.pass_time(14.9)
        assert len(server.connections) == 1
        wing.pass_time(0.1)
        await wing.steps(2)
    assert await kinds(each, sent) == [
        "notification.accepted", "message.deferred", "message.sent",
    ]  # fmt: skip
    assert (await each.view(sent)).messages[0].attempts == 2


async def test_tries_are_used_up(office: Office, server: ScriptedSmtp) -> None:
    server.on(Step.DOT, Say(451, "4.0.0 later"))
    async with working(wing_of(office, server.target(**QUICK), attempts=3)) as wing:
        sent = await wing.send()
        for tries in range(1, 4):
            await wing.steps(tries)
            wing.pass_time(7200)
    assert await office.status(sent) == "failed"
    assert (await office.story(sent))[-1].data["action"] == "resend_or_operator"


async def test_a_drop_after_the_dot_is_ambiguous_and_retried_byte_for_byte(
    each: Office, server: ScriptedSmtp
) -> None:
    server.on(Step.DOT, Drop(taken=True), times=1)
    async with working(wing_of(each, server.target(**QUICK))) as wing:
        sent = await wing.send()
        await wing.steps(1)
        wing.pass_time(60)
        first, second = await wing.steps(2)
    assert (first.ambiguous, second.ambiguous) == (True, False)
    before, after = server.accepted
    assert before.content == after.content
    assert [event.data.get("ambiguous") for event in await each.story(sent)] == [None, True, False]


async def test_an_ambiguous_end_can_be_held_instead(office: Office, server: ScriptedSmtp) -> None:
    server.on(Step.DOT, Drop(taken=True), times=1)
    wing = wing_of(office, server.target(**QUICK), on_ambiguous="hold")
    async with working(wing):
        sent = await wing.send()
        await wing.steps(1)
        wing.pass_time(3600)
    assert (await office.status(sent), len(server.accepted)) == ("held", 1)
    assert (await office.story(sent))[-1].data["action"] == "operator"


async def test_a_relay_that_is_down_costs_no_attempt(each: Office, server: ScriptedSmtp) -> None:
    await server.close()
    async with working(wing_of(each, server.target(**QUICK), attempts=1)) as wing:
        sent = await wing.send()
        await wing.told("relay.resting")
        while len(wing.facts) < 5:
            wing.pass_time(1)
            await asyncio.sleep(0.01)
        (one,) = (await each.view(sent)).messages
        assert (one.attempts, one.status in FINAL) == (0, False)
        await server.open()
        await wing.passing_time_until("sent", sent)
    assert "relay.up" in [fact.event for fact in wing.facts]
    assert (await each.view(sent)).messages[0].attempts == 1


async def test_a_relay_that_wants_a_password_calls_for_the_operator(
    office: Office, server: ScriptedSmtp
) -> None:
    server.on(Step.MAIL, Say(530, "5.7.0 authentication required"))
    async with working(wing_of(office, server.target(**QUICK))) as wing:
        sent = await wing.send()
        await wing.steps(1)
    step = (await office.story(sent))[-1]
    assert (step.type, step.data["action"]) == ("message.deferred", "operator")
    assert (await office.view(sent)).messages[0].attempts == 0


async def test_no_relay_at_all_keeps_the_mail(office: Office) -> None:
    async with working(wing_of(office)) as wing:
        sent = await wing.send()
        assert not wing.lane.is_usable()
    assert await office.status(sent) == "queued"


async def test_a_claim_without_outcome_is_told_of_as_ambiguous(
    each: Office, server: ScriptedSmtp
) -> None:
    accepted = await each.accept()
    await claim_as_another(each)
    assert await each.status(accepted.notification_id) == "sending"
    async with working(wing_of(each, server.target(**QUICK))) as wing:
        wing.pass_time(LEASE_S)
        (step,) = await wing.steps(1)
    lost, sent = (await each.story(accepted.notification_id))[1:]
    assert (lost.type, lost.data["ambiguous"], sent.type) == (
        "message.claim_lost", True, "message.sent",
    )  # fmt: skip
    assert step.ambiguous


async def test_a_claim_without_outcome_can_be_held(office: Office, server: ScriptedSmtp) -> None:
    accepted = await office.accept()
    await claim_as_another(office)
    wing = wing_of(office, server.target(**QUICK), on_ambiguous="hold")
    async with working(wing):
        wing.pass_time(LEASE_S)
        await wing.steps(1)
    assert (await office.status(accepted.notification_id), server.connections) == ("held", [])


@pytest.mark.parametrize(("claims", "status"), [(4, "sent"), (5, "held")])
async def test_five_claims_without_outcome_set_it_aside(
    office: Office, server: ScriptedSmtp, claims: int, status: str
) -> None:
    accepted = await office.accept()
    for _ in range(claims):
        await claim_as_another(office)
        office.clock.move(LEASE_S)
    async with working(wing_of(office, server.target(**QUICK))) as wing:
        await wing.steps(1)
    assert await office.status(accepted.notification_id) == status


async def test_what_has_expired_is_not_sent(each: Office, server: ScriptedSmtp) -> None:
    accepted = await each.accept()
    each.clock.move(86_400)
    async with working(wing_of(each, server.target(**QUICK))) as wing:
        await wing.steps(1)
    assert await each.status(accepted.notification_id) == "expired"
    assert server.connections == []
    assert (await each.story(accepted.notification_id))[-1].data["action"] == "caller"


async def test_a_wait_ends_with_the_mails_life(office: Office, server: ScriptedSmtp) -> None:
    server.on(Step.DOT, Say(451, "4.0.0 later"))
    async with working(wing_of(office, server.target(**QUICK))) as wing:
        sent = await wing.send(mail(expires_at=office.clock.at.replace(second=10)))
        await wing.steps(1)
        wing.pass_time(10)
        await wing.steps(2)
    assert await office.status(sent) == "expired"


async def test_a_lapsed_lease_stops_the_send_before_the_dot(
    office: Office, server: ScriptedSmtp
) -> None:
    accepted = await office.accept()
    wing = wing_of(office, server.target(**QUICK))
    job, _ = await wing.claim_one()
    await wing.lane.perform(job, Lease(0))
    assert server.accepted == []
    again, lease = await wing.claim_one()  # at once, and with no try used up
    assert (again.attempt, again.orphaned) == (0, 0)
    await wing.lane.perform(again, lease)
    await wing.relays.aclose()
    assert await office.status(accepted.notification_id) == "sent"


async def test_an_outcome_is_kept_until_the_store_is_back(
    office: Office, server: ScriptedSmtp, tmp_path: Path
) -> None:
    """Also beyond the lease: while the store is away nobody else can have claimed the mail."""
    at_the_dot = asyncio.Event()
    rule = server.on(Step.DOT, Hold(at_the_dot))
    accepted = await office.accept()
    wing = wing_of(office, server.target(**QUICK))
    job, lease = await wing.claim_one()
    performing = asyncio.create_task(wing.lane.perform(job, lease))
    await bitten(rule)
    with store_away(tmp_path):
        lease.ends = 0
        at_the_dot.set()
        done, _ = await asyncio.wait({performing}, timeout=0.8)
        assert not done
    await performing
    await wing.relays.aclose()
    assert (await office.status(accepted.notification_id), len(server.accepted)) == ("sent", 1)


async def test_an_outcome_that_comes_too_late_leaves_the_state_to_its_new_owner(
    office: Office, server: ScriptedSmtp
) -> None:
    at_the_dot = asyncio.Event()
    rule = server.on(Step.DOT, Hold(at_the_dot))
    accepted = await office.accept()
    wing = wing_of(office, server.target(**QUICK))
    performing = asyncio.create_task(wing.lane.perform(*await wing.claim_one()))
    await bitten(rule)
    office.clock.move(LEASE_S)
    await claim_as_another(office)
    at_the_dot.set()
    await performing
    await wing.relays.aclose()
    assert await office.status(accepted.notification_id) == "sending"
    assert (await office.story(accepted.notification_id))[-1].type == "message.sent"
    assert "message.lease_lost" in [fact.event for fact in wing.facts]


@pytest.mark.parametrize("route", ["live", "test"])
async def test_a_test_keys_mail_never_reaches_a_live_relay(office: Office, route: Any) -> None:
    async with ScriptedSmtp() as live, ScriptedSmtp() as capture:
        targets = (live.target(**QUICK), capture.target("capture", captures=True, **QUICK))
        async with working(wing_of(office, *targets, route=route)) as wing:
            sent = await wing.send(client=Client("default", route))
            await wing.steps(1)
        used, unused = (live, capture) if route == "live" else (capture, live)
        assert (len(used.accepted), unused.connections) == (1, [])
    assert await office.status(sent) == ("sent" if route == "live" else "captured")


async def test_a_lane_leaves_the_other_routes_mail_alone(
    office: Office, server: ScriptedSmtp
) -> None:
    async with working(wing_of(office, server.target(**QUICK))) as wing:
        rehearsal = await wing.send(client=Client("default", "test"))
        real = await wing.send()
        await wing.steps(1)
    assert (await office.status(real), await office.status(rehearsal)) == ("sent", "queued")


async def test_a_test_keys_mail_without_a_capture_server_ends_captured(
    each: Office, server: ScriptedSmtp
) -> None:
    async with working(wing_of(each, server.target(**QUICK), route="test")) as wing:
        sent = await wing.send(client=Client("default", "test"))
        await wing.steps(1)
    assert (await each.status(sent), server.connections) == ("captured", [])


async def test_secrets_are_sent_open_and_then_erased(each: Office, server: ScriptedSmtp) -> None:
    await each.register()
    _, code = await each.secrets_of("ann@example.org")
    async with working(wing_of(each, server.target(**QUICK))) as wing:
        await wing.steps(1)
    assert code.encode() in server.accepted[0].content
    assert await each.bodies() == []


async def test_what_cannot_be_opened_is_held_not_sent(office: Office, server: ScriptedSmtp) -> None:
    begun = await office.register()
    office.desk.store.seal = Seal([b"another key of thirty-two bytes."])
    async with working(wing_of(office, server.target(**QUICK))) as wing:
        await wing.told("message.unreadable")
        (step,) = await wing.steps(1)
    assert (step.status, step.reason, server.connections) == ("held", "unreadable", [])
    assert begun.status == "pending"


async def test_a_hundred_mails_arrive_once_each(each: Office, server: ScriptedSmtp) -> None:
    to = [f"p{n}@example.org" for n in range(100)]
    requests = [mail(to=boxes(*to[n : n + 20])) for n in range(0, 100, 20)]
    async with working(wing_of(each, server.target(**QUICK))) as wing:
        await asyncio.gather(*map(wing.send, requests))
        await wing.steps(100)
    assert sorted(one.rcpt_to for one in server.accepted) == sorted(to)
    assert len(server.connections) <= 10
