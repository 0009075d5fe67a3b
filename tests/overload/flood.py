"""Callers that do not wait to be asked: an open loop of requests, whatever the answers are."""

import asyncio
import json
import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from tests.e2e.process import KEY

PATIENCE_S = 30.0
_RETRY_AFTER = re.compile(rb"^retry-after: *\d+", re.IGNORECASE | re.MULTILINE)
_LENGTH = re.compile(rb"^content-length: *(\d+)", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer as it came. Status 0: the connection ended without one."""

    status: int
    head: bytes
    body: bytes

    @property
    def retry_after(self) -> bool:
        return (
            re.search(rb"^retry-after: *\d+", self.head, re.IGNORECASE | re.MULTILINE) is not None
        )


NONE = Reply(0, b"", b"")


class Line:
    """One kept-open connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def open(cls, port: int) -> "Line":
        return cls(*await asyncio.open_connection("127.0.0.1", port, limit=2**20))

    async def call(self, request: bytes) -> Reply:
        try:
            async with asyncio.timeout(PATIENCE_S):
                self.writer.write(request)
                await self.writer.drain()
                head = await self.reader.readuntil(b"\r\n\r\n")
                found = _LENGTH.search(head)
                body = await self.reader.readexactly(int(found[1])) if found else b""
        except (OSError, EOFError):
            return NONE
        return Reply(int(head.split(b" ", 2)[1]), head, body)

    def close(self) -> None:
        self.writer.close()


def post(recipient: str, text: str = "It works.") -> bytes:
    """A request for one mail."""
    return posted({"to": recipient, "subject": "Hello", "text": text, "stream": "bulk"})


def posted(body: object, path: str = "/v1/notifications") -> bytes:
    content = json.dumps(body).encode()
    return (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {KEY}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    ).encode() + content


@dataclass
class Flood:
    """Posts to one port. `accepted` are the recipients of every 202."""

    port: int
    accepted: set[str] = field(default_factory=set)
    replies: list[Reply] = field(default_factory=list)
    offered: int = 0
    skipped: int = 0
    _numbers: Iterator[int] = field(default_factory=count)
    _idle: list[Line] = field(default_factory=list)

    @property
    def statuses(self) -> Counter[int]:
        return Counter(reply.status for reply in self.replies)

    async def pace(self, callers: int, seconds: float) -> float:
        """Answers a second to callers who wait for theirs: what it can take."""
        ends, before = time.monotonic() + seconds, len(self.accepted)
        await asyncio.gather(*(self._closed_loop(ends) for _ in range(callers)))
        return (len(self.accepted) - before) / seconds

    async def _closed_loop(self, ends: float) -> None:
        while time.monotonic() < ends:
            await self.one()

    async def open_loop(self, a_second: float, seconds: float, *, most_open: int) -> None:
        """So many calls a second, whether the earlier ones were answered or not.

        `most_open` bounds what is under way, as a caller's own sockets would; what comes on top
        is `skipped`.
        """
        began, under_way = time.monotonic(), set[asyncio.Task[None]]()
        sent = 0
        while (now := time.monotonic() - began) < seconds:
            while sent < now * a_second:
                sent += 1
                if len(under_way) >= most_open:
                    self.skipped += 1
                    continue
                task = asyncio.create_task(self.one())
                under_way.add(task)
                task.add_done_callback(under_way.discard)
            await asyncio.sleep(0.002)  # the loop's own beat; answers come in meanwhile
        self.offered = sent
        await asyncio.gather(*under_way)

    async def one(self) -> None:
        recipient = f"p{next(self._numbers)}@example.org"
        reply = await self._call(post(recipient))
        self.replies.append(reply)
        if reply.status == 202:
            self.accepted.add(recipient)

    async def _call(self, request: bytes) -> Reply:
        try:
            line = self._idle.pop() if self._idle else await Line.open(self.port)
        except OSError:
            return NONE
        reply = await line.call(request)
        if reply is NONE or b"connection: close" in reply.head.lower():
            line.close()
        else:
            self._idle.append(line)
        return reply

    def close(self) -> None:
        for line in self._idle:
            line.close()


@asynccontextmanager
async def flood(port: int) -> AsyncIterator[Flood]:
    found = Flood(port)
    try:
        yield found
    finally:
        found.close()


@dataclass
class Watch:
    """What a probe and the kernel say of a process while something is done to it."""

    pid: int
    probe_port: int
    waits_s: list[float] = field(default_factory=list)
    rss: list[int] = field(default_factory=list)

    async def run(self) -> None:
        line = await Line.open(self.probe_port)
        try:
            while True:
                began = time.monotonic()
                reply = await line.call(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
                assert reply.status == 200
                self.waits_s.append(time.monotonic() - began)
                self.rss.append(resident_bytes(self.pid))
                await asyncio.sleep(0.05)
        finally:
            line.close()


@asynccontextmanager
async def watched(pid: int, probe_port: int) -> AsyncIterator[Watch]:
    found = Watch(pid, probe_port)
    task = asyncio.create_task(found.run())
    try:
        yield found
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def resident_bytes(pid: int) -> int:
    """Memory that the process has now."""
    pages = Path(f"/proc/{pid}/statm").read_text("ascii").split()[1]
    return int(pages) * 4096
