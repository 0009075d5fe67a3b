"""A TCP proxy that lets every byte travel for a while, in a process of its own.

`python -m benchmarks.rig.delay PORT TARGET ROUND_TRIP_S`. Each direction takes half the round
trip and keeps its order; a connection is made upstream after one and a half, so that the first
byte of a server that speaks first comes after two, as with a real handshake.
"""

import asyncio
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import uvloop

from benchmarks.rig.machine import PYTHON, free_port
from benchmarks.rig.started import ended, until_listening
from benchmarks.rig.tools import ROOT


@contextmanager
def delayed(target: int, round_trip_s: float) -> Iterator[int]:
    """A port of the loopback behind which `target` is that far away."""
    port = free_port()
    arguments = [str(port), str(target), str(round_trip_s)]
    process = subprocess.Popen([PYTHON, "-m", "benchmarks.rig.delay", *arguments], cwd=ROOT)
    try:
        until_listening(port, process)
        yield port
    finally:
        ended(process)


class Way(asyncio.Protocol):
    """One end; what it receives comes out of `other` after `delay_s`."""

    def __init__(self, delay_s: float) -> None:
        self.delay_s = delay_s
        self.loop = asyncio.get_running_loop()
        self.transport: asyncio.Transport | None = None
        self.other: Way | None = None
        self._travelling: deque[tuple[float, bytes | None]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Opened."""
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Send it on its way."""
        self._travel(data)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """The end travels too, behind the bytes before it."""
        self._travel(None)

    def arrive(self) -> None:
        """Hand on what has travelled long enough."""
        self._timer = None
        other = self.other
        if other is None or other.transport is None:
            return  # `link` calls again once there is another side
        now, ready = self.loop.time(), []
        while self._travelling and self._travelling[0][0] <= now:
            ready.append(self._travelling.popleft()[1])
        chunks = [chunk for chunk in ready if chunk is not None]
        if chunks and not other.transport.is_closing():
            other.transport.write(b"".join(chunks))
        if None in ready:
            other.transport.close()
        elif self._travelling:
            self._timer = self.loop.call_at(self._travelling[0][0], self.arrive)

    def _travel(self, data: bytes | None) -> None:
        self._travelling.append((self.loop.time() + self.delay_s, data))
        if not self.delay_s:
            self.arrive()
        elif self._timer is None:
            self._timer = self.loop.call_later(self.delay_s, self.arrive)


class Near(Way):
    """The end at the caller's."""

    def __init__(self, target: int, round_trip_s: float) -> None:
        super().__init__(round_trip_s / 2)
        self._target = target
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called: connect to the far end."""
        super().connection_made(transport)
        self._task = self.loop.create_task(self._connect())

    async def _connect(self) -> None:
        await asyncio.sleep(self.delay_s * 3)
        far = Way(self.delay_s)
        far.other = self
        await self.loop.create_connection(lambda: far, "127.0.0.1", self._target)
        self.other = far
        self.arrive()


async def main(port: int, target: int, round_trip_s: float) -> None:
    """Serve until the process is ended."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Near(target, round_trip_s), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
