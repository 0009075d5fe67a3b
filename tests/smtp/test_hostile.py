"""A relay that misbehaves costs one connection for a bounded time, and nothing else."""

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from notifier.core.verdict import Action
from notifier.settings.relay import RelayTarget
from notifier.settings.sections import RelaySettings
from tests.smtp.authority import ca_file, server_context
from tests.smtp.desk import BOB, MAIL, PATIENT, QUICK, desk, short
from tests.support.scripted_smtp import (
    Act,
    Drip,
    Flood,
    Garbage,
    Hang,
    Hold,
    Inject,
    Say,
    ScriptedSmtp,
    Stall,
    Step,
)

pytestmark = pytest.mark.anyio
LONG_S = 3.0
"""Beyond this nothing that takes QUICK's limits is bounded any more."""

HOSTILE: dict[str, Act] = {
    "nonsense": Garbage(b"\x00\xff\x16\x03 what\r\n"),
    "nonsense without end": Flood(b"\x00\xff\x16\x03 what\r\n"),
    "another protocol": Garbage(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
    "a byte at a time": Drip(0.03),
    "a line without end": Flood(b"2" * 1000),
    "a reply without end": Flood(b"250-and one more line\r\n"),
    "silence": Hang(),
    "half a reply and silence": Stall(b"250-half"),
    "two answers for one": Inject(b"550 5.1.1 and another\r\n"),
}
WHERE = [Step.CONNECT, Step.EHLO, Step.MAIL, Step.RCPT, Step.DATA, Step.DOT]


@pytest.mark.parametrize("case", HOSTILE)
@pytest.mark.parametrize("step", WHERE)
async def test_other_mails_go_on_while_one_connection_is_held_up(step: Step, case: str) -> None:
    async with ScriptedSmtp() as server:
        gate = asyncio.Event()
        server.on(Step.DOT, Hold(gate), connection=1, times=1)
        rule = server.on(step, HOSTILE[case], connection=2, times=1)
        target = server.target(connections=2, chaining=False, **{**QUICK, "dot_timeout_s": 1})
        async with desk(target) as sender:
            began = time.monotonic()
            first = sender.begin()
            await server.until(lambda: len(server.accepted) == 1)
            victim = sender.begin(to=BOB)
            await server.until(lambda: rule.hits == 1)
            gate.set()
            others = [await sender.send() for _ in range(5)] + [await first]
            attempt = await victim
            assert sender.relays.health()[0].state == "up"
    assert time.monotonic() - began < LONG_S
    assert [other.verdict.action for other in others] == [Action.SENT] * 6
    if (
        case == "two answers for one"
    ):  # a relay may say what it likes of a mail that it does not get
        assert not attempt.verdict.ambiguous
    else:
        undecided = Action.AMBIGUOUS if step is Step.DOT else Action.RETRY
        assert attempt.verdict.action in {undecided, Action.SENT}


@pytest.mark.parametrize("case", HOSTILE)
@pytest.mark.parametrize("step", [Step.CONNECT, Step.EHLO])
async def test_the_next_relay_takes_over_when_the_first_one_is_hostile(
    step: Step, case: str
) -> None:
    async with ScriptedSmtp() as one, ScriptedSmtp() as two:
        one.on(step, HOSTILE[case])
        limits = {**QUICK, "rest_s": 3600}
        async with desk(one.target("one", **limits), two.target("two", **limits)) as sender:
            began = time.monotonic()
            attempt = await sender.send()
    assert (attempt.relay, attempt.verdict.action) == ("two", Action.SENT)
    assert time.monotonic() - began < LONG_S


@contextlib.asynccontextmanager
async def black_hole() -> AsyncIterator[int]:
    """A port that answers no SYN: its queue of connections is full."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        port = listener.getsockname()[1]
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        try:
            yield port
        finally:
            for filler in fillers:
                filler.close()


async def test_a_black_hole_is_given_up_by_the_connect_limit_and_another_relay_takes_over() -> None:
    limits = RelaySettings(connect_timeout_s=0.3, rest_s=3600)
    async with black_hole() as port, ScriptedSmtp() as server:
        hole = RelayTarget("hole", "127.0.0.1", port, "none", None, None, False, limits)
        async with desk(hole, server.target("two", **PATIENT)) as sender:
            attempt = await sender.send()
            health = sender.relays.health()[0]
    assert (attempt.relay, attempt.verdict.action) == ("two", Action.SENT)
    assert health.reason is not None
    assert health.reason.startswith("connect: timeout")


async def test_a_tls_handshake_that_stalls_is_given_up_by_the_connect_limit() -> None:
    async with ScriptedSmtp() as server:
        server.on(Step.CONNECT, Hang())  # speaks no TLS at all
        limits = {**QUICK, "connect_timeout_s": 0.3}
        async with desk(server.target(tls="implicit", **limits)) as sender:
            attempt = await sender.send()
    assert short(attempt.outcome) == "connect timeout"
    assert attempt.verdict.action is Action.RELAY_DOWN


async def test_a_tls_handshake_that_stalls_after_starttls_is_given_up(tmp_path: Path) -> None:
    authority = trustme.CA()
    async with ScriptedSmtp(tls=server_context(authority)) as server:
        server.on(Step.STARTTLS, Stall(b"220 2.0.0 go ahead\r\n"))
        limits = {**QUICK, "ca_file": ca_file(authority, tmp_path)}
        async with desk(server.target(tls="required", **limits)) as sender:
            attempt = await sender.send()
    assert short(attempt.outcome) == "starttls timeout"
    assert not attempt.reached_mail


async def test_a_reader_whose_window_is_shut_holds_up_one_connection_only() -> None:
    async with ScriptedSmtp() as server:
        rule = server.on(Step.BODY, Hang(), connection=1, times=1)
        target = server.target(connections=2, **{**QUICK, "rest_s": 3600})
        async with desk(target) as sender:
            victim = sender.begin(b"y\r\n" * 6_000_000, to=BOB)
            await server.until(lambda: rule.hits == 1)
            others = [await sender.send() for _ in range(5)]
            attempt = await victim
    assert short(attempt.outcome) == "body timeout"
    assert [other.verdict.action for other in others] == [Action.SENT] * 5


async def test_a_relay_that_gives_a_complete_line_now_and_then_is_bounded_by_the_deadline(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("notifier.smtp.fleet.Fleet.longest_s", lambda *_: 0.4)
    lines = b"".join(b"250-%d\r\n" % n for n in range(1000))
    slow = _Lines(lines, gap_s=0.01)
    async with ScriptedSmtp() as server:
        server.on(Step.MAIL, slow)
        async with desk(server.target(**PATIENT)) as sender:
            began = time.monotonic()
            attempt = await sender.send()
    assert short(attempt.outcome) == "mail timeout"
    assert time.monotonic() - began < LONG_S


class _Lines:
    """A reply that never ends, a line at a time."""

    accepts = False

    def __init__(self, data: bytes, gap_s: float) -> None:
        self._data = data
        self._gap_s = gap_s

    async def play(self, line: Any, normal: bytes) -> bool:
        for one in self._data.splitlines(keepends=True):
            await line.put(one)
            await asyncio.sleep(self._gap_s)
        return False


@pytest.mark.parametrize(
    "act", [Inject(b"250 injected\r\n"), Inject(b"250-half"), Inject(b"\x16\x03\x01")], ids=repr
)
async def test_what_is_injected_before_starttls_is_never_read_as_encrypted(
    act: Act, tmp_path: Path
) -> None:
    authority = trustme.CA()
    async with ScriptedSmtp(tls=server_context(authority)) as one, ScriptedSmtp() as two:
        one.on(Step.STARTTLS, act)
        limits = {**PATIENT, "ca_file": ca_file(authority, tmp_path), "rest_s": 3600}
        first = one.target("one", tls="required", **limits)
        async with desk(first, two.target("two", **PATIENT)) as sender:
            attempt = await sender.send(MAIL)
        assert one.connections[0].verbs() == ["EHLO", "STARTTLS"]
    assert (attempt.relay, attempt.verdict.action) == ("two", Action.SENT)


async def test_an_ehlo_reply_of_a_thousand_lines_is_read_or_refused_in_bounded_memory() -> None:
    for lines, action in ((500, Action.SENT), (5000, Action.RELAY_DOWN)):
        text = "\n".join(["hello", "PIPELINING", *(f"X-{n:05}" for n in range(lines))])
        async with ScriptedSmtp() as server:
            server.on(Step.EHLO, Say(250, text))
            async with desk(server.target(**PATIENT)) as sender:
                assert (await sender.send()).verdict.action is action
