"""Relays that an operator holds, and what is told about relays that are not up."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from notifier.core.verdict import Action
from notifier.observe.facts import RelayPaused
from tests.smtp.desk import PATIENT, Desk, desk
from tests.support.scripted_smtp import Hold, Say, ScriptedSmtp, Step

pytestmark = pytest.mark.anyio
LONG: dict[str, Any] = {**PATIENT, "rest_s": 3600}


def state(sender: Desk) -> tuple[str, str | None]:
    health = sender.relays.health()[0]
    return health.state, health.reason


async def test_a_held_relay_is_paused_until_it_is_not_named_any_more() -> None:
    async with ScriptedSmtp() as server, desk(server.target(**LONG)) as sender:
        sender.relays.hold({"main": "moving house"})
        assert state(sender) == ("paused", "by an operator: moving house")
        attempt = await sender.send()
        assert (attempt.verdict.action, attempt.verdict.burns_attempt) == (Action.RELAY_DOWN, False)
        assert server.connections == []
        sender.relays.hold({})
        assert state(sender) == ("up", None)
        assert (await sender.send()).verdict.action is Action.SENT


async def test_holding_again_says_nothing_new_unless_the_reason_is() -> None:
    async with ScriptedSmtp() as server, desk(server.target(**LONG)) as sender:
        for reason in ("one", "one", "two"):
            sender.relays.hold({"main": reason})
        reasons = [fact.reason for fact in sender.facts if isinstance(fact, RelayPaused)]
        assert reasons == ["by an operator: one", "by an operator: two"]
        sender.relays.hold({})
        sender.relays.hold({})
        assert sender.told().count("relay.up") == 1


async def test_a_hold_lets_mails_under_way_finish_and_turns_those_in_line_away() -> None:
    gate = asyncio.Event()
    async with ScriptedSmtp() as server:
        server.on(Step.DOT, Hold(gate), times=1)
        async with desk(server.target(connections=1, chaining=False, **LONG)) as sender:
            first, second = sender.begin(), sender.begin()
            await server.until(lambda: len(server.accepted) == 1)
            sender.relays.hold({"main": "stop"})
            assert (await second).verdict.reason == "no_relay_usable"
            gate.set()
            assert (await first).verdict.action is Action.SENT
            assert state(sender)[0] == "paused"
        assert len(server.accepted) == 1


async def test_a_held_relay_is_not_probed() -> None:
    async with ScriptedSmtp() as server, desk(server.target(**LONG)) as sender:
        sender.relays.hold({"main": "stop"})
        sender.relays.probe_now("main")
        assert (sender.relays.room("live"), sender.relays.health()[0].retry_at) == (0, None)


async def test_a_held_relay_is_stepped_over_while_another_works() -> None:
    async with (
        ScriptedSmtp() as one,
        ScriptedSmtp() as two,
        desk(one.target("one", **LONG), two.target("two", **LONG)) as sender,
    ):
        sender.relays.hold({"one": "stop"})
        assert (await sender.send()).relay == "two"
        assert not sender.relays.is_paused("live")
        sender.relays.hold({"one": "stop", "two": "stop"})
        assert sender.relays.is_paused("live")


async def test_a_relay_that_was_ill_before_the_hold_is_probed_after_it() -> None:
    async with ScriptedSmtp() as server:
        server.on(Step.CONNECT, Say(450, "busy"), times=1)
        async with desk(server.target(**LONG)) as sender:
            await sender.send()
            sender.relays.hold({"main": "stop"})
            sender.relays.hold({})
            assert (state(sender)[0], sender.relays.room("live")) == ("resting", 1)
            assert (await sender.send()).verdict.action is Action.SENT
            assert state(sender)[0] == "up"


async def test_a_failure_of_a_mail_from_before_the_hold_does_not_end_it() -> None:
    gate = asyncio.Event()
    async with ScriptedSmtp() as server:
        server.on(Step.AUTH, Hold(gate, Say(535, "5.7.8 no")))
        server.users = {"u": "p"}
        async with desk(server.target(user=("u", "p"), **LONG)) as sender:
            first = sender.begin()
            await server.until(lambda: any("AUTH" in c.verbs() for c in server.connections))
            sender.relays.hold({"main": "stop"})
            gate.set()
            await first
            assert state(sender)[1] == "by an operator: stop"


@pytest.mark.parametrize("step", [Step.CONNECT, Step.EHLO])
async def test_probe_now_ends_a_rest_and_a_pause_of_its_own(step: Step) -> None:
    async with ScriptedSmtp() as server:
        server.on(step, Say(450 if step is Step.CONNECT else 550, "no"), times=1)
        async with desk(server.target(**LONG)) as sender:
            await sender.send()
            assert sender.relays.room("live") == 0
            sender.relays.probe_now("main")
            assert sender.relays.room("live") == 1
            assert (await sender.send()).verdict.action is Action.SENT


async def test_is_paused_is_not_said_of_rests_nor_of_routes_without_relays() -> None:
    async with ScriptedSmtp() as server:
        server.on(Step.CONNECT, Say(450, "busy"), times=1)
        async with desk(server.target(**LONG)) as sender:
            await sender.send()
            assert state(sender)[0] == "resting"
            assert not sender.relays.is_paused("live")
            assert not sender.relays.is_paused("test")


async def test_health_tells_when_a_relay_is_probed_again() -> None:
    async with ScriptedSmtp() as server:
        server.on(Step.EHLO, Say(550, "no"))
        async with desk(server.target(**{**PATIENT, "rest_s": 60})) as sender:
            await sender.send()
            (health,) = sender.relays.health()
    assert health.retry_at is not None
    assert health.retry_at - health.since == pytest.approx(timedelta(seconds=300), abs=timedelta(1))
