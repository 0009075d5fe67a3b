"""Claim, lease, seats, stop: how work that is due gets done. Knows nothing of mail."""

import asyncio
import time
import traceback
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from notifier.core.errors import Unavailable
from notifier.dispatch.bell import Bell
from notifier.observe.facts import Observer, StoreAway, WorkAbandoned

Job = TypeVar("Job")

_LEAST_WAIT_S = 0.05
_STORE_PAUSE_S = 1.0
_RENEWALS_PER_LEASE = 3


@dataclass(slots=True)
class Lease:
    """Until when, on this process's monotonic clock, a job is ours alone."""

    ends: float

    def lapsed(self) -> bool:
        """Whether somebody else may have it by now."""
        return time.monotonic() >= self.ends


class Lane(Protocol[Job]):
    """A kind of work. All of it is kept in the store; a job is a row under lease."""

    def is_usable(self) -> bool:
        """Whether a job could be done now."""

    async def usable(self) -> None:
        """Return when a job could be done again."""

    async def claim(self, seats: int) -> Sequence[Job]:
        """At most `seats` jobs that are due, under lease from now. Raises Unavailable."""

    async def perform(self, job: Job, lease: Lease) -> None:
        """Do it and record the outcome; raises nothing that concerns the job alone."""

    async def renew(self, jobs: Sequence[Job]) -> None:
        """Begin the leases of these jobs anew. Raises Unavailable."""

    async def due_in_s(self) -> float | None:
        """Seconds until the next job is due; None: none waits. Raises Unavailable."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How many jobs at once, how long a lease, how often to look without being called, and how
    long jobs under way may take to finish at a stop.
    """

    seats: int
    lease_s: float
    poll_s: float
    grace_s: float


class Dispatcher(Generic[Job]):
    """Runs one lane. If `run` ends with an error, the process must end: nothing else would send."""

    def __init__(self, lane: Lane[Job], pace: Pace, bell: Bell, observe: Observer) -> None:
        self._lane = lane
        self._pace = pace
        self._bell = bell
        self._observe = observe
        self._seated: dict[asyncio.Task[None], tuple[Job, Lease]] = {}
        self._seat_freed = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set, then let what is under way finish within the grace."""
        stopping = asyncio.create_task(stop.wait())
        renewing = asyncio.create_task(self._renew_leases())
        working = asyncio.create_task(self._work(stopping))
        try:
            await asyncio.wait({renewing, working}, return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                working.result()
                await self._drain()
            else:
                renewing.result()
        finally:
            await _end(stopping, renewing, working, *self._seated)

    async def _work(self, stopping: "asyncio.Task[Any]") -> None:
        while not stopping.done():
            if self._free_seats() == 0:
                self._seat_freed.clear()
                await _first(stopping, self._seat_freed.wait())
            elif not self._lane.is_usable():
                await _first(stopping, self._lane.usable())
            elif not await self._seat_due_jobs(stopping):
                await _first(stopping, self._idle())

    async def _seat_due_jobs(self, stopping: "asyncio.Task[Any]") -> bool:
        """Claim for the free seats. False: there was nothing (more) to claim."""
        wanted = self._free_seats()
        claimed_at = time.monotonic()
        try:
            jobs = await self._lane.claim(wanted)
        except Unavailable as error:
            self._observe(StoreAway(reason=error.code))
            await _first(stopping, asyncio.sleep(_STORE_PAUSE_S))
            return True
        for job in jobs:
            lease = Lease(claimed_at + self._pace.lease_s)
            task = asyncio.create_task(self._lane.perform(job, lease))
            self._seated[task] = (job, lease)
            task.add_done_callback(self._leave)
        return len(jobs) == wanted

    def _leave(self, task: "asyncio.Task[None]") -> None:
        job, _ = self._seated.pop(task)
        self._seat_freed.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            trace = "".join(traceback.format_exception(error, limit=-30))
            self._observe(WorkAbandoned(type(job).__name__, type(error).__qualname__, trace))

    async def _idle(self) -> None:
        """Until the bell, the next due time or the poll, whichever is first."""
        try:
            due_in_s = await self._lane.due_in_s()
        except Unavailable:
            due_in_s = None
        wait_s = self._pace.poll_s if due_in_s is None else min(due_in_s, self._pace.poll_s)
        try:
            async with asyncio.timeout(max(wait_s, _LEAST_WAIT_S)):
                await self._bell.heard()
        except TimeoutError:
            return

    async def _renew_leases(self) -> None:
        while True:
            await asyncio.sleep(self._pace.lease_s / _RENEWALS_PER_LEASE)
            held = [(job, lease) for job, lease in self._seated.values() if not lease.lapsed()]
            if not held:
                continue
            asked_at = time.monotonic()
            try:
                await self._lane.renew([job for job, _ in held])
            except Unavailable as error:
                self._observe(StoreAway(reason=error.code))
                continue
            for _, lease in held:
                lease.ends = asked_at + self._pace.lease_s

    async def _drain(self) -> None:
        if self._seated:
            await asyncio.wait(set(self._seated), timeout=self._pace.grace_s)

    def _free_seats(self) -> int:
        return self._pace.seats - len(self._seated)


async def _end(*tasks: "asyncio.Task[Any]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _first(stopping: "asyncio.Task[Any]", other: Coroutine[Any, Any, Any]) -> None:
    """Wait for whichever comes first; the other one is given up."""
    task = asyncio.create_task(other)
    try:
        await asyncio.wait({stopping, task}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
    finally:
        task.cancel()
