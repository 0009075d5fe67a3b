"""The bytes of one SMTP connection: replies in, commands and body blocks out."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, cast

from aiosmtplib import (
    SMTPException,
    SMTPReadTimeoutError,
    SMTPResponse,
    SMTPResponseException,
    SMTPServerDisconnected,
)
from aiosmtplib.protocol import SMTPProtocol

if TYPE_CHECKING:
    from notifier.smtp.courier import Courier

GARBAGE: Final = -1
"""The code aiosmtplib gives to what is no SMTP reply."""

# RFC 5321 §4.5.3.1.5 promises 512 octets a line; real EHLO replies and policy texts are longer.
MAX_LINE_BYTES: Final = 8 * 1024
MAX_REPLY_BYTES: Final = 32 * 1024
BLOCK_BYTES: Final = 64 * 1024

# RFC 5321 §4.2: three digits of which the first is 2 to 5, then a blank, a hyphen, or nothing.
_CODES: Final = {b"%d" % code: code for code in range(200, 600)}
_MARKS: Final = (b" ", b"", b"-")


class Wire(SMTPProtocol):
    """aiosmtplib's protocol, made exact about which reply belongs to which command.

    It knows how many replies the relay still owes. So several commands may go out in one write
    (RFC 2920), and a reply that nobody asked for, or anything after the 220 to STARTTLS, ends
    the connection instead of being taken for the answer to the next command. Each reply has a
    deadline of its own, so a byte a second does not hold it open. After any failure here the
    connection must not be used again.

    While a connection is opened and left, replies wait for `read_response`. In between `courier`
    is set and told of each one as it comes, then once when all that came has been told
    (`proceed`): only then may it write, so nothing that is here already can pass for an answer.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, lost: Callable[[SMTPProtocol], None]
    ) -> None:
        super().__init__(loop=loop, connection_lost_callback=lost)
        self.garbled = False
        self.courier: Courier | None = None
        self._owed = 1  # the greeting
        self._sending_body = False
        self._partial = b""
        self._lines: list[bytes] = []
        self._lines_bytes = 0
        self._replies: deque[SMTPResponse] = deque()
        self._failure: SMTPException | None = None
        self._waiter: asyncio.Future[None] | None = None

    # What the relay says

    def data_received(self, data: bytes) -> None:
        """Cut what came into replies and tell whoever waits for them."""
        if self.has_failed():
            return
        if self._partial:
            data = self._partial + data
        start = 0
        while (end := data.find(b"\n", start)) >= 0:
            self._take_line(data[start:end])
            if self.has_failed():
                return
            start = end + 1
        self._partial = data[start:]
        if self._partial:
            self._check_partial()
        if not start or self.has_failed():
            return
        if self.courier is not None:
            self.courier.proceed()
        else:
            self._wake()

    def eof_received(self) -> bool:
        """Nothing more can come, so nothing more needs to be written."""
        self._fail(SMTPServerDisconnected("connection closed by the relay"))
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The end, whoever brought it about."""
        super().connection_lost(exc)
        self._fail(SMTPServerDisconnected(f"connection lost: {exc}" if exc else "lost"))

    async def read_response(
        self,
        timeout: float | None = None,  # noqa: ASYNC109 - the base's name
    ) -> SMTPResponse:
        """The next reply in the order of the commands.

        Replies that came before the connection broke are still given. Raises
        SMTPReadTimeoutError, SMTPServerDisconnected, or SMTPResponseException with `GARBAGE`.
        """
        if not self._replies:
            await self._readable(timeout)
        return self._replies.popleft()

    # What we say

    def has_failed(self) -> bool:
        """Whether the connection must not be used again."""
        return self._failure is not None

    def check(self) -> None:
        """Raise what has_failed() is about."""
        if self._failure is not None:
            raise self._failure

    @property
    def is_full(self) -> bool:
        """Whether the relay does not read as fast as we write; `courier.room()` ends it."""
        return self._paused

    def write(self, data: bytes) -> None:
        """Send one command that is owed one reply (aiosmtplib's own commands go through here)."""
        self.send(data, replies=1)

    def send(self, data: bytes, *, replies: int) -> None:
        """Send a group of commands. Raises if the connection is not fit to take them."""
        self.check()
        if self._replies or self._owed:
            self._spoil("a reply that came before its command")
            raise SMTPResponseException(GARBAGE, "a reply that came before its command")
        self._owed = replies
        super().write(data)

    def say(self, data: bytes, *, replies: int) -> None:
        """Send a group of commands for the courier, who is told when that fails."""
        self._sending_body = False
        self._owed = replies
        self._put(data)

    def send_block(self, block: bytes | memoryview) -> None:
        """Send a part of the body. A reply that comes from here on is told without being owed."""
        self._sending_body = True
        self._put(block)

    def expire(self) -> None:
        """The relay took too long."""
        self._fail(SMTPReadTimeoutError("no complete reply in time"))

    def resume_writing(self) -> None:
        """There is room again."""
        super().resume_writing()
        if self.courier is not None:
            self.courier.room()

    def abort(self) -> None:
        """Close at once, without sending what is still buffered."""
        self._fail(SMTPServerDisconnected("given up by us"))

    # Inside

    def _put(self, data: bytes | memoryview) -> None:
        transport = cast("asyncio.WriteTransport | None", self.transport)
        if transport is not None and not transport.is_closing():
            transport.write(data)
            return
        self._fail(SMTPServerDisconnected("connection closed"))

    def _take_line(self, line: bytes) -> None:
        code, mark = _CODES.get(line[:3]), line[3:4]
        if mark == b"\r" and len(line) == 4:
            mark = b""
        if code is None or mark not in _MARKS or len(line) > MAX_LINE_BYTES:
            self._spoil("a line that is no SMTP reply")
        elif self._lines or mark == b"-":
            self._take_one_of_several(line, last=mark != b"-")
        else:
            self._take_reply(code, line[4:].strip())

    def _take_one_of_several(self, line: bytes, *, last: bool) -> None:
        if self._lines and self._lines[0][:3] != line[:3]:
            self._spoil("a reply with two codes")
            return
        self._lines.append(line)
        self._lines_bytes += len(line)
        if last:
            text = b"\n".join(one[4:].strip() for one in self._lines)
            self._lines, self._lines_bytes = [], 0
            self._take_reply(_CODES[line[:3]], text)
        elif self._lines_bytes > MAX_REPLY_BYTES:
            self._spoil("a reply without end")

    def _take_reply(self, code: int, text: bytes) -> None:
        if self._owed:
            self._owed -= 1
        elif not self._sending_body:
            self._spoil("a reply that nobody asked for")
            return
        if self.courier is not None:
            self.courier.replied(code, text)
        else:
            self._replies.append(SMTPResponse(code, text.decode("utf-8", "surrogateescape")))

    def _check_partial(self) -> None:
        if self._lines_bytes + len(self._partial) > MAX_REPLY_BYTES:
            self._spoil("a reply without end")
        elif not self._owed and not self._sending_body:
            self._spoil("data that nobody asked for")

    async def _readable(self, timeout: float | None) -> None:  # noqa: ASYNC109 - the base's name
        self.check()
        waiter = self._waiter = self._loop.create_future()
        timer = None if timeout is None else self._loop.call_later(timeout, _expire, waiter)
        try:
            await waiter
        finally:
            self._waiter = None
            if timer is not None:
                timer.cancel()
        if not self._replies:
            assert self._failure is not None
            raise self._failure

    def _wake(self) -> None:
        ready = self._replies or self._failure is not None
        if ready and self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _spoil(self, what: str) -> None:
        self.garbled = True
        self._fail(SMTPResponseException(GARBAGE, what))

    def _fail(self, failure: SMTPException) -> None:
        if self.transport is not None:
            cast("asyncio.WriteTransport", self.transport).abort()
        self._failure = self._failure or failure
        self._wake()
        if self.courier is not None:
            self.courier.broken(self._failure)


def _expire(waiter: "asyncio.Future[None]") -> None:
    if not waiter.done():
        waiter.set_exception(SMTPReadTimeoutError("no complete reply in time"))
