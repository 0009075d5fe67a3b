"""How much work a process takes on at once: seats, some of them for what is urgent, and bytes."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

_LEAST_SHARE: Final = 4
"""At most one seat in so many is kept for urgent work."""


@dataclass(frozen=True, slots=True)
class Weight:
    """What a job takes of the capacity, beside its seat."""

    urgent: bool = False
    size_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Room:
    """What there is room for.

    At most `seats` jobs, of which at most `plain` may be other than urgent, and together at most
    `size_bytes` bytes. A job larger than that is taken all the same when it would be the only
    one: `alone` says that nothing else is under way, `urgent_alone` nothing urgent.
    """

    seats: int
    plain: int
    size_bytes: int
    alone: bool = True
    urgent_alone: bool = True

    def limited(self, seats: int | None) -> "Room":
        """No more than so many seats; None: no limit."""
        if seats is None or seats >= self.seats:
            return self
        seats = max(seats, 0)
        return Room(seats, min(self.plain, seats), self.size_bytes, self.alone, self.urgent_alone)

    def with_plain(self, plain: int) -> "Room":
        """At most so many that are not urgent; for urgent ones nothing changes."""
        return replace(self, plain=min(self.plain, max(plain, 0)))


@dataclass(frozen=True, slots=True)
class Capacity:
    """`seats` jobs at once and `size_bytes` bytes; `urgent_seats` of the seats are taken by urgent
    jobs only, fewer where there are few seats.
    """

    seats: int
    urgent_seats: int
    size_bytes: int

    @property
    def plain_seats(self) -> int:
        """Seats that any job may take."""
        return self.seats - min(self.urgent_seats, self.seats // _LEAST_SHARE)

    def beside(self, under_way: Iterable[Weight]) -> Room:
        """What there is room for beside these."""
        jobs = urgent = size = 0
        for weight in under_way:
            jobs += 1
            urgent += weight.urgent
            size += weight.size_bytes
        free = self.seats - jobs
        plain = min(free, self.plain_seats - (jobs - urgent))
        room_bytes = max(0, self.size_bytes - size)
        return Room(free, plain, room_bytes, alone=jobs == 0, urgent_alone=urgent == 0)
