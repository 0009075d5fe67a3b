"""The bytes of one SMTP connection: replies in, commands and body blocks out."""

import asyncio
import re
from collections import deque
from collections.abc import Callable
from typing import Final, cast

from aiosmtplib import (
    SMTPException,
    SMTPReadTimeoutError,
    SMTPResponse,
    SMTPResponseException,
    SMTPServerDisconnected,
)
from aiosmtplib.protocol import SMTPProtocol

GARBAGE: Final = -1
"""The code aiosmtplib gives to what is no SMTP reply."""

# RFC 5321 §4.5.3.1.5 promises 512 octets a line; real EHLO replies and policy texts are longer.
MAX_LINE_BYTES: Final = 8 * 1024
MAX_REPLY_BYTES: Final = 32 * 1024
BLOCK_BYTES: Final = 64 * 1024

_LINE: Final = re.compile(rb"([2-5][0-9][0-9])(?:([ -])(.*))?\Z", re.DOTALL)


class Wire(SMTPProtocol):
    """aiosmtplib's protocol, made exact about which reply belongs to which command.

    It knows how many replies the relay still owes. So several commands may go out in one write
    (RFC 2920), and a reply that nobody asked for, or anything after the 220 to STARTTLS, ends
    the connection instead of being taken for the answer to the next command. Each reply has a
    deadline of its own, so a byte a second does not hold it open. After any failure here the
    connection must not be used again.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, lost: Callable[[SMTPProtocol], None]
    ) -> None:
        super().__init__(loop=loop, connection_lost_callback=lost)
        self.garbled = False
        self.early: SMTPResponse | None = None
        self._owed = 1  # the greeting
        self._sending_body = False
        self._lines: list[bytes] = []
        self._lines_bytes = 0
        self._replies: deque[SMTPResponse] = deque()
        self._failure: SMTPException | None = None
        self._waiter: asyncio.Future[None] | None = None

    # What the relay says

    def data_received(self, data: bytes) -> None:
        """Cut what came into replies and wake whoever waits for one."""
        if self._failure is not None:
            return
        self._buffer += data
        if b"\n" in data:
            self._take_lines()
        if self._lines_bytes + len(self._buffer) > MAX_REPLY_BYTES:
            self._spoil("a reply without end")
        elif self._buffer and not self._owed and not self._sending_body:
            self._spoil("data that nobody asked for")
        self._wake()

    def eof_received(self) -> bool:
        """Nothing more can come, so nothing more needs to be written."""
        self._fail(SMTPServerDisconnected("connection closed by the relay"))
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The end, whoever brought it about."""
        if self._failure is None:
            self._failure = SMTPServerDisconnected(f"connection lost: {exc}" if exc else "lost")
        super().connection_lost(exc)
        self._wake()

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

    def write(self, data: bytes) -> None:
        """Send one command that is owed one reply (aiosmtplib's own commands go through here)."""
        self.send(data, replies=1)

    def send(self, data: bytes, *, replies: int) -> None:
        """Send a group of commands. Raises if the connection is not fit to take them."""
        if self._failure is not None:
            raise self._failure
        if self._replies or self._owed:
            self._spoil("a reply that came before its command")
            raise SMTPResponseException(GARBAGE, "a reply that came before its command")
        self._owed = replies
        super().write(data)

    async def send_block(self, block: bytes | memoryview, *, timeout_s: float) -> bool:
        """Send a part of the body and wait until there is room for the next one.

        False: the relay answered before the final dot, see `early`. Raises TimeoutError when
        there is no room within `timeout_s`.
        """
        self._sending_body = True
        super().write(cast("bytes", block))
        if self._paused and self.early is None:
            async with asyncio.timeout(timeout_s):
                await self._drain_helper()
        return self.early is None

    def send_end(self, block: bytes) -> None:
        """Send the last block of the body with the final dot, which is owed a reply."""
        self._sending_body = False
        if self._failure is not None:
            raise self._failure
        self._owed = 1
        super().write(block)

    def abort(self) -> None:
        """Close at once, without sending what is still buffered."""
        self._fail(SMTPServerDisconnected("given up by us"))

    # Inside

    def _take_lines(self) -> None:
        start = 0
        while self._failure is None and (end := self._buffer.find(b"\n", start)) >= 0:
            line = bytes(self._buffer[start:end])
            start = end + 1
            self._take_line(line.removesuffix(b"\r"))
        del self._buffer[:start]

    def _take_line(self, line: bytes) -> None:
        match = _LINE.match(line)
        if match is None or len(line) > MAX_LINE_BYTES:
            self._spoil("a line that is no SMTP reply")
            return
        code, dash, text = match.groups()
        if self._lines and self._lines[0] != code:
            self._spoil("a reply with two codes")
            return
        if not self._lines:
            self._lines.append(code)
        self._lines.append((text or b"").strip())
        self._lines_bytes += len(line)
        if dash != b"-":
            self._take_reply()

    def _take_reply(self) -> None:
        text = b"\n".join(self._lines[1:]).decode("utf-8", "surrogateescape")
        reply = SMTPResponse(int(self._lines[0]), text)
        self._lines.clear()
        self._lines_bytes = 0
        if self._owed:
            self._owed -= 1
            self._replies.append(reply)
        elif self._sending_body and self.early is None:
            self.early = reply
            self._release_drain()
        else:
            self._spoil("a reply that nobody asked for")

    async def _readable(self, timeout: float | None) -> None:  # noqa: ASYNC109 - the base's name
        if self._failure is not None:
            raise self._failure
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

    def _release_drain(self) -> None:
        for waiter in self._drain_waiters:
            if not waiter.done():
                waiter.set_result(None)

    def _spoil(self, what: str) -> None:
        self.garbled = True
        self._fail(SMTPResponseException(GARBAGE, what))

    def _fail(self, failure: SMTPException) -> None:
        if self._failure is None:
            self._failure = failure
        if self.transport is not None:
            cast("asyncio.WriteTransport", self.transport).abort()
        self._release_drain()
        self._wake()


def _expire(waiter: "asyncio.Future[None]") -> None:
    if not waiter.done():
        waiter.set_exception(SMTPReadTimeoutError("no complete reply in time"))
