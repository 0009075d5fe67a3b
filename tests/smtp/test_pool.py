"""Kept-open connections: when they are used again, and when they are not."""

import asyncio

import pytest
from aiosmtplib import SMTPResponseException

from notifier.core.verdict import Action
from tests.smtp.desk import ANN, BOB, PATIENT, QUICK, desk, short
from tests.support.scripted_smtp import (
    CLOSING,
    EXTENSIONS,
    Act,
    Drop,
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


async def test_mails_one_after_the_other_share_a_connection() -> None:
    async with ScriptedSmtp() as server:
        async with desk(server.target(**PATIENT)) as sender:
            for _ in range(5):
                await sender.send()
        assert server.connections[0].verbs() == ["EHLO", *["MAIL", "RCPT", "DATA"] * 5, "QUIT"]
    assert len(server.connections) == 1


@pytest.mark.parametrize(("offered", "allowed"), [(True, True), (False, True), (True, False)])
async def test_commands_are_pipelined_only_where_offered_and_allowed(
    *, offered: bool, allowed: bool
) -> None:
    extensions = [name for name in EXTENSIONS if offered or name != "PIPELINING"]
    async with ScriptedSmtp(extensions=extensions) as server:
        async with desk(server.target(pipelining=allowed, **PATIENT)) as sender:
            await sender.send()
        assert server.connections[0].pipelined is (offered and allowed)


async def test_no_more_connections_than_allowed_are_opened() -> None:
    gate = asyncio.Event()
    async with ScriptedSmtp() as server:
        server.on(Step.DOT, Hold(gate))
        async with desk(server.target(connections=2, **PATIENT)) as sender:
            sends = [asyncio.create_task(sender.send()) for _ in range(6)]
            await server.until(lambda: len(server.accepted) == 2)
            assert len(server.connections) == 2
            gate.set()
            await asyncio.gather(*sends)
        assert len(server.connections) == 2
    assert len(server.accepted) == 6


async def test_a_connection_is_recycled_after_its_share_of_mails() -> None:
    async with ScriptedSmtp() as server:
        async with desk(server.target(mails_per_connection=2, **PATIENT)) as sender:
            for _ in range(5):
                await sender.send()
        assert [c.verbs().count("MAIL") for c in server.connections] == [2, 2, 1]
        assert all(c.verbs()[-1] == "QUIT" for c in server.connections)


async def test_a_connection_is_recycled_when_it_is_too_old() -> None:
    async with ScriptedSmtp() as server:
        async with desk(server.target(connection_age_s=0.000001, **PATIENT)) as sender:
            await sender.send()
            await sender.send()
        assert len(server.connections) == 2


async def test_an_idle_connection_is_closed_with_quit() -> None:
    async with (
        ScriptedSmtp() as server,
        desk(server.target(idle_close_s=0.05, **PATIENT)) as sender,
    ):
        await sender.send()
        await server.until(lambda: not server.connections[0].open)
        assert server.connections[0].verbs()[-1] == "QUIT"
        await sender.send()
    assert len(server.accepted) == 2


async def test_every_idle_connection_is_closed_in_its_time() -> None:
    gates = {ANN: asyncio.Event(), BOB: asyncio.Event()}
    async with ScriptedSmtp() as server:
        for address, gate in gates.items():
            server.on(Step.DOT, Hold(gate), recipient=address)
        async with desk(server.target(idle_close_s=0.1, **PATIENT)) as sender:
            sends = {address: asyncio.create_task(sender.send(to=address)) for address in gates}
            await server.until(lambda: len(server.accepted) == 2)
            gates[ANN].set()
            await sends[ANN]
            await asyncio.sleep(0.05)  # so that they are parked at different times
            gates[BOB].set()
            await sends[BOB]
            await server.until(lambda: not any(c.open for c in server.connections))
        assert [c.verbs()[-1] for c in server.connections] == ["QUIT"] * 2


@pytest.mark.parametrize("act", [Drop(), Drop(b"421 4.4.2 idle too long\r\n"), Reset()], ids=repr)
async def test_a_connection_that_died_at_mail_costs_nothing(act: Act) -> None:
    async with ScriptedSmtp() as server:
        server.on(Step.MAIL, act, connection=1, skip=1)
        async with desk(server.target(pipelining=False, **PATIENT)) as sender:
            await sender.send()
            attempt = await sender.send()
            assert sender.told() == []
        assert len(server.connections) == 2
    assert attempt.verdict.action is Action.SENT
    assert len(server.accepted) == 2


async def test_a_connection_that_the_relay_closed_between_mails_is_not_used() -> None:
    async with ScriptedSmtp() as server, desk(server.target(**PATIENT)) as sender:
        await sender.send()
        await server.close()
        await server.open()
        attempt = await sender.send()
    assert attempt.verdict.action is Action.SENT
    assert [mail.connection for mail in server.accepted] == [1, 2]


async def test_a_fresh_connection_that_drops_at_mail_is_not_tried_again() -> None:
    async with ScriptedSmtp() as server:
        server.on(Step.MAIL, Drop())
        async with desk(server.target(**PATIENT)) as sender:
            attempt = await sender.send()
        assert len(server.connections) == 1
    assert short(attempt.outcome) == "mail dropped"


async def test_a_drop_at_rcpt_on_a_reused_connection_is_reported() -> None:
    async with ScriptedSmtp() as server:
        server.on(Step.RCPT, Drop(), skip=1)
        async with desk(server.target(pipelining=False, **PATIENT)) as sender:
            await sender.send()
            attempt = await sender.send()
    assert short(attempt.outcome) == "rcpt dropped"


@pytest.mark.parametrize("act", [Hang(), Garbage()], ids=repr)
async def test_a_reused_connection_that_misbehaves_otherwise_is_not_tried_again(act: Act) -> None:
    limits = QUICK if isinstance(act, Hang) else PATIENT
    async with ScriptedSmtp() as server:
        server.on(Step.MAIL, act, skip=1)
        async with desk(server.target(**limits)) as sender:
            await sender.send()
            attempt = await sender.send()
        assert len(server.connections) == 1
    assert attempt.verdict.action is Action.RETRY


@pytest.mark.parametrize(
    ("step", "code"),
    [*((step, 421) for step in (Step.MAIL, Step.RCPT, Step.DATA, Step.DOT)), (Step.DOT, 354)],
)
async def test_a_connection_is_not_used_after_such_a_reply(step: Step, code: int) -> None:
    async with ScriptedSmtp() as server:
        server.on(step, Say(code, "as scripted, and the connection stays open"), times=1)
        async with desk(server.target(**PATIENT)) as sender:
            await sender.send()
            await sender.send()
        assert len(server.connections) == 2


async def test_a_relay_that_counts_mails_with_452_gets_a_new_connection() -> None:
    async with ScriptedSmtp() as server:
        server.on(Step.MAIL, Say(452, "4.5.3 too many mails here"), connection=1, skip=2)
        async with desk(server.target(**PATIENT)) as sender:
            attempts = [await sender.send() for _ in range(5)]
        assert len(server.connections) == 2
    assert [a.verdict.action for a in attempts].count(Action.RETRY) == 1


async def test_no_command_is_sent_while_a_reply_is_owed() -> None:
    async with ScriptedSmtp() as server:
        server.on(Step.RSET, Hang())
        async with desk(server.target(**PATIENT)) as sender:
            await sender.send()
            client = sender.relays._relays[0].fleet._parking.take().leave()
            client.wire.send(b"RSET\r\n", replies=1)
            with pytest.raises(SMTPResponseException, match="before its command"):
                client.wire.send(b"NOOP\r\n", replies=1)
            assert not client.is_connected


LATE = [
    (Step.MAIL, b"250 too late\r\n"),
    (Step.RCPT, b"250 too late\r\n"),
    (Step.DATA, b"354 too late\r\n"),
    (Step.DOT, b"250 too late\r\n"),
]


@pytest.mark.parametrize("pipelining", [True, False])
@pytest.mark.parametrize(("step", "reply"), LATE)
async def test_a_late_reply_never_meets_the_next_mail(
    step: Step, reply: bytes, *, pipelining: bool
) -> None:
    gate = asyncio.Event()
    async with ScriptedSmtp() as server:
        server.on(step, Hold(gate, Garbage(reply)), times=1)
        server.on(Step.RCPT, Say(550, "5.1.1 no such user"), recipient=BOB)
        async with desk(server.target(pipelining=pipelining, **QUICK)) as sender:
            first = await sender.send()
            gate.set()
            second = await sender.send(to=BOB)
        assert server.connections[1].verbs()[0] == "EHLO"
    assert first.outcome.phase.value == step.value
    assert short(second.outcome) == "rcpt 550"


@pytest.mark.parametrize("surplus", [b"250 ok\r\n", b"250", b"\r\n"])
async def test_a_surplus_reply_never_meets_the_next_mail(surplus: bytes) -> None:
    async with ScriptedSmtp() as server:
        server.on(Step.DOT, Inject(surplus), times=1)
        server.on(Step.RCPT, Say(550, "5.1.1 no such user"), recipient=BOB)
        async with desk(server.target(**PATIENT)) as sender:
            first = await sender.send()
            second = await sender.send(to=BOB)
        assert len(server.connections) == 2
    assert first.verdict.action is Action.SENT
    assert short(second.outcome) == "rcpt 550"


@pytest.mark.parametrize("step", [Step.MAIL, Step.RCPT, Step.DATA])
@pytest.mark.parametrize("pipelining", [True, False])
async def test_a_refused_mail_is_reset_before_the_next_one(step: Step, *, pipelining: bool) -> None:
    async with ScriptedSmtp() as server:
        server.on(step, Say(552, "5.3.4 too big"), times=1)
        async with desk(server.target(pipelining=pipelining, **PATIENT)) as sender:
            await sender.send()
            await sender.send()
            await sender.send()
        verbs = server.connections[0].verbs()
    assert len(server.connections) == 1
    assert verbs.count("RSET") == 1
    assert verbs[verbs.index("RSET") + 1] == "MAIL"
    assert len(server.accepted) == 2


@pytest.mark.parametrize("act", [Say(500, "what"), Drop(), CLOSING, Garbage()], ids=repr)
async def test_a_reset_that_fails_costs_nothing(act: Act) -> None:
    async with ScriptedSmtp() as server:
        server.on(Step.RSET, act)
        server.on(Step.RCPT, Say(550, "5.1.1 no"), recipient=BOB)
        async with desk(server.target(**PATIENT)) as sender:
            await sender.send(to=BOB)
            attempt = await sender.send()
    assert attempt.verdict.action is Action.SENT
    assert [mail.connection for mail in server.accepted] == [2]


async def test_a_refused_recipient_under_pipelined_data_is_never_sent() -> None:
    async with ScriptedSmtp(data_without_rcpt=True) as server:
        server.on(Step.RCPT, Say(550, "5.1.1 no such user"), recipient=BOB)
        async with desk(server.target(**PATIENT)) as sender:
            refused = await sender.send(to=BOB)
            await sender.send()
        assert len(server.connections) == 1
    assert short(refused.outcome) == "rcpt 550"
    assert [mail.rcpt_to for mail in server.accepted] == ["ann@example.org"]


async def test_a_relay_that_takes_the_recipient_of_a_refused_mail_gets_no_dot() -> None:
    async with ScriptedSmtp() as server:
        # The server goes on as if MAIL had been taken: RCPT 250, DATA 354.
        server.on(Step.MAIL, Garbage(b"554 5.6.0 no\r\n", taken=True))
        async with desk(server.target(**PATIENT)) as sender:
            attempt = await sender.send()
    assert short(attempt.outcome) == "mail 554"
    assert server.accepted == []


@pytest.mark.parametrize("step", [Step.CONNECT, Step.EHLO, Step.RCPT, Step.DOT])
async def test_a_canceled_send_closes_its_connection_and_frees_its_seat(step: Step) -> None:
    async with ScriptedSmtp() as server:
        rule = server.on(step, Hang(), times=1)
        async with desk(server.target(connections=1, **PATIENT)) as sender:
            task = asyncio.create_task(sender.send())
            await server.until(lambda: rule.hits == 1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert (await sender.send()).verdict.action is Action.SENT
        assert len(server.connections) == 2


@pytest.mark.parametrize("size", [1, 500_000])
async def test_abort_is_asked_before_the_dot_and_delivers_nothing(size: int) -> None:
    asked: list[bool] = []

    def abort() -> bool:
        asked.append(True)
        return True

    async with ScriptedSmtp() as server, desk(server.target(**PATIENT)) as sender:
        attempt = await sender.send(b"x\r\n" * size, abort=abort)
        await server.until(lambda: not server.connections[0].open)
        assert (await sender.send(abort=lambda: False)).verdict.action is Action.SENT
    assert short(attempt.outcome) == "body dropped"
    assert asked == [True]
    assert len(server.accepted) == 1


@pytest.mark.parametrize("act", [Hang(), Drop(), Garbage(), Say(500)], ids=repr)
async def test_closing_does_not_depend_on_the_answer_to_quit(act: Act) -> None:
    async with ScriptedSmtp() as server:
        server.on(Step.QUIT, act)
        async with desk(server.target(**PATIENT)) as sender:
            await sender.send()
            async with asyncio.timeout(10):
                await sender.relays.aclose()
        assert server.connections[0].verbs()[-1] == "QUIT"


async def test_a_relay_that_knows_no_ehlo_is_greeted_with_helo() -> None:
    async with ScriptedSmtp() as server:
        server.on(Step.EHLO, Say(502, "not implemented"))
        async with desk(server.target(**PATIENT)) as sender:
            await sender.send()
        assert server.connections[0].commands[:2] == ["EHLO client.test", "HELO client.test"]
        assert server.connections[0].commands[2] == "MAIL FROM:<a@example.org>"
    assert len(server.accepted) == 1
