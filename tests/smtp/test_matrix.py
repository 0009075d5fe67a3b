"""Each phase times each misbehaviour, as written in `matrix`, on both kinds of loop."""

from typing import Any

import pytest

from notifier.core.verdict import Action
from tests.smtp.desk import PATIENT, QUICK, desk, short
from tests.smtp.matrix import MATRIX, MODES, RETRY, Mode, fits, run
from tests.support.scripted_smtp import (
    CLOSING,
    Act,
    Drop,
    Garbage,
    Hang,
    Reset,
    ScriptedSmtp,
    Stall,
    Step,
)

pytestmark = pytest.mark.anyio
REJECTED, DOWN = Action.REJECTED, Action.RELAY_DOWN


@pytest.fixture(scope="module", params=[True, False], ids=["uvloop", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    """Errors and flow control differ between the loops."""
    return "asyncio", {"use_uvloop": request.param}


def name(row: object) -> str | None:
    return f"{row!r:.40}" if not isinstance(row, (Step, Action, str)) else None


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("step", "act", "outcome", "action", "mark", "state"), MATRIX, ids=name)
async def test_matrix(
    step: Step, act: Act, outcome: str, action: Action, mark: str, state: str, *, mode: Mode
) -> None:
    if not fits(step, mode):
        return
    seen = await run(step, act, mode, quick=outcome.endswith("timeout"))
    assert seen.hits >= 1
    if isinstance(act, Reset) and mode != "stepwise":
        # An RST lets the kernel throw away replies that were not read yet.
        assert seen.outcome.endswith(" dropped")
    else:
        assert seen.outcome == outcome
        assert seen.ahead is None or seen.ahead.verdict.action is Action.SENT
    assert (seen.attempt.verdict.action, seen.mark, seen.state) == (action, mark, state)
    assert seen.attempt.reached_mail is (mark != "kept" or step not in {Step.CONNECT, Step.EHLO})
    if action is Action.SENT:
        assert [mail.acknowledged for mail in seen.accepted] == [True]
    elif action is not Action.AMBIGUOUS:
        assert seen.accepted == []


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
