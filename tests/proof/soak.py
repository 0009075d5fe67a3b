"""The crash soak: callers post, processes are killed at random, and then the books are compared."""

import asyncio
import signal
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from random import Random

from notifier.settings.sections import DatabaseSettings
from tests.e2e.process import run
from tests.proof.books import Audit, Books, Ledger, Post, audit, glance
from tests.proof.clients import Callers
from tests.proof.fleet import LEASE_S, Fleet, Instance, Life, fleet, settings_for
from tests.proof.sink import STORMY, Sink, Weather
from tests.support.postgres_crash import CrashingServer

DRAIN_S = 90.0
FLAT_MB = 6.0
"""Growth of a process's memory in a calm soak that is still called flat."""

ONE = (("serve",),)
MANY = (("serve", "--no-dispatch"), ("serve", "--no-dispatch"), ("worker",), ("worker",))


@dataclass(frozen=True, slots=True)
class Plan:
    """How long, how hard. `calm`: nobody is killed, memory is measured, and has to stay flat."""

    seconds: float
    seed: int
    roles: tuple[tuple[str, ...], ...] = ONE
    calm: bool = False
    posts_a_second: float = 100.0
    keep_s: float = 20.0


@dataclass
class Report:
    """What a soak shows. `violations` is empty when everything held."""

    plan: Plan
    audit: Audit
    lives: list[Life]
    done: dict[str, int]
    violations: list[str] = field(default_factory=list)

    def lines(self) -> Iterable[str]:
        """For people: memory of each process, then the violations, then the closing line."""
        for life in sorted(self.lives, key=lambda life: -len(life.memory))[:12]:
            yield f"memory of {life}"
        yield from islice(self.violations, 40)
        deeds = " · ".join(f"{what} {count:,}" for what, count in self.done.items() if count)
        yield f"{self.audit} · {deeds or 'kills 0'} · seed {self.plan.seed}"


class Chaos:
    """Kills, freezes, stops and crashes, one after the other, at random; `done` counts them."""

    def __init__(self, world: "Soak", server: CrashingServer | None) -> None:
        self.done = {"kills": 0, "stops": 0, "freezes": 0, "database crashes": 0}
        self._world = world
        self._server = server
        self._random = Random(world.plan.seed)

    async def run(self, until: float) -> None:
        """Go on until this monotonic time; then everything runs."""
        while time.monotonic() < until:
            await asyncio.sleep(self._random.uniform(0.1, 2.0))
            await self._strike()

    async def _strike(self) -> None:
        victim = self._random.choice(self._world.fleet.instances)
        drawn = self._random.random()
        if self._server is not None and drawn < 0.15:
            await self._crash(self._server)
            return
        if drawn < 0.25 and len(self._world.fleet.instances) > 1:
            await self._freeze(victim)
            return
        if drawn < 0.35:
            await self._stop(victim)
        else:
            await self._kill(victim, at_a_dot=drawn < 0.65)
        if self._random.random() < 0.3:
            await self._world.look_at_the_books()
        if self._random.random() < 0.2:
            await self._kill_while_it_starts(victim)
        await victim.start()

    async def _kill(self, victim: Instance, *, at_a_dot: bool) -> None:
        if at_a_dot:
            self._world.sink.ambush = victim.strike
            with suppress(TimeoutError):
                async with asyncio.timeout(2):
                    await self._world.sink.until(lambda: self._world.sink.ambush is None)
            self._world.sink.ambush = None
        await victim.kill()
        self.done["kills"] += 1

    async def _kill_while_it_starts(self, victim: Instance) -> None:
        await victim.begin()
        await asyncio.sleep(self._random.uniform(0.0, 1.5))
        victim.strike()
        code = await victim.ended()
        if code != -signal.SIGKILL:
            self._world.ledger.strange[f"{victim.name} ended with {code} at its start"] += 1
        self.done["kills"] += 1

    async def _stop(self, victim: Instance) -> None:
        code = await victim.terminate()
        if code:
            self._world.ledger.strange[f"{victim.name} stopped with {code}"] += 1
        self.done["stops"] += 1

    async def _freeze(self, victim: Instance) -> None:
        """Past its lease: whoever else is there takes its mails over."""
        victim.strike(signal.SIGSTOP)
        await asyncio.sleep(LEASE_S + self._random.uniform(0.0, 1.0))
        victim.strike(signal.SIGCONT)
        self.done["freezes"] += 1

    async def _crash(self, server: CrashingServer) -> None:
        await asyncio.to_thread(server.crash)
        await asyncio.sleep(self._random.uniform(0.0, 1.0))
        await asyncio.to_thread(server.start)
        self.done["database crashes"] += 1
        for one in self._world.fleet.instances:
            if not one.is_running:
                self._world.ledger.strange[f"{one.name} did not outlive the database"] += 1
                await one.start()


@dataclass
class Soak:
    """Everything that takes part in one."""

    plan: Plan
    sink: Sink
    books: Books
    fleet: Fleet
    ledger: Ledger = field(default_factory=Ledger)

    async def run(self, server: CrashingServer | None) -> Report:
        """Post and kill, drain, stop, compare."""
        chaos = Chaos(self, server)
        callers = Callers(self.fleet, self.ledger, self.sink, Random(self.plan.seed))
        watch = asyncio.create_task(self.fleet.watch_memory(min(2.0, self.plan.seconds / 60)))
        await self.fleet.start()
        ends = time.monotonic() + self.plan.seconds
        work = [callers.run(ends, callers=16, a_second=self.plan.posts_a_second)]
        if not self.plan.calm:
            work.append(chaos.run(ends))
        await asyncio.gather(*work)
        watch.cancel()
        await self._drained()
        codes = await self.fleet.terminate()
        if any(codes):
            self.ledger.strange[f"the last stop gave {codes}"] += 1
        found = audit(self.ledger, self.sink.journal, await asyncio.to_thread(self.books.read))
        violations = [*found.violations, *self._growing()]
        return Report(self.plan, found, self.fleet.lives(), chaos.done, violations)

    async def look_at_the_books(self) -> None:
        """What has to hold at any moment holds now."""
        known: list[tuple[Post, str]] = [
            (post, one) for post in self.ledger.posts for one in post.ids
        ]
        glance(self.ledger, known, await asyncio.to_thread(self.books.read))

    async def _drained(self) -> None:
        ends = time.monotonic() + DRAIN_S
        while left := await asyncio.to_thread(self.books.waiting):
            if time.monotonic() > ends:
                self.ledger.strange[f"{left} messages are still in the queue"] += 1
                return
            await asyncio.sleep(0.2)

    def _growing(self) -> Iterable[str]:
        for life in self.fleet.lives() if self.plan.calm else ():
            if life.growth() > FLAT_MB:
                yield f"memory: {life} grew by {life.growth():.1f} MB"


async def soak(
    plan: Plan, database: DatabaseSettings, folder: Path, server: CrashingServer | None = None
) -> Report:
    """Run one on an empty database, whose `server` is crashed too, if given."""
    async with Sink(Weather(Random(plan.seed), **STORMY), keeps_bodies=False) as sink:
        more: dict[str, object] = {
            "RETENTION__NOTIFICATIONS_S": plan.keep_s,
            "RETENTION__BYTES_S": plan.keep_s / 2,
        }
        if database.url is not None:
            more["DATABASE__URL"] = database.url.get_secret_value()
        settings = settings_for(sink.url, folder, **more)
        code, said = await run(folder, "migrate", **settings)
        assert code == 0, said
        books = Books(database, folder)
        await asyncio.to_thread(books.copy_what_is_deleted)
        async with fleet([Instance(folder, role, settings) for role in plan.roles]) as running:
            return await Soak(plan, sink, books, running).run(server)
