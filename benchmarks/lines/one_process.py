"""What one process costs: latency when idle, memory, and the time until it is ready."""

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import cast

import uvloop

from benchmarks.lines.mails import TEMPLATED, until_recorded
from benchmarks.lines.plan import Plan
from benchmarks.rig.figures import OURS, Failed, Line, Sample, alternate, percentile
from benchmarks.rig.load import Load, put_under
from benchmarks.rig.machine import free_port, peak_mb, rss_mb
from benchmarks.rig.sink import sink
from benchmarks.rig.started import KEY, notifier, settings_for

SETTLE_S = 2.0
WAIT_S = 10.0


class StampingSession(asyncio.Protocol):
    """A relay that takes every mail and tells `came` of it, at once."""

    def __init__(self, came: asyncio.Event) -> None:
        self._came = came
        self._buffer = b""
        self._in_body = False
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(b"220 sink ESMTP\r\n")

    def data_received(self, data: bytes) -> None:
        """Answer what is complete, in one write."""
        self._buffer += data
        answers = []
        while (answer := self._next()) is not None:
            answers.append(answer)
        if answers and self._transport is not None:
            self._transport.write(b"".join(answers))

    def hang_up(self) -> None:
        """The end, without a word."""
        if self._transport is not None:
            self._transport.abort()

    def _next(self) -> bytes | None:
        end = b"\r\n.\r\n" if self._in_body else b"\r\n"
        said, found, rest = self._buffer.partition(end)
        if not found:
            return None
        self._buffer = rest
        if self._in_body:
            self._in_body = False
            self._came.set()
            return b"250 2.0.0 taken\r\n"
        verb = said[:4].upper()
        self._in_body = verb == b"DATA"
        if verb == b"EHLO":
            return b"250-sink\r\n250-PIPELINING\r\n250 8BITMIME\r\n"
        return b"354 go on\r\n" if self._in_body else b"250 2.1.0 ok\r\n"


@asynccontextmanager
async def stamping_sink() -> AsyncIterator[tuple[int, asyncio.Event]]:
    """Port and event of a relay in this very process."""
    came = asyncio.Event()
    sessions: list[StampingSession] = []

    def session() -> StampingSession:
        sessions.append(StampingSession(came))
        return sessions[-1]

    server = await asyncio.get_running_loop().create_server(session, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], came
    finally:
        server.close()
        for one in sessions:
            one.hang_up()
        await asyncio.sleep(0)  # the loop closes them in its next turn


async def post_to_sink_ms(port: int, came: asyncio.Event, count: int) -> Sample:
    """Latencies of mails that are posted one after the other, each alone in the house."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    before, _, after = TEMPLATED.encode().partition(b"NNNNNNNN")
    length = len(before) + 8 + len(after)
    head = (
        "POST /v1/notifications HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {KEY}\r\nContent-Length: {length}\r\n\r\n"
    ).encode()
    answered, seen = [], []
    for number in range(count):
        came.clear()
        began = time.perf_counter()
        writer.write(b"".join((head, before, b"%08d" % number, after)))
        told = (await reader.readuntil(b"\r\n\r\n")).lower()
        if b" 202 " not in told[:20]:
            raise Failed(f"answered {told[:40]!r}")
        answered.append((time.perf_counter() - began) * 1000)
        await reader.readexactly(int(told.partition(b"content-length:")[2].split(b"\r\n")[0]))
        async with asyncio.timeout(WAIT_S):
            await came.wait()
        seen.append((time.perf_counter() - began) * 1000)
        await asyncio.sleep(0.01)  # its outcome is being recorded: the next one finds peace
    writer.close()
    figures = {"p50_ms": percentile(seen, 0.5), "p99_ms": percentile(seen, 0.99)}
    return {**figures, "accept_p50_ms": percentile(answered, 0.5)}


def latency(plan: Plan, name: str, count: int) -> Sample:
    """One `notifier serve` that has nothing else to do, on the store in the folder `name`."""

    async def measured() -> Sample:
        async with stamping_sink() as (relay_port, came):
            settings = settings_for(relay_port)
            started = notifier(plan.room(name), "serve", settings=settings)
            service = await asyncio.to_thread(started.__enter__)
            try:
                await post_to_sink_ms(service.port, came, 20)
                return await post_to_sink_ms(service.port, came, count)
            except TimeoutError:
                raise Failed(f"a mail did not come within {WAIT_S:.0f} s") from None
            finally:
                await asyncio.to_thread(started.__exit__, None, None, None)

    return uvloop.run(measured())


def latency_lines(plan: Plan) -> Iterator[Line]:
    """The walk of a mail that is alone."""
    line = Line("latency", "idle, POST → sink", "ms", "p50_ms")
    count = 100 if plan.quick else 300
    alternate(line, {OURS: lambda: latency(plan, "latency", count)}, plan.rounds, plan.ends)
    line.below(10, "p50_ms", "ms")
    line.below(30, "p99_ms", "ms")
    yield line


def memory_lines(plan: Plan) -> Iterator[Line]:
    """Resident memory, idle and after a burst."""
    line = Line("memory", "resident memory", "MB", "mb")
    rounds = {
        "20,000 in a burst": lambda: _burst(plan, plan.count(20_000)),
        "idle serve": lambda: _idle(plan, "serve"),
        "idle dev": lambda: _idle(plan, "dev"),
    }
    alternate(line, rounds, plan.rounds, plan.ends)
    line.below(150, "mb", "MB", "20,000 in a burst")
    line.below(90, "mb", "MB", "idle serve")
    line.below(110, "mb", "MB", "idle dev")
    yield line


def _burst(plan: Plan, count: int) -> Sample:
    folder = plan.room("burst")
    try:
        with (
            sink(plan.folder) as target,
            notifier(folder, "serve", settings=settings_for(target.port)) as started,
        ):
            loaded = put_under(Load([started.port], TEMPLATED, count, KEY, connections=200))
            target.until(count, 180)
            until_recorded(folder, 30)
            return {"mb": peak_mb(started.pid), "accept_p99_ms": loaded.p99_ms}
    finally:
        shutil.rmtree(folder)


def _idle(plan: Plan, role: str) -> Sample:
    folder = plan.room(f"idle-{role}")
    settings = settings_for(free_port()) if role == "serve" else {}
    with notifier(folder, role, settings=settings) as started:
        time.sleep(SETTLE_S)
        return {"mb": rss_mb(started.pid), "ready_s": started.ready_s}


def start_lines(plan: Plan) -> Iterator[Line]:
    """From the command to `/readyz` 200, the bytecode being there."""
    line = Line("start", "cold start of `serve` until ready", "s", "s")

    def again() -> Sample:
        with notifier(plan.room("start"), "serve", settings=settings_for(free_port())) as started:
            return {"s": started.ready_s}

    def anew() -> Sample:
        folder = plan.room("start-anew")
        try:
            with notifier(folder, "serve", settings=settings_for(free_port())) as started:
                return {"s": started.ready_s}
        finally:
            shutil.rmtree(folder)

    again()  # compiles, and makes the store
    alternate(line, {OURS: again, "with a new data folder": anew}, plan.rounds + 2, plan.ends)
    line.below(1.2, "s", "s")
    yield line
