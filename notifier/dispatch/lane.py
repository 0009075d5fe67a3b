"""A lane: a kind of work that a dispatcher runs, and the lease under which each job is done."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final, Protocol, TypeVar

from notifier.core.room import Capacity, Room, Weight

Job = TypeVar("Job")

_CLOCK: Final[int] = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def monotonic() -> float:
    """Seconds on a clock that nobody sets, and that goes on while the machine sleeps."""
    return time.clock_gettime(_CLOCK)


@dataclass(slots=True)
class Lease:
    """Until when, on this process's monotonic clock, a job is ours alone.

    `hung`: the job is cut off because it took too long. `writing`: it is done or was cut off, and
    only what came of it is left to be written; it is not to be cancelled any more.
    """

    ends: float
    hung: bool = False
    writing: bool = False

    def lapsed(self) -> bool:
        """Whether somebody else may have it by now."""
        return monotonic() >= self.ends


class Grip(Enum):
    """What came of renewing a lease. `KEPT`: it was not, and ends when it would have."""

    RENEWED = 1
    KEPT = 2
    LOST = 3


class Lane(Protocol[Job]):
    """A kind of work. All of it is kept in the store; a job is a row under lease."""

    def is_usable(self) -> bool:
        """Whether a job could be done now."""

    async def usable(self) -> None:
        """Return when a job could be done again."""

    async def claim(self, room: Room) -> tuple[Sequence[Job], bool]:
        """Jobs that are due and for which there is room, under lease from now; and whether more
        may be due than there was room for. Raises Unavailable.
        """

    async def claim_ended(self, room: Room) -> tuple[Sequence[Job], float | None]:
        """Jobs that are over although none can be done now, under lease from now; and in how many
        seconds the next one is over, if that is known. Raises Unavailable.
        """

    def weight(self, job: Job) -> Weight:
        """What the job takes of the capacity."""

    def longest_s(self, job: Job) -> float:
        """How long the job can take unless something hangs."""

    async def perform(self, job: Job, lease: Lease) -> None:
        """Do it and record the outcome; raises nothing that concerns the job alone.

        When it is cancelled, it gives the job back or records what became of it, and ends.
        """

    async def renew(self, jobs: Sequence[Job]) -> Sequence[Grip]:
        """Begin the leases of these jobs anew; what came of each. Raises Unavailable."""

    async def due_in_s(self) -> float | None:
        """Seconds until the next job is due; None: none waits. Raises Unavailable."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How many jobs at once, how long a lease, how often to look without being called, how long
    jobs under way may take to finish at a stop, and how often to look for what is over while
    nothing can be done.
    """

    seats: int
    lease_s: float
    poll_s: float
    grace_s: float
    urgent_seats: int = 0
    seats_bytes: int = 64 * 1024 * 1024
    ended_s: float = 30.0

    @property
    def capacity(self) -> Capacity:
        """What is under way at once."""
        return Capacity(self.seats, self.urgent_seats, self.seats_bytes)
