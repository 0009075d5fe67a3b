"""Which relay a mail goes to."""

import asyncio
from dataclasses import replace

import pytest

from notifier.core.errors import Misconfigured
from notifier.core.verdict import Action
from notifier.observe.facts import RelayPassedOver
from notifier.settings.sections import RelaySettings
from notifier.smtp.limits import deadline_s, dialogue_s, opening_s
from notifier.smtp.relays import Relays
from tests.smtp.desk import PATIENT, desk, short
from tests.support.scripted_smtp import EXTENSIONS, Drop, Hang, Say, ScriptedSmtp, Step

pytestmark = pytest.mark.anyio
LONG = {**PATIENT, "rest_s": 3600}


async def test_the_first_relay_takes_all_while_it_works() -> None:
    async with ScriptedSmtp() as one, ScriptedSmtp() as two:
        async with desk(one.target("one", **PATIENT), two.target("two", **PATIENT)) as sender:
            attempts = [await sender.send() for _ in range(3)]
        assert two.connections == []
    assert {attempt.relay for attempt in attempts} == {"one"}


async def test_the_second_relay_steps_in_at_once_and_the_first_comes_back() -> None:
    async with ScriptedSmtp() as one, ScriptedSmtp() as two:
        await one.close()
        async with desk(one.target("one", **PATIENT), two.target("two", **PATIENT)) as sender:
            attempt = await sender.send()
            assert (attempt.relay, attempt.verdict.action) == ("two", Action.SENT)
            await one.open()
            while (await sender.send()).relay != "one":
                pass  # its rest ends after 20 ms
            assert sender.told() == ["relay.resting", "relay.passed_over", "relay.up"]
            (passed,) = [fact for fact in sender.facts if isinstance(fact, RelayPassedOver)]
            assert (passed.relay, passed.verdict) == ("one", "relay_down")


async def test_a_misconfigured_first_relay_is_stepped_over() -> None:
    async with ScriptedSmtp(users={"u": "p"}) as one, ScriptedSmtp() as two:
        first = one.target("one", user=("u", "wrong"), **LONG)
        async with desk(first, two.target("two", **LONG)) as sender:
            attempts = [await sender.send() for _ in range(3)]
            states = [health.state for health in sender.relays.health()]
        assert len(one.connections) == 1
    assert states == ["paused", "up"]
    assert [(a.relay, a.verdict.action) for a in attempts] == [("two", Action.SENT)] * 3


@pytest.mark.parametrize(
    ("step", "act"),
    [
        (Step.DOT, Drop(taken=True)),
        (Step.DOT, Say(554, "spam")),
        (Step.RCPT, Say(550, "5.1.1 no")),
        (Step.RCPT, Say(450, "later")),
        (Step.RCPT, Drop()),
    ],
    ids=repr,
)
async def test_a_mail_that_the_first_relay_saw_does_not_go_to_the_second(
    step: Step, act: Drop | Say
) -> None:
    async with ScriptedSmtp() as one, ScriptedSmtp() as two:
        one.on(step, act)
        async with desk(one.target("one", **LONG), two.target("two", **LONG)) as sender:
            attempt = await sender.send()
        assert two.connections == []
    assert attempt.relay == "one"


async def test_a_mail_that_one_relay_cannot_take_goes_to_another() -> None:
    small = ScriptedSmtp(extensions=["SIZE 10"])
    plain = ScriptedSmtp(extensions=["SMTPUTF8"])
    async with (
        small as one,
        plain as two,
        desk(one.target("one", **LONG), two.target("two", **LONG)) as sender,
    ):
        attempt = await sender.send(to="j\u00f6rg@example.org")
        assert [health.state for health in sender.relays.health()] == ["up", "up"]
    assert (attempt.relay, attempt.verdict.action) == ("two", Action.SENT)


@pytest.mark.parametrize("down_first", [True, False])
async def test_a_mail_is_not_rejected_while_a_relay_that_may_take_it_is_down(
    *, down_first: bool
) -> None:
    plain = [name for name in EXTENSIONS if name != "SMTPUTF8"]
    async with ScriptedSmtp(extensions=plain) as unfit, ScriptedSmtp() as down:
        await down.close()
        targets = [unfit.target("unfit", **LONG), down.target("down", **LONG)]
        if down_first:
            targets.reverse()
        async with desk(*targets) as sender:
            tried = await sender.send(to="j\u00f6rg@example.org")
            skipped = await sender.send(to="j\u00f6rg@example.org")
    assert tried.verdict.action is Action.RELAY_DOWN
    assert skipped.verdict.action is Action.RELAY_DOWN


async def test_test_mail_goes_to_a_capturing_relay_only() -> None:
    async with ScriptedSmtp() as live, ScriptedSmtp() as capture:
        async with desk(
            live.target("live", **LONG), capture.target("capture", captures=True, **LONG)
        ) as sender:
            tested = await sender.send(route="test")
            sent = await sender.send()
        assert (len(live.accepted), len(capture.accepted)) == (1, 1)
    assert (tested.relay, tested.captures) == ("capture", True)
    assert (sent.relay, sent.captures) == ("live", False)


async def test_live_mail_never_falls_back_to_a_capturing_relay() -> None:
    async with ScriptedSmtp() as live, ScriptedSmtp() as capture:
        await live.close()
        async with desk(
            live.target("live", **LONG), capture.target("capture", captures=True, **LONG)
        ) as sender:
            attempt = await sender.send()
        assert capture.connections == []
    assert attempt.verdict.action is Action.RELAY_DOWN


async def test_live_mail_is_captured_where_nothing_else_is_configured() -> None:
    async with ScriptedSmtp() as capture:
        async with desk(capture.target("capture", captures=True, **LONG)) as sender:
            attempt = await sender.send()
        assert attempt.captures
        assert len(capture.accepted) == 1


async def test_live_mail_waits_where_a_capturing_relay_does_not_stand_in() -> None:
    async with ScriptedSmtp() as capture:
        target = replace(capture.target("capture", captures=True, **LONG), stands_in=False)
        async with desk(target) as sender:
            assert not sender.relays.is_usable("live")
            attempt = await sender.send()
        assert capture.connections == []
    assert short(attempt.outcome) == "connect no_relay_usable"


async def test_test_mail_without_a_capturing_relay_is_not_sent_anywhere() -> None:
    async with ScriptedSmtp() as live:
        async with desk(live.target("live", **LONG)) as sender:
            attempt = await sender.send(route="test")
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await sender.relays.usable("test")
        assert live.connections == []
    assert attempt.relay == "none"
    assert attempt.verdict.action is Action.RELAY_DOWN


async def test_each_relay_rests_for_itself() -> None:
    async with ScriptedSmtp() as one, ScriptedSmtp() as two:
        one.on(Step.CONNECT, Say(450, "busy"))
        async with desk(one.target("one", **LONG), two.target("two", **LONG)) as sender:
            await sender.send()
            async with asyncio.timeout(5):
                await sender.relays.usable("live")
            states = {health.name: health.state for health in sender.relays.health()}
    assert states == {"one": "resting", "two": "up"}


async def test_an_attempt_carries_the_relays_own_id_and_the_time_it_took() -> None:
    async with ScriptedSmtp() as server, desk(server.target("one", **LONG)) as sender:
        attempt = await sender.send()
    assert attempt.queue_id == "S0000"
    assert 0 < attempt.elapsed_ms < 5000
    assert short(attempt.outcome) == "dot 250"


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("mail.example.org", "mail.example.org"),
        ("[192.0.2.1]", "[192.0.2.1]"),
        ("m\u00fc.de", "xn--m-eha.de"),
    ],
)
async def test_ehlo_says_the_configured_name(given: str, sent: str) -> None:
    async with ScriptedSmtp() as server:
        async with desk(server.target(**LONG), helo_name=given) as sender:
            await sender.send()
        assert server.connections[0].commands[0] == f"EHLO {sent}"


async def test_ehlo_has_a_name_without_asking_a_resolver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.getfqdn", lambda *_: pytest.fail("asked the resolver"))
    monkeypatch.setattr("socket.gethostname", lambda: "laptop")
    async with ScriptedSmtp() as server:
        async with desk(server.target(**LONG), helo_name=None) as sender:
            await sender.send()
        assert server.connections[0].commands[0] == "EHLO [127.0.0.1]"


@pytest.mark.parametrize("name", ["two words", "a\r\nRSET", "", "x" * 300, "-\u2603" * 80])
async def test_a_name_that_is_none_is_refused_at_start(name: str) -> None:
    with pytest.raises(Misconfigured, match="HELO_NAME"):
        Relays([], helo_name=name, observe=lambda fact: None)


async def test_a_send_ends_by_the_deadline_of_all_its_phases_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("notifier.smtp.fleet.Fleet.longest_s", lambda *_: 0.3)
    async with ScriptedSmtp() as server, desk(server.target(**PATIENT)) as sender:
        server.on(Step.DOT, Hang())
        attempt = await sender.send()
    assert (short(attempt.outcome), attempt.verdict.ambiguous) == ("dot timeout", True)


def test_the_deadline_covers_every_phase() -> None:
    limits = RelaySettings()
    assert dialogue_s(limits, 1000) >= 3 * 300 + 120 + 180 + 600
    assert opening_s(limits) >= 30 + 6 * 300
    assert deadline_s(limits, 10_000_000) > deadline_s(limits, 1000)
