"""A relay that writes down what it takes, before it says so: the proof's ground truth.

    async with Sink() as sink:
        sink.manners = Weather(Random(7), lose_reply=0.02)
        ...
        assert [one.rcpt_to for one in sink.journal] == ["ann@example.org"]

`manners(step, session)` is asked at every step of every dialogue what to do. A mail is in the
journal from the moment at which its final dot was read, whether the answer got through or not.
It offers PIPELINING and reads ahead of nothing: while an answer is put off, nothing else moves
on that connection.
"""

import asyncio
import hashlib
import re
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from random import Random
from typing import Self

MESSAGE_ID = re.compile(rb"^message-id:\s*(<[^>\r\n]+>)", re.IGNORECASE | re.MULTILINE)
DOT = b"\r\n.\r\n"
PATIENCE_S = 90.0


class Step(Enum):
    """Where manners are asked. BODY: its first bytes are there. DOT: the whole mail is."""

    CONNECT = b"220 sink.test ESMTP\r\n"
    EHLO = b"250-sink.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 ENHANCEDSTATUSCODES\r\n"
    MAIL = b"250 2.1.0 ok\r\n"
    RCPT = b"250 2.1.5 ok\r\n"
    DATA = b"354 go ahead\r\n"
    BODY = b""
    DOT = b"250 2.0.0 taken\r\n"


class Act(Enum):
    """What can be done about a step instead of answering well.

    REFUSE and REJECT are definite answers. The last two are for DOT: the mail was taken, and the
    sender cannot know.
    """

    REFUSE = "450 4.2.1 not now"
    REJECT = "554 5.6.0 never"
    DROP = "close without a word"
    TAKE_AND_DROP = "take it, then close without a word"
    TAKE_AND_GARBLE = "take it, then answer nonsense"


@dataclass(frozen=True, slots=True)
class Wait:
    """Answer only after so long, or when this event is set: well, and then the mail was taken
    at once, or with REJECT.
    """

    until: asyncio.Event | float
    rejects: bool = False


Manner = Act | Wait | None
Manners = Callable[[Step, "Session"], Manner]


@dataclass(frozen=True, slots=True)
class Taken:
    """A mail that the sink took responsibility for. `at` is monotonic."""

    message_id: str
    rcpt_to: str
    digest: bytes
    at: float


@dataclass
class Weather:
    """Manners that go wrong at random, each with its own chance."""

    random: Random
    refuse_rcpt: float = 0.0
    drop_data: float = 0.0
    drop_body: float = 0.0
    refuse_dot: float = 0.0
    drop_dot: float = 0.0
    lose_reply: float = 0.0
    garble_reply: float = 0.0
    slow_dot: float = 0.0
    slow_s: float = 0.3

    def __call__(self, step: Step, _: "Session") -> Manner:
        chances: dict[Step, tuple[tuple[float, Manner], ...]] = {
            Step.RCPT: ((self.refuse_rcpt, Act.REFUSE),),
            Step.DATA: ((self.drop_data, Act.DROP),),
            Step.BODY: ((self.drop_body, Act.DROP),),
            Step.DOT: (
                (self.refuse_dot, Act.REFUSE),
                (self.drop_dot, Act.DROP),
                (self.lose_reply, Act.TAKE_AND_DROP),
                (self.garble_reply, Act.TAKE_AND_GARBLE),
                (self.slow_dot, Wait(self.random.uniform(0, self.slow_s))),
            ),
        }
        drawn = self.random.random()
        for chance, manner in chances.get(step, ()):
            if drawn < chance:
                return manner
            drawn -= chance
        return None


STORMY = {
    "refuse_rcpt": 0.02,
    "drop_data": 0.005,
    "drop_body": 0.005,
    "refuse_dot": 0.02,
    "drop_dot": 0.005,
    "lose_reply": 0.01,
    "garble_reply": 0.005,
    "slow_dot": 0.1,
}
"""A few percent of everything that can go wrong without anybody dying."""


def well(_step: Step, _session: "Session") -> Manner:
    """Manners without a fault."""
    return None


@dataclass
class Sink:
    """The server; an async context manager. Listens on 127.0.0.1, on a free port.

    `bodies` holds the last mail to each recipient, for those who have to read it. `told` is how
    often each step was reached. `ambush` is called once, when the next mail was taken and before
    that is answered.
    """

    manners: Manners = well
    journal: list[Taken] = field(default_factory=list)
    bodies: dict[str, bytes] = field(default_factory=dict)
    told: Counter[Step] = field(default_factory=Counter)
    port: int = 0
    keeps_bodies: bool = True
    ambush: Callable[[], None] | None = None
    distinct: set[tuple[str, str]] = field(default_factory=set)
    sessions: set["Session"] = field(default_factory=set)
    _server: asyncio.Server | None = None
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Session(self), "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for session in [*self.sessions]:
            session.drop()
        await self._server.wait_closed()

    @property
    def url(self) -> str:
        """For `RELAYS__<NAME>__URL`."""
        return f"smtp://127.0.0.1:{self.port}?tls=none"

    async def until(self, predicate: Callable[[], bool]) -> None:
        """Return as soon as what has happened here satisfies `predicate`; TimeoutError: never."""
        async with asyncio.timeout(PATIENCE_S):
            while not predicate():
                self._changed.clear()
                await self._changed.wait()

    def taken_by(self, rcpt_to: str) -> list[Taken]:
        """All mails to one recipient, copies too."""
        return [one for one in self.journal if one.rcpt_to == rcpt_to]

    def reached(self, step: Step, session: "Session") -> Manner:
        """Count a step and say what to do about it."""
        self.told[step] += 1
        manner = self.manners(step, session)
        self._changed.set()
        return manner

    def left(self, session: "Session") -> None:
        """A connection is over."""
        self.sessions.discard(session)
        self._changed.set()

    def take(self, rcpt_to: str, body: bytes) -> None:
        """Take responsibility for a mail."""
        found = MESSAGE_ID.search(body)
        message_id = found[1].decode("ascii", "replace") if found else "none"
        digest = hashlib.sha256(body).digest()
        self.journal.append(Taken(message_id, rcpt_to, digest, time.monotonic()))
        self.distinct.add((message_id, rcpt_to))
        if self.keeps_bodies:
            self.bodies[rcpt_to] = body
        ambush, self.ambush = self.ambush, None
        if ambush is not None:
            ambush()
        self._changed.set()


class Session(asyncio.Protocol):
    """One connection. `rcpt_to` is the recipient of the open envelope."""

    rcpt_to: str = ""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._buffer = bytearray()
        self._in_body = False
        self._body_announced = False
        self._blocked = False
        self._transport: asyncio.Transport | None = None

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._sink.sessions.add(self)
        self._answer(Step.CONNECT)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._sink.left(self)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        self._advance()

    def drop(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()

    # The dialogue

    def _advance(self) -> None:
        while not self._blocked and self._transport is not None:
            if not (self._take_body() if self._in_body else self._take_line()):
                return

    def _take_line(self) -> bool:
        """False: there is no whole line."""
        line, ending, rest = self._buffer.partition(b"\r\n")
        if not ending:
            return False
        self._buffer = rest
        verb = bytes(line[:4]).upper()
        if verb == b"RCPT":
            self.rcpt_to = line.decode()[len("RCPT TO:") :].split(" ")[0].strip("<>")
        if verb in {b"EHLO", b"MAIL", b"RCPT"}:
            self._answer(Step[verb.decode()])
        elif verb == b"DATA":
            self._data()
        elif verb == b"QUIT":
            self._say(b"221 2.0.0 bye\r\n")
            self._close()
        else:
            self._say(b"250 2.0.0 ok\r\n")  # RSET, NOOP
        if verb == b"RSET":
            self.rcpt_to = ""
        return True

    def _data(self) -> None:
        if not self.rcpt_to:
            self._say(b"503 5.5.1 no recipient\r\n")
            return
        self._in_body, self._body_announced = True, False
        self._buffer = bytearray(b"\r\n") + self._buffer  # so that a lone dot is a dot too
        self._answer(Step.DATA)

    def _take_body(self) -> bool:
        """False: the final dot is not there yet."""
        if len(self._buffer) > 2 and not self._body_announced:
            self._body_announced = True
            if self._sink.reached(Step.BODY, self) is Act.DROP:
                self.drop()
                return False
        body, dot, rest = self._buffer.partition(DOT)
        if not dot:
            return False
        self._buffer, self._in_body = rest, False
        self._end_of_mail(bytes(body[2:]) + b"\r\n")
        return True

    def _end_of_mail(self, body: bytes) -> None:
        rcpt_to = self.rcpt_to
        manner = self._sink.reached(Step.DOT, self)
        if not _refuses(manner):
            self._sink.take(rcpt_to, body)
        self.rcpt_to = ""
        self._act(Step.DOT, manner)

    def _answer(self, step: Step) -> None:
        self._act(step, self._sink.reached(step, self))

    def _act(self, step: Step, manner: Manner) -> None:
        if isinstance(manner, Wait):
            self._put_off(_line(Act.REJECT) if manner.rejects else step.value, manner.until)
        elif manner in {Act.DROP, Act.TAKE_AND_DROP}:
            self.drop()
        elif manner is Act.TAKE_AND_GARBLE:
            self._say(b"\x00 what?\r\n")
        elif manner in {Act.REFUSE, Act.REJECT}:
            self._say(_line(manner))
            self._forget(step)
        else:
            self._say(step.value)

    def _forget(self, step: Step) -> None:
        if step is Step.RCPT:
            self.rcpt_to = ""
        self._in_body = False

    def _put_off(self, answer: bytes, until: asyncio.Event | float) -> None:
        self._blocked = True
        loop = asyncio.get_running_loop()
        if isinstance(until, asyncio.Event):
            waiting = loop.create_task(until.wait())
            waiting.add_done_callback(lambda _: self._go_on(answer))
        else:
            loop.call_later(until, self._go_on, answer)

    def _go_on(self, answer: bytes) -> None:
        self._blocked = False
        self._say(answer)
        self._advance()

    def _say(self, answer: bytes) -> None:
        if self._transport is not None:
            self._transport.write(answer)

    def _close(self) -> None:
        if self._transport is not None:
            self._transport.close()


def _refuses(manner: Manner) -> bool:
    """Whether the mail is not taken."""
    if isinstance(manner, Wait):
        return manner.rejects
    return manner in {Act.REFUSE, Act.REJECT, Act.DROP}


def _line(act: Act) -> bytes:
    return f"{act.value}\r\n".encode()
