"""A parcel on its way through one relay, and the line in which parcels wait for a courier."""

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from notifier.core.reply import Outcome
from notifier.smtp.breaker import Ticket
from notifier.smtp.parcel import Parcel

if TYPE_CHECKING:
    from notifier.smtp.courier import Courier


@dataclass(frozen=True, slots=True)
class Try:
    """How one relay dealt with one mail. `reached_mail`: MAIL was written."""

    outcome: Outcome
    reached_mail: bool
    elapsed_ms: float
    mail_refusals: int


@dataclass(slots=True, eq=False)
class Slip:
    """One parcel at one relay. `answer` is what its sender waits for; None: not tried.

    `paid`: it has its share of the relay's rate. `returns`: how often a connection turned out to
    be of no use before the relay looked at the mail. `courier` is who carries it. `opening` is
    the connection being opened for it alone. Times are those of `time.perf_counter`.
    """

    parcel: Parcel
    urgent: bool
    ticket: Ticket
    answer: "asyncio.Future[Try | None]"
    put_at: float
    started_at: float = 0.0
    reached_mail: bool = False
    paid: bool = False
    returns: int = 0
    courier: "Courier | None" = None
    opening: "asyncio.Task[None] | None" = None


class Line:
    """Slips that wait: the urgent ones first, each kind in the order in which they came."""

    def __init__(self) -> None:
        self.urgent: deque[Slip] = deque()
        self.normal: deque[Slip] = deque()

    def __len__(self) -> int:
        return len(self.urgent) + len(self.normal)

    def put(self, slip: Slip) -> None:
        """To the end of its kind."""
        (self.urgent if slip.urgent else self.normal).append(slip)

    def put_back(self, slip: Slip) -> None:
        """To the front of its kind: it has waited already."""
        (self.urgent if slip.urgent else self.normal).appendleft(slip)

    def first(self) -> Slip | None:
        """Who is next."""
        if self.urgent:
            return self.urgent[0]
        return self.normal[0] if self.normal else None

    def pop(self) -> Slip | None:
        """Take who is next."""
        if self.urgent:
            return self.urgent.popleft()
        return self.normal.popleft() if self.normal else None

    def remove(self, slip: Slip) -> bool:
        """Take this one out; False: it is not here."""
        try:
            (self.urgent if slip.urgent else self.normal).remove(slip)
        except ValueError:
            return False
        return True

    def drain(self) -> list[Slip]:
        """Take all out."""
        slips = [*self.urgent, *self.normal]
        self.urgent.clear()
        self.normal.clear()
        return slips
