"""A relay that does not work rests, is probed, and comes back."""

import asyncio
from typing import Any

import pytest

from notifier.core.reply import LinkFailure, LinkFault
from notifier.core.verdict import SEVERAL, Action
from notifier.observe.facts import RelayPaused, RelayResting
from notifier.smtp.breaker import FAILURES
from tests.smtp.desk import BOB, PATIENT, Desk, desk
from tests.support.scripted_smtp import Drop, Hang, Hold, Say, ScriptedSmtp, Step

pytestmark = pytest.mark.anyio
LONG: dict[str, Any] = {**PATIENT, "rest_s": 3600}


def state(sender: Desk) -> str:
    (health,) = sender.relays.health()
    return health.state


async def test_a_relay_rests_when_it_cannot_be_reached() -> None:
    async with ScriptedSmtp() as server:
        target = server.target(**LONG)
    async with desk(target) as sender:
        assert state(sender) == "up"
        await sender.send()
        health = sender.relays.health()[0]
        assert (health.name, health.state) == ("main", "resting")
        assert health.reason is not None
        assert health.reason.startswith("connect: refused")
        assert health.since.tzinfo is not None


async def test_a_resting_relay_is_left_alone() -> None:
    async with ScriptedSmtp() as server:
        server.on(Step.CONNECT, Say(450, "busy"))
        async with desk(server.target(**LONG)) as sender:
            await sender.send()
            attempt = await sender.send()
        assert len(server.connections) == 1
    assert isinstance(attempt.outcome, LinkFailure)
    assert attempt.outcome.fault is LinkFault.RESTING
    assert attempt.verdict.action is Action.RELAY_DOWN
    assert not attempt.verdict.burns_attempt


async def test_usable_returns_when_the_rest_is_over_and_the_probe_brings_it_back() -> None:
    async with ScriptedSmtp() as server:
        server.on(Step.CONNECT, Say(450, "busy"), times=3)
        async with desk(server.target(**PATIENT)) as sender:
            for _ in range(3):
                await sender.relays.usable("live")
                assert (await sender.send()).verdict.action is Action.RELAY_DOWN
            await sender.relays.usable("live")
            assert (await sender.send()).verdict.action is Action.SENT
            assert state(sender) == "up"
            # Once for each change, whatever the number of mails and probes
            assert sender.told() == ["relay.resting", "relay.up"]


async def test_one_probe_at_a_time_and_the_others_wait_for_its_end() -> None:
    gate = asyncio.Event()
    async with ScriptedSmtp() as server:
        server.on(Step.CONNECT, Say(450, "busy"), times=1)
        probe_rule = server.on(Step.CONNECT, Hold(gate), times=1)
        async with desk(server.target(**PATIENT)) as sender:
            await sender.send()
            await sender.relays.usable("live")
            assert sender.relays.room("live") == 1
            probe = asyncio.create_task(sender.send())
            await server.until(lambda: probe_rule.hits == 1)
            assert sender.relays.room("live") == 0
            other = asyncio.create_task(sender.send())
            waiting = asyncio.create_task(sender.relays.usable("live"))
            await asyncio.sleep(0)
            assert not waiting.done()
            assert not other.done()
            assert len(server.connections) == 2
            gate.set()
            await waiting
            assert sender.relays.room("live") is None
            attempts = await asyncio.gather(probe, other)
    assert [attempt.verdict.action for attempt in attempts] == [Action.SENT] * 2


async def test_mails_that_waited_for_a_probe_come_back_when_it_fails() -> None:
    gate = asyncio.Event()
    async with ScriptedSmtp() as server:
        server.on(Step.CONNECT, Say(450, "busy"), times=1)
        probe_rule = server.on(Step.CONNECT, Hold(gate, Say(450, "busy")))
        async with desk(server.target(**PATIENT)) as sender:
            await sender.send()
            await sender.relays.usable("live")
            sends = [asyncio.create_task(sender.send()) for _ in range(5)]
            await server.until(lambda: probe_rule.hits == 1)
            gate.set()
            attempts = await asyncio.gather(*sends)
    assert {attempt.verdict.action for attempt in attempts} == {Action.RELAY_DOWN}
    assert not any(attempt.verdict.burns_attempt for attempt in attempts)
    assert len(server.connections) == 2


async def test_the_wait_for_a_probe_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("notifier.smtp.relays.PROBE_PATIENCE_S", 0.05)
    async with ScriptedSmtp() as server:
        server.on(Step.CONNECT, Say(450, "busy"), times=1)
        probe_rule = server.on(Step.CONNECT, Hang())
        async with desk(server.target(**PATIENT)) as sender:
            await sender.send()
            await sender.relays.usable("live")
            probe = asyncio.create_task(sender.send())
            await server.until(lambda: probe_rule.hits == 1)
            assert (await sender.send()).verdict.reason == "no_relay_usable"
            probe.cancel()
            await asyncio.gather(probe, return_exceptions=True)


async def test_a_canceled_probe_makes_room_for_the_next() -> None:
    async with ScriptedSmtp() as server:
        server.on(Step.CONNECT, Say(450, "busy"), times=1)
        held = server.on(Step.CONNECT, Hold(asyncio.Event()), times=1)
        async with desk(server.target(**PATIENT)) as sender:
            await sender.send()
            await sender.relays.usable("live")
            probe = asyncio.create_task(sender.send())
            await server.until(lambda: held.hits == 1)
            probe.cancel()
            await asyncio.gather(probe, return_exceptions=True)
            await sender.relays.usable("live")
            assert (await sender.send()).verdict.action is Action.SENT


async def test_rests_double_up_to_the_longest() -> None:
    rests: list[float] = []
    async with ScriptedSmtp() as server:
        target = server.target(**{**PATIENT, "rest_s": 5})
    async with desk(target) as sender:
        loop = asyncio.get_running_loop()
        breaker = sender.relays._relays[0].breaker
        for _ in range(5):
            breaker._end_rest()  # as if its time were over
            await sender.send()
            timer = breaker._timer
            assert timer is not None
            rests.append(timer.when() - loop.time())
    assert [round(rest) for rest in rests] == [1, 2, 4, 5, 5]


async def test_the_next_rest_after_a_good_time_is_short_again() -> None:
    async with ScriptedSmtp() as server:
        server.on(Step.CONNECT, Say(450, "busy"), times=3)
        target = server.target(mails_per_connection=1, **{**PATIENT, "rest_s": 5})
        async with desk(target) as sender:
            breaker = sender.relays._relays[0].breaker
            for _ in range(4):
                breaker._end_rest()
                await sender.send()
            assert state(sender) == "up"
            server.on(Step.CONNECT, Say(450, "busy"))
            await sender.send()
            assert breaker._timer is not None
            left = breaker._timer.when() - asyncio.get_running_loop().time()
            assert round(left) == 1


async def test_one_broken_mail_does_not_send_the_relay_to_rest() -> None:
    async with ScriptedSmtp() as server:
        server.on(Step.DOT, Drop(), recipient=BOB)
        async with desk(server.target(**LONG)) as sender:
            for _ in range(FAILURES + 1):
                await sender.send(to=BOB)
                await sender.send()
            assert state(sender) == "up"


async def test_several_broken_mails_in_a_row_do() -> None:
    async with ScriptedSmtp() as server:
        server.on(Step.DOT, Drop())
        async with desk(server.target(**LONG)) as sender:
            for _ in range(FAILURES):
                assert state(sender) == "up"
                await sender.send()
            assert state(sender) == "resting"
            assert isinstance(sender.facts[0], RelayResting)


async def test_refused_recipients_say_nothing_against_the_relay() -> None:
    async with ScriptedSmtp() as server:
        server.on(Step.RCPT, Say(550, "5.1.1 no such user"))
        async with desk(server.target(**LONG)) as sender:
            for _ in range(FAILURES * 2):
                await sender.send()
            assert state(sender) == "up"


async def test_one_connection_too_many_does_not_send_the_relay_to_rest() -> None:
    gate = asyncio.Event()
    async with ScriptedSmtp() as server:
        server.on(Step.DOT, Hold(gate), times=1)
        server.on(Step.CONNECT, Say(421, "4.7.0 too many connections"), connection=2)
        async with desk(server.target(**LONG)) as sender:
            first = asyncio.create_task(sender.send())
            await server.until(lambda: len(server.accepted) == 1)
            second = asyncio.create_task(sender.send())
            await server.until(lambda: len(server.connections) == 2)
            await server.until(lambda: not server.connections[1].open)
            assert state(sender) == "up"
            gate.set()
            attempts = await asyncio.gather(first, second)
        assert len(server.connections) == 2
    # The one that works took both.
    assert [attempt.verdict.action for attempt in attempts] == [Action.SENT] * 2
    assert [mail.connection for mail in server.accepted] == [1, 1]


async def test_failures_of_sends_from_before_the_rest_do_not_lengthen_it() -> None:
    gate = asyncio.Event()
    async with ScriptedSmtp() as server:
        dots = server.on(Step.DOT, Hold(gate, Drop()))
        async with desk(server.target(**LONG)) as sender:
            sends = [asyncio.create_task(sender.send()) for _ in range(9)]
            await server.until(lambda: dots.hits == 9)
            gate.set()
            await asyncio.gather(*sends)
            assert sender.relays._relays[0].breaker._rests == 1
            assert sender.told() == ["relay.resting"]


async def test_mails_waiting_for_a_seat_do_not_run_into_a_relay_that_rests() -> None:
    gate = asyncio.Event()
    async with ScriptedSmtp() as server:
        server.on(Step.CONNECT, Hold(gate, Drop()))
        async with desk(server.target(connections=1, **LONG)) as sender:
            sends = [asyncio.create_task(sender.send()) for _ in range(5)]
            await server.until(lambda: len(server.connections) == 1)
            gate.set()
            attempts = await asyncio.gather(*sends)
        assert len(server.connections) == 1
    assert all(a.verdict.action is Action.RELAY_DOWN for a in attempts)


async def test_a_paused_relay_is_probed_and_comes_back() -> None:
    async with ScriptedSmtp(users={"u": "p"}) as server:
        refused = server.on(Step.AUTH, Say(535, "5.7.8 expired"), times=2)
        async with desk(server.target(user=("u", "p"), **PATIENT)) as sender:
            await sender.send()
            assert state(sender) == "paused"
            await sender.relays.usable("live")
            await sender.send()
            await sender.relays.usable("live")
            assert (await sender.send()).verdict.action is Action.SENT
            assert state(sender) == "up"
            assert sender.told() == ["relay.paused", "relay.up"]
            assert isinstance(sender.facts[0], RelayPaused)
            assert sender.facts[0].level == "error"
    assert refused.hits == 2


async def test_a_pause_is_much_longer_than_a_rest() -> None:
    async with ScriptedSmtp() as server:
        server.on(Step.EHLO, Say(550, "no"))
        async with desk(server.target(**{**PATIENT, "rest_s": 60})) as sender:
            await sender.send()
            timer = sender.relays._relays[0].breaker._timer
            assert timer is not None
            assert round(timer.when() - asyncio.get_running_loop().time()) == 300


@pytest.mark.parametrize(
    ("reply", "single"),
    [
        (Say(550, "5.1.8 unknown sender"), Action.REJECTED),
        (Say(550, "5.7.1 not allowed"), Action.RETRY),
        (Say(554, "denied"), Action.RETRY),
    ],
    ids=repr,
)
async def test_several_mails_refused_in_a_row_pause_the_relay(reply: Say, single: Action) -> None:
    async with ScriptedSmtp() as server:
        server.on(Step.MAIL, reply, sender="bad@example.org")
        async with desk(server.target(**LONG)) as sender:
            attempts = [
                await sender.send(sender="bad@example.org", to=f"{n}@example.org")
                for n in range(SEVERAL)
            ]
            assert state(sender) == "paused"
    actions = [attempt.verdict.action for attempt in attempts]
    assert actions == [single] * (SEVERAL - 1) + [Action.RELAY_MISCONFIGURED]


async def test_refused_mails_among_good_ones_do_not_pause_the_relay() -> None:
    async with ScriptedSmtp() as server:
        server.on(Step.MAIL, Say(550, "5.7.1 not allowed"), sender="bad@example.org")
        async with desk(server.target(**LONG)) as sender:
            for n in range(SEVERAL * 2):
                refused = await sender.send(sender="bad@example.org", to=f"{n}@example.org")
                assert refused.verdict.action is Action.RETRY
                assert (await sender.send()).verdict.action is Action.SENT
            assert state(sender) == "up"


async def test_one_mail_that_is_refused_again_and_again_does_not_pause_the_relay() -> None:
    async with ScriptedSmtp() as server:
        server.on(Step.MAIL, Say(550, "5.7.1 not allowed"))
        async with desk(server.target(**LONG)) as sender:
            for _ in range(SEVERAL * 2):
                assert (await sender.send()).verdict.action is Action.RETRY
            assert state(sender) == "up"


async def test_refusals_with_different_codes_are_not_in_a_row() -> None:
    async with ScriptedSmtp() as server:
        for code in (550, 554, 555):
            server.on(Step.MAIL, Say(code, "no"), times=1)
        async with desk(server.target(**LONG)) as sender:
            for n in range(3):
                await sender.send(to=f"{n}@example.org")
            assert state(sender) == "up"


async def test_a_mail_that_we_give_up_says_nothing_against_the_relay() -> None:
    async with ScriptedSmtp() as server, desk(server.target(**LONG)) as sender:
        for _ in range(FAILURES * 2):
            await sender.send(abort=lambda: True)
        assert state(sender) == "up"


async def test_a_reason_shows_no_address() -> None:
    async with ScriptedSmtp() as server:
        server.on(Step.MAIL, Drop(b"421 4.3.2 <ann@example.org>: not now\r\n"))
        async with desk(server.target(**LONG)) as sender:
            for _ in range(FAILURES):
                await sender.send()
            (fact,) = sender.facts
    assert isinstance(fact, RelayResting)
    assert fact.reason == "mail: 421 4.3.2 <a***@example.org>: not now"


async def test_an_expired_password_bounces_nothing() -> None:
    async with ScriptedSmtp() as server:
        server.on(Step.MAIL, Say(530, "5.7.0 authentication required"))
        async with desk(server.target(**PATIENT)) as sender:
            attempts = [await sender.send() for _ in range(50)]
    kept = {Action.RELAY_MISCONFIGURED, Action.RELAY_DOWN}
    assert {attempt.verdict.action for attempt in attempts} <= kept
    assert not any(attempt.verdict.burns_attempt for attempt in attempts)
