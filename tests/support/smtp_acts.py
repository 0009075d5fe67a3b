"""What a scripted SMTP server can do instead of behaving well; see `scripted_smtp`."""

import asyncio
import socket
import struct
from dataclasses import dataclass
from typing import Protocol


class Line(Protocol):
    """The server's end of one connection, as an act sees it."""

    async def put(self, data: bytes) -> None: ...
    def finish(self) -> None: ...
    def forget(self) -> None: ...
    def drop(self) -> None: ...
    def reset(self) -> None: ...


class Act(Protocol):
    """One way to answer. `normal` is what a well-behaved server would have written.

    Returns whether the dialogue goes on; `accepts` is whether it does so as after `normal`.
    """

    @property
    def accepts(self) -> bool: ...

    async def play(self, line: Line, normal: bytes) -> bool: ...


@dataclass(frozen=True, slots=True)
class Say:
    """Answer with this code and text (one line for each)."""

    code: int
    text: str = "as scripted"

    @property
    def accepts(self) -> bool:
        return self.code < 400

    async def play(self, line: Line, normal: bytes) -> bool:
        *more, last = self.text.split("\n")
        lines = [f"{self.code}-{text}\r\n" for text in more] + [f"{self.code} {last}\r\n"]
        await line.put("".join(lines).encode())
        return True


@dataclass(frozen=True, slots=True)
class Drop:
    """Close without an answer, or after `say`. `taken`: the mail was delivered all the same."""

    say: bytes = b""
    taken: bool = False

    @property
    def accepts(self) -> bool:
        return self.taken

    async def play(self, line: Line, normal: bytes) -> bool:
        if self.say:
            await line.put(self.say)
        line.drop()
        return False


CLOSING = Drop(b"421 4.3.2 going away\r\n")


@dataclass(frozen=True, slots=True)
class Reset:
    """Close with a TCP RST. `taken`: the mail was delivered all the same."""

    taken: bool = False

    @property
    def accepts(self) -> bool:
        return self.taken

    async def play(self, line: Line, normal: bytes) -> bool:
        line.reset()
        return False


@dataclass(frozen=True, slots=True)
class Hold:
    """Wait for `until`, then answer with `then` (None: as normal)."""

    until: asyncio.Event
    then: Act | None = None

    @property
    def accepts(self) -> bool:
        return self.then is None or self.then.accepts

    async def play(self, line: Line, normal: bytes) -> bool:
        await self.until.wait()
        if self.then is not None:
            return await self.then.play(line, normal)
        await line.put(normal)
        return True


@dataclass(frozen=True, slots=True)
class Forget:
    """Answer as normal, but throw away what came before the answer was given."""

    accepts: bool = True

    async def play(self, line: Line, normal: bytes) -> bool:
        line.forget()
        await line.put(normal)
        return True


@dataclass(frozen=True, slots=True)
class Hang:
    """Never answer."""

    accepts: bool = False

    async def play(self, line: Line, normal: bytes) -> bool:
        await asyncio.get_running_loop().create_future()
        return False


@dataclass(frozen=True, slots=True)
class Stall:
    """Send `say`, and a FIN if `fin`, then neither read nor write any more."""

    say: bytes = b""
    fin: bool = False
    accepts: bool = False

    async def play(self, line: Line, normal: bytes) -> bool:
        await line.put(self.say)
        if self.fin:
            line.finish()
        return await Hang().play(line, normal)


@dataclass(frozen=True, slots=True)
class Drip:
    """Send the normal answer byte by byte, `gap_s` apart."""

    gap_s: float
    accepts: bool = True

    async def play(self, line: Line, normal: bytes) -> bool:
        for byte in normal:
            await line.put(bytes((byte,)))
            await asyncio.sleep(self.gap_s)
        return True


@dataclass(frozen=True, slots=True)
class Garbage:
    """Send these bytes as they are, in place of an answer."""

    data: bytes = b"\x00\xff garbage\r\n"
    taken: bool = False

    @property
    def accepts(self) -> bool:
        return self.taken

    async def play(self, line: Line, normal: bytes) -> bool:
        await line.put(self.data)
        return True


@dataclass(frozen=True, slots=True)
class Flood:
    """Send these bytes again and again, for as long as they are taken."""

    data: bytes
    accepts: bool = False

    async def play(self, line: Line, normal: bytes) -> bool:
        while True:
            await line.put(self.data * 100)
            await asyncio.sleep(0)  # a put that needs not wait lets nobody else run


@dataclass(frozen=True, slots=True)
class Inject:
    """Send the normal answer with these bytes right behind it, in one write."""

    data: bytes
    accepts: bool = True

    async def play(self, line: Line, normal: bytes) -> bool:
        await line.put(normal + self.data)
        return True


def reset_socket(sock: socket.socket) -> None:
    """Make the next close of `sock` an RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
