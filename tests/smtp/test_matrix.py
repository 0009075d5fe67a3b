"""Each phase times each misbehaviour: what is reported, what is decided, what was delivered."""

from typing import Any

import pytest

from notifier.core.verdict import Action
from tests.smtp.desk import PATIENT, QUICK, desk, short
from tests.support.scripted_smtp import (
    CLOSING,
    Act,
    Drip,
    Drop,
    Garbage,
    Hang,
    Inject,
    Reset,
    Say,
    ScriptedSmtp,
    Stall,
    Step,
)

pytestmark = pytest.mark.anyio

DOWN, MISSET, RETRY = Action.RELAY_DOWN, Action.RELAY_MISCONFIGURED, Action.RETRY
AMBIGUOUS, REJECTED, BOUNCED, SENT = (
    Action.AMBIGUOUS,
    Action.REJECTED,
    Action.BOUNCED,
    Action.SENT,
)
C, E, M, R, D, B, DOT = (
    Step.CONNECT,
    Step.EHLO,
    Step.MAIL,
    Step.RCPT,
    Step.DATA,
    Step.BODY,
    Step.DOT,
)
NOISE = Garbage()
TWO_CODES = Garbage(b"250-one\r\n550 two\r\n")
ENDLESS = Garbage(b"250-" + b"x" * 500 + b"\r\n" + (b"250-" + b"x" * 500 + b"\r\n") * 100)
LONG_LINE = Garbage(b"250 " + b"x" * 20_000 + b"\r\n")

MATRIX: list[tuple[Step, Act, str, Action, bool]] = [
    # step, act, outcome, action, whether MAIL was reached
    (C, Say(554, "no service"), "banner 554", MISSET, False),
    (C, Say(450, "busy"), "banner 450", DOWN, False),
    (C, Say(250, "hm"), "banner garbage", DOWN, False),
    (C, CLOSING, "banner 421", DOWN, False),
    (C, Drop(), "banner dropped", DOWN, False),
    (C, Reset(), "banner dropped", DOWN, False),
    (C, Hang(), "banner timeout", DOWN, False),
    (C, NOISE, "banner garbage", DOWN, False),
    (C, Garbage(b"HTTP/1.1 400 Bad Request\r\n"), "banner garbage", DOWN, False),
    (C, Drip(0.03), "banner timeout", DOWN, False),
    (E, Say(550, "bad name"), "ehlo 550", MISSET, False),
    (E, Say(451, "later"), "ehlo 451", DOWN, False),
    (E, CLOSING, "ehlo 421", DOWN, False),
    (E, Drop(), "ehlo dropped", DOWN, False),
    (E, Reset(), "ehlo dropped", DOWN, False),
    (E, Hang(), "ehlo timeout", DOWN, False),
    (E, NOISE, "ehlo garbage", DOWN, False),
    (E, TWO_CODES, "ehlo garbage", DOWN, False),
    (E, ENDLESS, "ehlo garbage", DOWN, False),
    (E, LONG_LINE, "ehlo garbage", DOWN, False),
    (E, Drip(0.02), "ehlo timeout", DOWN, False),
    (M, Say(550, "denied"), "mail 550", RETRY, True),  # several of them are MISSET
    (M, Say(550, "5.1.8 bad sender"), "mail 550", REJECTED, True),
    (M, Say(530, "5.7.0 auth first"), "mail 530", MISSET, True),
    (M, Say(552, "5.3.4 too big"), "mail 552", REJECTED, True),
    (M, Say(451, "later"), "mail 451", RETRY, True),
    (M, Say(354, "what"), "mail garbage", RETRY, True),
    (M, CLOSING, "mail 421", RETRY, True),
    (M, Drop(), "mail dropped", RETRY, True),
    (M, Reset(), "mail dropped", RETRY, True),
    (M, Hang(), "mail timeout", RETRY, True),
    (M, NOISE, "mail garbage", RETRY, True),
    (M, Drip(0.03), "mail timeout", RETRY, True),
    (R, Say(550, "5.1.1 no such user"), "rcpt 550", BOUNCED, True),
    (R, Say(550, "5.7.1 policy"), "rcpt 550", REJECTED, True),
    (R, Say(552, "5.2.2 full"), "rcpt 552", RETRY, True),
    (R, Say(450, "4.7.1 greylisted"), "rcpt 450", RETRY, True),
    (R, CLOSING, "rcpt 421", RETRY, True),
    (R, Drop(), "rcpt dropped", RETRY, True),
    (R, Reset(), "rcpt dropped", RETRY, True),
    (R, Hang(), "rcpt timeout", RETRY, True),
    (R, NOISE, "rcpt garbage", RETRY, True),
    (R, Drip(0.03), "rcpt timeout", RETRY, True),
    (R, Say(251, "will forward"), "dot 250", SENT, True),
    (D, Say(451, "later"), "data 451", RETRY, True),
    (D, Say(554, "no"), "data 554", REJECTED, True),
    (D, Say(250, "ok?"), "data garbage", RETRY, True),
    (D, CLOSING, "data 421", RETRY, True),
    (D, Drop(), "data dropped", RETRY, True),
    (D, Reset(), "data dropped", RETRY, True),
    (D, Hang(), "data timeout", RETRY, True),
    (D, NOISE, "data garbage", RETRY, True),
    (D, Drip(0.03), "data timeout", RETRY, True),
    # A reply on the heels of the 354 would be taken for the dot's
    (D, Inject(b"250 ok\r\n"), "body garbage", RETRY, True),
    (DOT, Say(451, "4.3.0 later"), "dot 451", RETRY, True),
    (DOT, Say(554, "5.7.1 spam"), "dot 554", REJECTED, True),
    (DOT, Say(550, "5.1.1 no such user"), "dot 550", BOUNCED, True),
    (DOT, Say(354, "more?"), "dot 354", AMBIGUOUS, True),
    (DOT, CLOSING, "dot 421", RETRY, True),
    (DOT, Drop(), "dot dropped", AMBIGUOUS, True),
    (DOT, Drop(taken=True), "dot dropped", AMBIGUOUS, True),
    (DOT, Reset(taken=True), "dot dropped", AMBIGUOUS, True),
    (DOT, Hang(), "dot timeout", AMBIGUOUS, True),
    (DOT, NOISE, "dot garbage", AMBIGUOUS, True),
    (DOT, TWO_CODES, "dot garbage", AMBIGUOUS, True),
    (DOT, Garbage(b"999 what\r\n"), "dot garbage", AMBIGUOUS, True),
    (DOT, Garbage(b"250"), "dot timeout", AMBIGUOUS, True),
    (DOT, Drip(0.04), "dot timeout", AMBIGUOUS, True),
    # The 250 is there: what follows it spoils the connection, not the mail
    (DOT, Inject(b"421 and gone\r\n"), "dot 250", SENT, True),
    (DOT, Inject(b"nonsense"), "dot 250", SENT, True),
    (DOT, Say(250, "2.0.0 ok\n2.0.0 and more"), "dot 250", SENT, True),
]


@pytest.fixture(scope="module", params=[True, False], ids=["uvloop", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    """Errors and flow control differ between the loops."""
    return "asyncio", {"use_uvloop": request.param}


def name(row: object) -> str | None:
    return f"{row!r:.40}" if not isinstance(row, (bool, Step, Action, str)) else None


@pytest.mark.parametrize("pipelining", [True, False], ids=["pipelined", "stepwise"])
@pytest.mark.parametrize(("step", "act", "outcome", "action", "reached"), MATRIX, ids=name)
async def test_matrix(
    step: Step, act: Act, outcome: str, action: Action, *, reached: bool, pipelining: bool
) -> None:
    async with ScriptedSmtp() as server:
        rule = server.on(step, act)
        limits = QUICK if outcome.endswith("timeout") else PATIENT
        async with desk(server.target(pipelining=pipelining, **limits)) as sender:
            attempt = await sender.send()
    assert rule.hits >= 1
    if isinstance(act, Reset) and pipelining:
        # An RST lets the kernel throw away replies of the same group that were not read yet.
        assert short(attempt.outcome).endswith(" dropped")
    else:
        assert short(attempt.outcome) == outcome
    assert attempt.verdict.action is action
    assert attempt.verdict.ambiguous is (action is AMBIGUOUS)
    assert attempt.reached_mail is reached
    if action in {BOUNCED, REJECTED, MISSET, DOWN, RETRY}:
        assert server.accepted == []
    if action is SENT:
        assert [mail.acknowledged for mail in server.accepted] == [True]


@pytest.mark.parametrize("act", [Drop(), Reset(), CLOSING, Garbage(b"oops\r\n")])
async def test_a_break_in_a_long_body_is_a_plain_retry(act: Act) -> None:
    async with ScriptedSmtp() as server:
        server.on(Step.BODY, act)
        async with desk(server.target(**PATIENT)) as sender:
            attempt = await sender.send(b"x" * 70 + b"\r\n" + b"y\r\n" * 4_000_000)
    assert attempt.outcome.phase.value == "body"
    assert attempt.verdict.action is RETRY
    assert not attempt.verdict.ambiguous
    assert server.accepted == []


async def test_an_early_refusal_in_a_long_body_is_a_definite_answer() -> None:
    async with ScriptedSmtp() as server:
        server.on(Step.BODY, Stall(b"552 5.3.4 enough\r\n"))
        async with desk(server.target(**PATIENT)) as sender:
            attempt = await sender.send(b"y\r\n" * 4_000_000)
    assert short(attempt.outcome) == "body 552"
    assert attempt.verdict.action is REJECTED


async def test_an_early_250_in_a_long_body_is_no_answer() -> None:
    async with ScriptedSmtp() as server:
        server.on(Step.BODY, Stall(b"250 ok\r\n"))
        async with desk(server.target(**PATIENT)) as sender:
            attempt = await sender.send(b"y\r\n" * 4_000_000)
    assert short(attempt.outcome) == "body garbage"


async def test_a_relay_that_ends_its_side_in_the_body_is_not_waited_for() -> None:
    async with ScriptedSmtp() as server:
        server.on(Step.BODY, Stall(fin=True))
        async with desk(server.target(**PATIENT)) as sender:
            attempt = await sender.send(b"y\r\n" * 4_000_000)
    assert short(attempt.outcome) == "body dropped"


async def test_a_relay_that_stops_reading_the_body_times_out_in_the_body() -> None:
    async with ScriptedSmtp() as server:
        server.on(Step.BODY, Hang())
        async with desk(server.target(**QUICK)) as sender:
            attempt = await sender.send(b"y\r\n" * 6_000_000)
    assert short(attempt.outcome) == "body timeout"
    assert attempt.verdict.action is RETRY


async def test_a_closed_port_is_refused_and_burns_no_attempt() -> None:
    async with ScriptedSmtp() as server:
        target = server.target(**PATIENT)
    async with desk(target) as sender:
        attempt = await sender.send()
    assert short(attempt.outcome) == "connect refused"
    assert attempt.verdict.action is DOWN
    assert not attempt.verdict.burns_attempt


async def test_a_host_without_address_is_a_fault_of_the_relay() -> None:
    async with ScriptedSmtp() as server:
        target = server.target(host="a" * 64 + ".invalid", **PATIENT)
    async with desk(target) as sender:
        attempt = await sender.send()
    assert short(attempt.outcome) == "connect dns"
    assert attempt.verdict.action is DOWN
