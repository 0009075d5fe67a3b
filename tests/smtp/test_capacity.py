"""How many connections a relay takes, which it tells by refusing one."""

import asyncio
from typing import Any

import pytest

from notifier.core.verdict import Action
from notifier.smtp.capacity import NEXT_S, RETRY_S, Capacity
from tests.smtp.desk import PATIENT, desk
from tests.smtp.test_chaining_rules import Time
from tests.support.scripted_smtp import Act, Drop, Hold, Say, ScriptedSmtp, Step

pytestmark = pytest.mark.anyio
LONG: dict[str, Any] = {**PATIENT, "rest_s": 3600}


def test_a_refused_connection_lowers_the_limit_and_one_more_is_tried_later() -> None:
    clock = Time()
    capacity = Capacity(20, clock=clock)
    capacity.refused(still_open=7)
    assert capacity.now == 7
    clock.now += RETRY_S
    assert capacity.now == 8
    capacity.opened(8)
    assert capacity.now == 8
    clock.now += NEXT_S
    assert capacity.now == 9
    capacity.refused(still_open=8)
    assert capacity.now == 8


def test_the_limit_never_falls_below_one_nor_rises_above_what_is_configured() -> None:
    clock = Time()
    capacity = Capacity(2, clock=clock)
    capacity.refused(still_open=0)
    assert capacity.now == 1
    for _ in range(5):
        clock.now += RETRY_S
        capacity.opened(capacity.now)
    assert capacity.now == 2


def test_a_relay_that_is_down_says_nothing_about_their_number() -> None:
    capacity = Capacity(20)
    capacity.refused(still_open=3)
    capacity.forget()
    assert capacity.now == 20


@pytest.mark.parametrize("act", [Say(421, "4.7.0 too many"), Drop()], ids=repr)
@pytest.mark.parametrize("at_once", [True, False])
async def test_a_relay_that_takes_three_connections_gets_no_more_of_them(
    act: Act, *, at_once: bool
) -> None:
    async with ScriptedSmtp() as server:
        for number in range(4, 40):
            server.on(Step.CONNECT, act, connection=number)
        gate = asyncio.Event()
        if at_once:  # the good ones are greeted after the others were turned away
            for number in (1, 2, 3):
                server.on(Step.CONNECT, Hold(gate), connection=number)
        else:
            gate.set()
        target = server.target(connections=20, chaining=False, **LONG)
        async with desk(target) as sender:
            first = [sender.begin() for _ in range(60)]
            if at_once:
                await server.until(lambda: sum(not c.open for c in server.connections) >= 10)
                gate.set()
            attempts = await asyncio.gather(*first)
            opened = len(server.connections)
            attempts += await asyncio.gather(*[sender.send() for _ in range(60)])
            assert len(server.connections) == opened
            (health,) = sender.relays.health()
            assert (health.state, health.limit) == ("up", 3)
    assert {attempt.verdict.action for attempt in attempts} == {Action.SENT}


async def test_a_port_that_is_closed_to_many_at_once_sends_the_relay_to_rest_once() -> None:
    async with ScriptedSmtp() as server:
        target = server.target(connections=20, **LONG)
    async with desk(target) as sender:
        attempts = await asyncio.gather(*[sender.send() for _ in range(60)])
        assert sender.told() == ["relay.resting"]
        assert sender.relays.health()[0].limit == 20
    assert {attempt.verdict.action for attempt in attempts} == {Action.RELAY_DOWN}
