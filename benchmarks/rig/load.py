"""A load of HTTP requests over kept-open connections, in a process of its own.

`python -m benchmarks.rig.load` reads a `Load` as JSON from standard input, and writes its figures
as JSON to standard output. Raw asyncio on uvloop: it costs a fraction of what it asks for.
"""

import asyncio
import json
import subprocess
import sys
import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, cast

import uvloop

from benchmarks.rig.figures import Failed, percentile
from benchmarks.rig.machine import PYTHON
from benchmarks.rig.tools import ROOT

CONNECTIONS = 64


@dataclass(frozen=True)
class Load:
    """`count` POSTs of `body`, in which `NNNNNNNN` becomes a number, spread over `ports`.

    `rate`: so many a second, whether the answers come or not (an open loop; a latency counts
    from the moment at which its request was due). None: each connection asks as soon as it has
    its answer. `expected` is the only good status.
    """

    ports: Sequence[int]
    body: str
    count: int
    key: str = ""
    connections: int = CONNECTIONS
    rate: float | None = None
    expected: int = 202
    path: str = "/v1/notifications"


@dataclass(frozen=True)
class Loaded:
    """When it began and ended on the monotonic clock, and the latencies."""

    began: float
    ended: float
    answers: int
    p50_ms: float
    p99_ms: float
    cpu_s: float

    @property
    def per_s(self) -> float:
        """Answers a second."""
        return self.answers / (self.ended - self.began)


def put_under(load: Load, patience_s: float = 120) -> Loaded:
    """Run a load to its end. Raises Failed, also for an answer that was not the expected one."""
    try:
        done = subprocess.run(
            [PYTHON, "-m", "benchmarks.rig.load"],
            cwd=ROOT,
            input=json.dumps(asdict(load)),
            capture_output=True,
            text=True,
            timeout=patience_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise Failed(f"a load of {load.count} took longer than {patience_s:.0f} s") from None
    if done.returncode != 0:
        raise Failed(f"the load failed: {(done.stderr.splitlines() or ['without a word'])[-1]}")
    told = json.loads(done.stdout)
    wrong = {status: n for status, n in told.pop("statuses").items() if int(status) != 202}
    if wrong and load.expected == 202:
        raise Failed(f"answers by status: {wrong}")
    return Loaded(**told)


class Connection(asyncio.Protocol):
    """One request at a time; tells `Generator.answered` of each answer."""

    def __init__(self, generator: "Generator") -> None:
        self.generator = generator
        self.transport: asyncio.Transport | None = None
        self.asked_at = 0.0
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Opened."""
        self.transport = cast("asyncio.Transport", transport)

    def ask(self, request: bytes, asked_at: float) -> None:
        """Send a request whose latency counts from `asked_at`."""
        assert self.transport is not None
        self.asked_at = asked_at
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Collect an answer."""
        buffer = self.buffer = self.buffer + data if self.buffer else data
        head = buffer.find(b"\r\n\r\n")
        if head < 0:
            return
        lower = buffer[:head].lower()
        at = lower.find(b"content-length:")
        length = int(lower[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        if len(buffer) < head + 4 + length:
            return
        self.buffer = b""
        self.generator.answered(self, int(buffer[9:12]))

    def connection_lost(self, exc: Exception | None) -> None:
        """Closed by the other side: the run cannot be finished."""
        self.generator.lost(exc)


class Generator:
    """Runs one load."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.left = load.count
        self.statuses: Counter[int] = Counter()
        self.latencies: list[float] = []
        self.opened: list[Connection] = []
        self.idle: list[Connection] = []
        self.due: deque[float] = deque()
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.before, _, self.after = load.body.encode().partition(b"NNNNNNNN")
        length = len(self.before) + 8 + len(self.after)
        self.head = (
            f"POST {load.path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            f"Authorization: Bearer {load.key}\r\nContent-Length: {length}\r\n\r\n"
        ).encode()

    async def run(self) -> dict[str, Any]:
        """All requests; returns the figures."""
        loop = asyncio.get_running_loop()
        for number in range(self.load.connections):
            port = self.load.ports[number % len(self.load.ports)]
            _, one = await loop.create_connection(lambda: Connection(self), "127.0.0.1", port)
            self.opened.append(one)
        self.idle = [*self.opened]
        began = time.monotonic()
        if self.load.rate is None:
            while self.idle and self.left:
                self._ask(self.idle.pop(), time.monotonic())
        else:
            await self._keep_pace(began, self.load.rate)
        try:
            await self.done
        finally:
            ended = time.monotonic()
            self._close()
            await asyncio.sleep(0)  # the loop closes them in its next turn
        return {
            "began": began,
            "ended": ended,
            "answers": len(self.latencies),
            "p50_ms": percentile(self.latencies, 0.5) * 1000,
            "p99_ms": percentile(self.latencies, 0.99) * 1000,
            "cpu_s": time.process_time(),
            "statuses": dict(self.statuses),
        }

    def answered(self, connection: Connection, status: int) -> None:
        """An answer came: count it, and ask the next question if there is one."""
        now = time.monotonic()
        self.latencies.append(now - connection.asked_at)
        self.statuses[status] += 1
        if self.load.rate is None and self.left:
            self._ask(connection, now)
        elif self.due:
            self._ask(connection, self.due.popleft())
        else:
            self.idle.append(connection)
        if len(self.latencies) == self.load.count and not self.done.done():
            self.done.set_result(None)

    def lost(self, exc: Exception | None) -> None:
        """A connection was closed."""
        if not self.done.done():
            self.done.set_exception(exc or ConnectionError("the server closed a connection"))

    def _close(self) -> None:
        for one in self.opened:
            if one.transport is not None:
                one.transport.abort()

    async def _keep_pace(self, began: float, rate: float) -> None:
        asked = 0
        while asked < self.load.count and not self.done.done():
            wanted = min(self.load.count, int((time.monotonic() - began) * rate) + 1)
            for number in range(asked, wanted):
                due_at = began + number / rate
                if self.idle:
                    self._ask(self.idle.pop(), due_at)
                else:
                    self.due.append(due_at)
            asked = wanted
            await asyncio.sleep(0.001)

    def _ask(self, connection: Connection, asked_at: float) -> None:
        self.left -= 1
        number = b"%08d" % self.left
        connection.ask(b"".join((self.head, self.before, number, self.after)), asked_at)


async def main(load: Load) -> None:
    """Run the load and print its figures."""
    print(json.dumps(await Generator(load).run()))


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(Load(**json.load(sys.stdin))))
