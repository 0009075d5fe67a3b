"""Processes of Notifier that are killed and come back, seen from outside only."""

import asyncio
import os
import secrets
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import httpx2

from tests.e2e.process import KEY, ROOT, environment

START_S = 60.0
STOP_S = 30.0
LEASE_S = 3.0
PROGRAM = ("-m", "notifier")


@dataclass
class Life:
    """One process from start to end: its resident memory, sampled, in MB."""

    name: str
    pid: int
    memory: list[float] = field(default_factory=list)

    def __str__(self) -> str:
        if not self.memory:
            return f"{self.name} (pid {self.pid}): too short for a sample"
        first, last, most = self.memory[0], self.memory[-1], max(self.memory)
        return (
            f"{self.name} (pid {self.pid}): {first:.0f} → {last:.0f} MB, at most {most:.0f}"
            f" ({self.growth():+.1f} from the second quarter to the last)"
        )

    def growth(self) -> float:
        """MB from the middle of the run's second quarter to that of its last, by medians: what
        a process takes once, it takes in the first quarter.
        """
        quarter = len(self.memory) // 4
        if not quarter:
            return 0.0
        return median(self.memory[-quarter:]) - median(self.memory[quarter : 2 * quarter])


class Instance:
    """A place in the fleet: one process at a time, on new ports each time.

    `up` is set while it answers; `web` then calls it.
    """

    def __init__(
        self,
        folder: Path,
        role: Sequence[str],
        settings: dict[str, object],
        program: Sequence[str] = PROGRAM,
    ) -> None:
        self.name = "-".join(role).replace("---", "-")
        self.serves = role[0] == "serve"
        self.up = asyncio.Event()
        self.web = httpx2.AsyncClient()
        self.lives: list[Life] = []
        self.log = folder / f"{self.name}-{id(self):x}.log"
        self._folder = folder
        self._command = (*program, *role)
        self._settings = settings
        self._process: asyncio.subprocess.Process | None = None
        self._probe = ""

    @property
    def pid(self) -> int:
        """Of the process that is or was the last."""
        return self.lives[-1].pid

    @property
    def is_running(self) -> bool:
        """Whether the process has not ended, whether it answers or not."""
        return self._process is not None and self._process.returncode is None

    async def begin(self, **extra: object) -> None:
        """Start a process; it is not waited for."""
        ports = {"HTTP__PORT": _port(), "OPS__PORT": _port()}
        chosen = environment(self._folder, **{**self._settings, **extra, **ports})
        with self.log.open("ab") as words:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, *self._command, cwd=ROOT, env=chosen, stdout=words, stderr=words
            )
        self.lives.append(Life(self.name, self._process.pid))
        base = f"http://127.0.0.1:{ports['HTTP__PORT']}"
        self._probe = f"http://127.0.0.1:{ports['OPS__PORT']}/readyz"
        await self.web.aclose()
        # No keep-alive: a killed process must not be met through its successor's pool.
        headers = {"Authorization": f"Bearer {KEY}"}
        self.web = httpx2.AsyncClient(base_url=base, headers=headers, timeout=30)

    async def answers(self) -> None:
        """Return when it is ready. Raises AssertionError when it ended instead."""
        ends = time.monotonic() + START_S
        while True:
            assert self.is_running, f"{self.name} ended by itself: {self.words()}"
            assert time.monotonic() < ends, f"{self.name} never got ready: {self.words()}"
            try:
                if (await self.web.get(self._probe)).status_code == 200:
                    break
            except httpx2.TransportError:
                pass
            await asyncio.sleep(0.02)
        self.up.set()

    async def start(self, **extra: object) -> None:
        """Start a process and return when it is ready."""
        await self.begin(**extra)
        await self.answers()

    def strike(self, number: int = signal.SIGKILL) -> None:
        """Send a signal, at once; nothing if it has ended."""
        if number == signal.SIGKILL:
            self.up.clear()
        if self.is_running:
            os.kill(self.pid, number)

    async def ended(self) -> int:
        """Return its exit status when it has ended."""
        assert self._process is not None
        code = await asyncio.wait_for(self._process.wait(), STOP_S)
        self.up.clear()
        return code

    async def kill(self) -> None:
        """As a power cut would, for this process."""
        self.strike()
        await self.ended()

    async def terminate(self) -> int:
        """Ask it to stop; returns its exit status."""
        self.up.clear()
        self.strike(signal.SIGTERM)
        return await self.ended()

    def words(self) -> str:
        """The end of what it wrote."""
        return self.log.read_text("utf-8", "replace")[-4000:]

    async def close(self) -> None:
        """End what is left."""
        if self.is_running:
            await self.kill()
        await self.web.aclose()


@dataclass
class Fleet:
    """Instances on one database; an async context manager's value, see `fleet`."""

    instances: list[Instance]

    def doors(self) -> list[Instance]:
        """Those that take calls."""
        return [one for one in self.instances if one.serves]

    def lives(self) -> list[Life]:
        """Every process there was."""
        return [life for one in self.instances for life in one.lives]

    async def start(self) -> None:
        """Start all that do not run and return when all are ready."""
        await asyncio.gather(*(one.start() for one in self.instances if not one.is_running))

    async def terminate(self) -> list[int]:
        """Ask all to stop; returns their exit statuses."""
        return await asyncio.gather(*(one.terminate() for one in self.instances))

    async def watch_memory(self, every_s: float) -> None:
        """Sample resident memory until cancelled."""
        while True:
            await asyncio.sleep(every_s)
            running = [one.lives[-1] for one in self.instances if one.up.is_set()]
            if running:
                await _sample(running)


@asynccontextmanager
async def fleet(instances: Sequence[Instance]) -> AsyncIterator[Fleet]:
    """The instances, not started; none is left running behind the block."""
    try:
        yield Fleet([*instances])
    finally:
        await asyncio.gather(*(one.close() for one in instances))


def settings_for(sink_url: str, folder: Path, **more: object) -> dict[str, object]:
    """What an operator sets, with short times, so that retries happen within a test."""
    secret = folder / "key"
    secret.write_text(KEY + "\n")
    return {
        "PUBLIC_URL": "http://127.0.0.1:9",
        "SECRET_KEY": "0123456789abcdef0123456789abcdef",
        "MAIL__FROM": "Shop <shop@example.com>",
        "RELAYS__MAIN__URL": sink_url,
        "RELAYS__MAIN__REST_S": 0.2,
        "KEYS__SHOP__SECRET_FILE": secret,
        "DISPATCH__LEASE_S": LEASE_S,
        "DISPATCH__POLL_S": 0.2,
        "DISPATCH__BACKOFF_FIRST_S": 0.2,
        "DISPATCH__BACKOFF_MAX_S": 1,
        "DISPATCH__ATTEMPTS": 1000,
        "LOG__LEVEL": "warning",
        **more,
    }


def _port() -> int:
    """A free one below those that systems give to outgoing connections: there are many of them
    here, and one of them would take it before the process does.
    """
    while True:
        port = secrets.choice(range(10_000, 32_000))
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


async def _sample(lives: Sequence[Life]) -> None:
    pids = ",".join(str(life.pid) for life in lives)
    process = await asyncio.create_subprocess_exec(
        "ps", "-o", "pid=,rss=", "-p", pids, stdout=asyncio.subprocess.PIPE
    )
    said, _ = await process.communicate()
    found = dict(line.split() for line in said.decode().splitlines())
    for life in lives:
        if int(found.get(str(life.pid), 0)):  # 0: it has just died
            life.memory.append(int(found[str(life.pid)]) / 1024)
