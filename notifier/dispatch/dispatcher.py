"""Claim, lease, seats, stop: how work that is due gets done. Knows nothing of mail."""

import asyncio
import traceback
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, Generic

from notifier.core.errors import Unavailable
from notifier.core.room import Room, Weight
from notifier.dispatch.bell import Bell
from notifier.dispatch.lane import Grip, Job, Lane, Lease, Pace, monotonic
from notifier.observe.facts import Observer, StoreAway, WorkAbandoned, WorkHung

_LEAST_WAIT_S: Final = 0.05
_FULL_PAUSE_S: Final = 0.01
_FULL_WAIT_S: Final = 1.0
"""While more is due than there is room for, the line is looked at this often for urgent work
that became due; its bell is heard at once."""

_STORE_PAUSE_S = 1.0
_RENEWALS_PER_LEASE: Final = 3
_LAST_WRITES_S: Final = 1.0
"""After the grace, jobs that were cut off have so long to be written down."""


@dataclass(slots=True, eq=False)
class _Seat(Generic[Job]):
    """A job under way. `cut_at`: it hung, and was cancelled then."""

    job: Job
    lease: Lease
    weight: Weight
    hangs_at: float
    cut_at: float | None = field(default=None)


class Dispatcher(Generic[Job]):
    """Runs one lane. If `run` ends with an error, the process must end: nothing else would send."""

    def __init__(self, lane: Lane[Job], pace: Pace, bell: Bell, observe: Observer) -> None:
        self._lane = lane
        self._pace = pace
        self._capacity = pace.capacity
        self._bell = bell
        self._observe = observe
        self._seated: dict[asyncio.Task[None], _Seat[Job]] = {}
        self._wants_seat = False
        self._left = 0
        self._look_at = 0.0

    @property
    def seats(self) -> int:
        """How many jobs may be under way at once."""
        return self._pace.seats

    @property
    def busy(self) -> int:
        """How many jobs are under way."""
        return len(self._seated)

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set, then let what is under way finish within the grace.

        What is not finished by then is cut off, and given back or written down.
        """
        stopping = asyncio.create_task(self._ring_at(stop))
        renewing = asyncio.create_task(self._renew_leases())
        working = asyncio.create_task(self._work(stop))
        try:
            await asyncio.wait({renewing, working}, return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                working.result()
                await self._drain()
            else:
                renewing.result()
        finally:
            await _end(stopping, renewing, working, *self._seated)

    # Claims

    async def _ring_at(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._bell.ring()

    async def _work(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            room = self._room()
            try:
                if not self._lane.is_usable():
                    await self._end_what_is_over(room, stop)
                elif room.seats == 0:
                    await self._hear(self._pace.poll_s, for_seat=True)
                else:
                    await self._turn(room)
            except Unavailable as error:
                self._observe(StoreAway(reason=error.code))
                with suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), _STORE_PAUSE_S)

    async def _turn(self, room: Room) -> None:
        """Seat what is due and there is room for, then wait until there may be more to do."""
        claimed_at, left = monotonic(), self._left
        jobs, more = await self._lane.claim(room)
        self._seat(jobs, claimed_at)
        if not more:
            await self._idle()
            return
        if not jobs:
            # Callers ring for each mail; all there is to find in this state is an urgent one.
            await asyncio.sleep(_FULL_PAUSE_S)
        if self._left == left:
            await self._hear(min(_FULL_WAIT_S, self._pace.poll_s), for_seat=True)

    async def _idle(self) -> None:
        """Until the bell, the next due time or the poll, whichever is first."""
        try:
            due_in_s = await self._lane.due_in_s()
        except Unavailable:
            due_in_s = None
        wait_s = self._pace.poll_s if due_in_s is None else min(due_in_s, self._pace.poll_s)
        await self._hear(max(wait_s, _LEAST_WAIT_S))

    async def _hear(self, timeout_s: float, *, for_seat: bool = False) -> None:
        """Until the bell, or also a seat that is left, or the timeout."""
        self._wants_seat = for_seat
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._bell.heard()
        self._wants_seat = False

    async def _end_what_is_over(self, room: Room, stop: asyncio.Event) -> None:
        """No job can be done: see to those whose time is over, then wait.

        Not each time: it reads all that is due, and a relay may come and go many times a second.
        """
        if room.seats and (now := monotonic()) >= self._look_at:
            jobs, next_s = await self._lane.claim_ended(room)
            self._seat(jobs, now)
            wait_s = self._pace.ended_s if next_s is None else min(next_s, self._pace.ended_s)
            self._look_at = now + (max(wait_s, _LEAST_WAIT_S) if len(jobs) < room.seats else 0)
        wait_s = max(self._look_at - monotonic(), _LEAST_WAIT_S)
        await _first(self._lane.usable(), stop.wait(), timeout_s=wait_s)

    def _room(self) -> Room:
        return self._capacity.beside(seat.weight for seat in self._seated.values())

    # Seats

    def _seat(self, jobs: Sequence[Job], claimed_at: float) -> None:
        for job in jobs:
            lease = Lease(claimed_at + self._pace.lease_s)
            task = asyncio.create_task(self._lane.perform(job, lease))
            hangs_at = claimed_at + self._lane.longest_s(job)
            self._seated[task] = _Seat(job, lease, self._lane.weight(job), hangs_at)
            task.add_done_callback(self._leave)

    def _leave(self, task: "asyncio.Task[None]") -> None:
        seat = self._seated.pop(task, None)
        self._left += 1
        if self._wants_seat:
            self._bell.ring()
        if not task.cancelled() and (error := task.exception()) is not None:
            job = type(seat.job).__name__ if seat else "job"
            trace = "".join(traceback.format_exception(error, limit=-30))
            self._observe(WorkAbandoned(job, type(error).__qualname__, trace))

    async def _renew_leases(self) -> None:
        while True:
            await asyncio.sleep(self._pace.lease_s / _RENEWALS_PER_LEASE)
            self._cut_what_hangs()
            held = [
                seat
                for seat in self._seated.values()
                if seat.cut_at is None and not seat.lease.lapsed()
            ]
            if not held:
                continue
            asked_at = monotonic()
            try:
                grips = await self._lane.renew([seat.job for seat in held])
            except Unavailable as error:
                self._observe(StoreAway(reason=error.code))
                continue
            for seat, grip in zip(held, grips, strict=True):
                if grip is Grip.RENEWED:
                    seat.lease.ends = asked_at + self._pace.lease_s
                elif grip is Grip.LOST:
                    # It is somebody else's, who may be sending it now.
                    seat.lease.ends = asked_at

    def _cut_what_hangs(self) -> None:
        now = monotonic()
        for task, seat in [*self._seated.items()]:
            if seat.cut_at is not None:
                if now - seat.cut_at > self._pace.lease_s:
                    self._seated.pop(task)  # it does not even end when it is told to
                    self._bell.ring()
            elif now >= seat.hangs_at and not seat.lease.writing:
                seat.cut_at, seat.lease.hung, seat.lease.ends = now, True, now
                self._observe(WorkHung(type(seat.job).__name__, self._lane.longest_s(seat.job)))
                task.cancel()

    async def _drain(self) -> None:
        if self._seated:
            await asyncio.wait(set(self._seated), timeout=self._pace.grace_s)
        for task, seat in self._seated.items():
            if not seat.lease.writing:
                task.cancel()
        if self._seated:
            await asyncio.wait(set(self._seated), timeout=_LAST_WRITES_S)


async def _end(*tasks: "asyncio.Task[Any]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _first(*waits: Coroutine[Any, Any, Any], timeout_s: float) -> None:
    """Wait for whichever comes first; the others are given up."""
    tasks = [asyncio.create_task(one) for one in waits]
    try:
        done, _ = await asyncio.wait(tasks, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        await _end(*tasks)
