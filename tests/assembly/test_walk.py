"""Every number moves when the thing happens: mails on a real store, against scripted relays."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from notifier.assembly.health import Condition
from notifier.assembly.watch import Watch
from notifier.observe.alarms import Alarms
from notifier.observe.exposition import page
from notifier.observe.facts import MessageAlarmed
from notifier.observe.metrics import Metrics
from notifier.settings.sections import DatabaseSettings
from tests.dispatch.wing import QUICK, Wing, claim_as_another, wing_of, working
from tests.observe.test_metrics import samples
from tests.support.office import Office, mail, open_office
from tests.support.scripted_smtp import Act, Drop, Say, ScriptedSmtp, Step

pytestmark = pytest.mark.anyio

Walk = Callable[[Wing], Awaitable[object]]


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    url = SecretStr(f"sqlite:///{tmp_path}/notifier.db")
    async with open_office(DatabaseSettings(url=url), tmp_path) as opened:
        yield opened


@pytest.fixture
async def server() -> AsyncIterator[ScriptedSmtp]:
    async with ScriptedSmtp() as running:
        yield running


def counted(office: Office, wing: Wing) -> dict[str, float]:
    metrics = Metrics(["main"], clock=lambda: office.clock().timestamp())
    for fact in (*office.facts, *wing.facts):
        metrics.observe(fact)
    found = samples(page(metrics.read(), {}, ""))
    return {name: value for name, value in found.items() if value}


@asynccontextmanager
async def at_work(office: Office, server: ScriptedSmtp, **more: str) -> AsyncIterator[Wing]:
    async with working(wing_of(office, server.target(**QUICK), **more)) as wing:  # type: ignore[arg-type]
        yield wing


async def test_a_mail_that_is_sent(office: Office, server: ScriptedSmtp) -> None:
    async with at_work(office, server) as wing:
        await wing.send()
        await wing.steps(1)
    found = counted(office, wing)
    assert found["notifier_accepted_total{stream=transactional}"] == 1
    assert found["notifier_messages_total{status=sent}"] == 1
    assert found["notifier_attempts_total{relay=main,verdict=sent}"] == 1
    assert found["notifier_delivery_seconds_count{stream=transactional}"] == 1
    assert found["notifier_attempt_seconds_sum{relay=main}"] > 0


async def test_a_scheduled_mail_s_delivery_counts_from_its_time(
    office: Office, server: ScriptedSmtp
) -> None:
    async with at_work(office, server) as wing:
        await wing.send(mail(scheduled_at=office.clock() + timedelta(hours=1)))
        wing.pass_time(3602)
        await wing.steps(1)
    assert counted(office, wing)["notifier_delivery_seconds_sum{stream=transactional}"] == 2


WALKS: list[tuple[Step, Act, str, list[str]]] = [
    (
        Step.RCPT,
        Say(550, "5.1.1 no such user"),
        "retry",
        ["messages_total{status=bounced}", "attempts_total{relay=main,verdict=bounced}"],
    ),
    (
        Step.RCPT,
        Say(451, "4.7.1 greylisted"),
        "retry",
        ["messages_total{status=deferred}", "attempts_total{relay=main,verdict=retry}"],
    ),
    (
        Step.RCPT,
        Say(550, "5.7.1 blocked for ann@example.org"),
        "retry",
        [
            "messages_total{status=rejected}",
            "alerts_total{reason=policy}",
            "errors_total{event=message.alarmed}",
        ],
    ),
    (
        Step.DOT,
        Drop(taken=True),
        "retry",
        [
            "messages_total{status=deferred}",
            "attempts_total{relay=main,verdict=ambiguous}",
            "ambiguous_total{cause=dot_dropped}",
        ],
    ),
    (Step.DOT, Drop(taken=True), "hold", ["messages_total{status=held}"]),
    (
        Step.MAIL,
        Say(535, "5.7.8 who are you"),
        "retry",
        ["relay_changes_total{relay=main,state=paused}", "errors_total{event=relay.paused}"],
    ),
]


@pytest.mark.parametrize(("step", "act", "on_ambiguous", "names"), WALKS)
async def test_what_a_relay_does_moves_the_numbers(
    step: Step, act: Act, on_ambiguous: str, names: list[str], office: Office, server: ScriptedSmtp
) -> None:
    server.on(step, act, times=1)
    async with at_work(office, server, on_ambiguous=on_ambiguous) as wing:
        await wing.send()
        await wing.steps(1)
    found = counted(office, wing)
    assert {name: found.get(f"notifier_{name}") for name in names} == dict.fromkeys(names, 1)


async def test_a_relay_that_refuses_us_is_an_error_once_and_not_with_each_mail(
    office: Office, server: ScriptedSmtp
) -> None:
    server.on(Step.MAIL, Say(535, "5.7.8 who are you"))
    async with at_work(office, server) as wing:
        await wing.send()
        await wing.steps(1)
    assert [fact.event for fact in wing.facts if fact.level == "error"] == ["relay.paused"]


async def test_a_claim_that_left_no_outcome_is_ambiguous(
    office: Office, server: ScriptedSmtp
) -> None:
    await office.accept()
    await claim_as_another(office)
    office.clock.move(60)
    async with at_work(office, server) as wing:
        await wing.steps(1)
    found = counted(office, wing)
    assert found["notifier_ambiguous_total{cause=claim_without_outcome}"] == 1


async def test_a_relay_that_is_down_counts_once_per_outage(
    office: Office, server: ScriptedSmtp
) -> None:
    async with at_work(office, server) as wing:
        await server.close()
        sent = await wing.send()
        await wing.told("relay.resting")
        assert [one.state for one in wing.relays.health()] == ["resting"]
        await server.open()
        await wing.passing_time_until("sent", sent)
    found = counted(office, wing)
    assert found["notifier_relay_changes_total{relay=main,state=resting}"] == 1
    assert found["notifier_relay_changes_total{relay=main,state=up}"] == 1


async def test_a_refusal_by_policy_is_an_error_in_the_log_and_degrades(
    office: Office, server: ScriptedSmtp
) -> None:
    server.on(Step.RCPT, Say(554, "5.7.1 <ann@example.org>: spam"))
    alarms, store = Alarms(), office.desk.store
    async with at_work(office, server) as wing:
        await wing.send()
        (fact,) = await wing.steps(1)
        alarms.observe(fact)
        condition = Condition(store, Watch(store, office.clock), alarms, wing.stop, wing.relays)
        health = await condition()
    assert isinstance(fact, MessageAlarmed)
    assert fact.level == "error"
    assert health.status == "degraded"
    assert health.reasons == ("relay main refused 1 mail (policy), the last one 0 s ago",)


async def test_a_message_held_for_its_unknown_outcome_degrades(
    office: Office, server: ScriptedSmtp
) -> None:
    server.on(Step.DOT, Drop(taken=True))
    store = office.desk.store
    async with at_work(office, server, on_ambiguous="hold") as wing:
        await wing.send()
        await wing.steps(1)
        health = await Condition(store, Watch(store, office.clock), Alarms(), wing.stop)()
    assert health.status == "degraded"
    assert health.reasons[0].startswith("1 message is held")
