"""The next mail's commands in one write with the dot before (RFC 2920 §3.1): how that can end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from notifier.core.verdict import Action
from notifier.smtp.relays import Attempt
from tests.smtp.desk import BOB, PATIENT, QUICK, Desk, desk, short
from tests.support.scripted_smtp import (
    EXTENSIONS,
    Act,
    Drop,
    Forget,
    Garbage,
    Hang,
    Hold,
    Inject,
    Reset,
    Say,
    ScriptedSmtp,
    Step,
)

pytestmark = pytest.mark.anyio
A, B, C = "a@example.org", "b@example.org", "c@example.org"
SENT = Action.SENT


@asynccontextmanager
async def one_line(server: ScriptedSmtp, **limits: Any) -> AsyncIterator[Desk]:
    """A relay with one connection, so that a second mail is chained to the first."""
    limits = {**PATIENT, "connections": 1, "rest_s": 3600, **limits}
    async with desk(server.target(**limits)) as sender:
        yield sender


async def pair(sender: Desk, **second: Any) -> tuple[Attempt, Attempt]:
    """Two mails at once: from A, and from B as `second` says."""
    tasks = [sender.begin(sender=A), sender.begin(**{"sender": B, "to": BOB, **second})]
    first, other = await asyncio.gather(*tasks)
    return first, other


def carried(server: ScriptedSmtp) -> list[tuple[str, int]]:
    """Which mails were taken, over which connection."""
    return [(mail.mail_from, mail.connection) for mail in server.accepted]


@pytest.mark.parametrize(
    ("offered", "limits", "chained"),
    [
        (True, {}, 1),
        (True, {"chaining": False}, 0),
        (True, {"pipelining": False}, 0),
        (False, {}, 0),
        (True, {"mails_per_connection": 1}, 0),
        (True, {"connection_age_s": 0.000001}, 0),
    ],
)
async def test_a_waiting_mail_is_chained_only_where_that_is_offered_and_allowed(
    *, offered: bool, limits: dict[str, Any], chained: int
) -> None:
    extensions = [name for name in EXTENSIONS if offered or name != "PIPELINING"]
    async with ScriptedSmtp(extensions=extensions) as server:
        async with one_line(server, **limits) as sender:
            attempts = await pair(sender)
        assert sum(connection.chained for connection in server.connections) == chained
    assert [attempt.verdict.action for attempt in attempts] == [SENT, SENT]


async def test_a_mail_is_answered_before_the_one_behind_it() -> None:
    gate = asyncio.Event()
    async with ScriptedSmtp() as server:
        server.on(Step.MAIL, Hold(gate), sender=B)
        async with one_line(server) as sender:
            first, second = sender.begin(sender=A), sender.begin(sender=B)
            assert (await first).verdict.action is SENT
            assert not second.done()
            gate.set()
            assert (await second).verdict.action is SENT
        assert server.connections[0].chained == 1


async def test_the_time_of_a_chained_mail_begins_with_its_turn() -> None:
    gate = asyncio.Event()
    async with ScriptedSmtp() as server:
        server.on(Step.DOT, Hold(gate), sender=A)
        async with one_line(server) as sender:
            first, second = sender.begin(sender=A), sender.begin(sender=B)
            await server.until(lambda: len(server.accepted) == 1)
            await asyncio.sleep(0.2)
            gate.set()
            assert (await first).elapsed_ms >= 200
            assert (await second).elapsed_ms < 200


@pytest.mark.parametrize(
    "act",
    [
        Drop(b"250 2.0.0 ok\r\n", taken=True),
        Drop(b"250 2.0.0 ok\r\n421 4.3.2 enough\r\n", taken=True),
    ],
    ids=repr,
)
async def test_a_relay_that_leaves_after_the_dot_costs_the_next_mail_nothing(act: Act) -> None:
    async with ScriptedSmtp() as server:
        server.on(Step.DOT, act, times=1)
        async with one_line(server) as sender:
            first, second = await pair(sender)
            assert sender.told() == []
        assert carried(server) == [(A, 1), (B, 2)]
    assert [first.verdict.action, second.verdict.action] == [SENT, SENT]


@pytest.mark.parametrize(
    ("act", "outcome", "action"),
    [
        (Drop(taken=True), "dot dropped", Action.AMBIGUOUS),
        (Reset(), "dot dropped", Action.AMBIGUOUS),
        (Garbage(), "dot garbage", Action.AMBIGUOUS),
        (Drop(b"421 4.3.2 going\r\n"), "dot 421", Action.RETRY),
        (Say(354, "more?"), "dot 354", Action.AMBIGUOUS),
    ],
    ids=repr,
)
async def test_a_dot_without_a_usable_answer_does_not_touch_the_mail_behind_it(
    act: Act, outcome: str, action: Action
) -> None:
    async with ScriptedSmtp() as server:
        server.on(Step.DOT, act, times=1)
        async with one_line(server) as sender:
            first, second = await pair(sender)
        assert server.connections[0].chained == 1
        assert carried(server)[-1] == (B, 2)
    assert (short(first.outcome), first.verdict.action) == (outcome, action)
    assert (second.verdict.action, second.verdict.ambiguous) == (SENT, False)


@pytest.mark.parametrize("code", [451, 554])
async def test_a_refusal_at_the_dot_lets_the_next_mail_go_on(code: int) -> None:
    async with ScriptedSmtp() as server:
        server.on(Step.DOT, Say(code, "no"), sender=A)
        async with one_line(server) as sender:
            first, second = await pair(sender)
        assert carried(server) == [(B, 1)]
    assert short(first.outcome) == f"dot {code}"
    assert second.verdict.action is SENT


async def test_a_late_answer_to_a_dot_never_meets_the_mail_behind_it() -> None:
    gate = asyncio.Event()
    async with ScriptedSmtp() as server:
        server.on(Step.DOT, Hold(gate, Garbage(b"250 too late\r\n")), times=1)
        server.on(Step.RCPT, Say(550, "5.1.1 no such user"), recipient=BOB)
        async with one_line(server, **QUICK) as sender:
            first, second = await pair(sender)
            gate.set()
        assert len(server.connections) == 2
    assert (short(first.outcome), short(second.outcome)) == ("dot timeout", "rcpt 550")


@pytest.mark.parametrize(
    ("step", "takes_data"),
    [(Step.MAIL, False), (Step.RCPT, False), (Step.RCPT, True), (Step.DATA, False)],
)
async def test_a_chained_mail_that_is_refused_is_reset_before_the_next(
    step: Step, *, takes_data: bool
) -> None:
    async with ScriptedSmtp(data_without_rcpt=takes_data) as server:
        server.on(step, Say(550, "5.1.1 no"), times=1, skip=1)
        async with one_line(server) as sender:
            first, second = await pair(sender)
            third = await sender.send(sender=C)
        assert carried(server) == [(A, 1), (C, 1)]
        assert server.connections[0].verbs().count("RSET") == 1
    assert (first.verdict.action, third.verdict.action) == (SENT, SENT)
    assert short(second.outcome) == f"{step.value} 550"


async def test_a_chained_mail_that_is_given_up_gets_no_body() -> None:
    async with ScriptedSmtp() as server:
        async with one_line(server) as sender:
            first, second = await pair(sender, abort=lambda: True)
            third = await sender.send(sender=C)
            assert sender.told() == []
        assert carried(server) == [(A, 1), (C, 2)]
    assert (first.verdict.action, third.verdict.action) == (SENT, SENT)
    assert short(second.outcome) == "body dropped"


async def test_a_mail_that_the_relay_cannot_be_offered_is_not_chained() -> None:
    plain = [name for name in EXTENSIONS if name != "SMTPUTF8"]
    async with ScriptedSmtp(extensions=plain) as server:
        async with one_line(server) as sender:
            first, second = await pair(sender, to="j\u00f6rg@example.org")
        assert server.connections[0].chained == 0
    assert (first.verdict.action, second.verdict.action) == (SENT, Action.REJECTED)
    assert not second.reached_mail


async def test_a_connection_carries_its_share_and_no_more_when_chained() -> None:
    async with ScriptedSmtp() as server:
        async with one_line(server, mails_per_connection=2) as sender:
            await asyncio.gather(*[sender.send() for _ in range(5)])
        assert [c.verbs().count("MAIL") for c in server.connections] == [2, 2, 1]


# Callers who go away


async def test_a_mail_in_line_whose_caller_left_is_never_sent() -> None:
    gate = asyncio.Event()
    async with ScriptedSmtp() as server:
        server.on(Step.MAIL, Hold(gate), sender=A)
        async with one_line(server) as sender:
            first, second = sender.begin(sender=A), sender.begin(sender=B)
            await server.until(lambda: any("MAIL" in c.verbs() for c in server.connections))
            second.cancel()
            gate.set()
            assert (await first).verdict.action is SENT
            await sender.send(sender=C)
        assert carried(server) == [(A, 1), (C, 1)]


async def test_a_chained_mail_whose_caller_left_does_not_harm_the_one_before() -> None:
    gate = asyncio.Event()
    async with ScriptedSmtp() as server:
        server.on(Step.DOT, Hold(gate), sender=A)
        async with one_line(server) as sender:
            first, second = sender.begin(sender=A), sender.begin(sender=B)
            await server.until(lambda: len(server.accepted) == 1)
            assert server.connections[0].chained == 1
            second.cancel()
            gate.set()
            assert (await first).verdict.action is SENT
            assert (await sender.send(sender=C)).verdict.action is SENT
        assert carried(server) == [(A, 1), (C, 2)]


async def test_a_mail_at_its_dot_whose_caller_left_does_not_take_the_next_with_it() -> None:
    async with ScriptedSmtp() as server:
        dot = server.on(Step.DOT, Hang(accepts=True), sender=A)
        async with one_line(server) as sender:
            first, second = sender.begin(sender=A), sender.begin(sender=B)
            await server.until(lambda: dot.hits == 1)
            first.cancel()
            attempt = await second
        assert carried(server) == [(A, 1), (B, 2)]
    assert attempt.verdict.action is SENT


# Relays that cannot take a chained group


@pytest.mark.parametrize(
    "act",
    [
        Say(503, "5.5.1 nested MAIL"),
        Say(500, "what"),
        Say(554, "5.5.0 synchronization error"),
        Garbage(),
    ],
    ids=repr,
)
async def test_a_relay_that_loses_track_of_a_chained_group_gets_no_more_of_them(act: Act) -> None:
    async with ScriptedSmtp() as server:
        server.on(Step.MAIL, act, sender=B, times=1)
        async with one_line(server) as sender:
            first, second = await pair(sender)
            await pair(sender)
            assert sender.told() == []
        assert carried(server)[:2] == [(A, 1), (B, 2)]
        assert [connection.chained for connection in server.connections] == [1, 0]
    assert [first.verdict.action, second.verdict.action] == [SENT, SENT]


async def test_a_relay_that_throws_a_chained_group_away_is_found_out() -> None:
    async with ScriptedSmtp() as server:
        server.on(Step.DOT, Forget(), times=1)
        async with one_line(server, **QUICK) as sender:
            first, second = await pair(sender)
            await pair(sender)
        assert [connection.chained for connection in server.connections] == [1, 0]
    assert [first.verdict.action, second.verdict.action] == [SENT, SENT]


async def test_an_ordinary_refusal_of_a_chained_mail_is_no_reason_to_stop() -> None:
    async with ScriptedSmtp() as server:
        server.on(Step.MAIL, Say(550, "5.1.8 bad sender"), sender=B, times=1)
        async with one_line(server) as sender:
            first, second = await pair(sender)
            await pair(sender)
        assert [connection.chained for connection in server.connections] == [2]
    assert [first.verdict.action, second.verdict.action] == [SENT, Action.REJECTED]


@pytest.mark.parametrize("refused", [True, False])
async def test_a_surplus_answer_delivers_and_decides_nothing(*, refused: bool) -> None:
    async with ScriptedSmtp() as server:
        server.on(Step.DOT, Inject(b"250 surplus\r\n"), sender=A)
        if refused:
            server.on(Step.RCPT, Say(550, "5.1.1 no such user"), recipient=BOB)
        async with one_line(server) as sender:
            first, second = await pair(sender)
        assert carried(server) == [(A, 1)]
    assert first.verdict.action is SENT
    assert (second.verdict.action, second.verdict.ambiguous) == (Action.RETRY, False)
