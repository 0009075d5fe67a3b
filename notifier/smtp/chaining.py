"""Whether the next mail's commands may go out with the final dot of the one before.

RFC 2920 §3.1 allows it. A mail behind a dot that is answered late waits for that answer, and a
relay that cannot take such a group has to be found out without harm to any mail.
"""

import time
from collections.abc import Callable
from typing import Final

from notifier.core.reply import LinkFailure, LinkFault, Outcome, Reply

BRISK_S: Final = 1.0
"""A relay that takes longer for a dot is chained to no more until it is as quick as this."""

LOSSES: Final = 2
"""So many chained mails in a row that found the connection closed."""

PAUSE_S: Final = 300.0

# RFC 5321 §4.2.4: not understood, not implemented, out of order.
_LOST_TRACK: Final = {500, 502, 503}


class Chaining:
    """What was learnt of one relay. `forbid` is for good: of this process, that is."""

    def __init__(self, *, allowed: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self._allowed = allowed
        self._clock = clock
        self._brisk = True
        self._losses = 0
        self._paused_until = 0.0

    @property
    def allowed(self) -> bool:
        """Whether to chain now."""
        if not (self._allowed and self._brisk):
            return False
        return not self._paused_until or self._clock() >= self._paused_until

    def forbid(self) -> None:
        """The relay lost track of a chained group."""
        self._allowed = False

    def answered(self, dot_s: float) -> None:
        """A dot had its answer after so many seconds."""
        self._brisk = dot_s < BRISK_S

    def went_on(self) -> None:
        """A chained mail had its turn on the same connection."""
        self._losses = 0

    def lost(self) -> None:
        """The relay closed the connection after a dot and left the group unread."""
        self._losses += 1
        if self._losses >= LOSSES:
            self._losses = 0
            self._paused_until = self._clock() + PAUSE_S


def lost_track(outcome: Outcome) -> bool:
    """Whether the answer to a chained MAIL shows that the relay cannot take such a group."""
    if isinstance(outcome, LinkFailure):
        return outcome.fault in {LinkFault.GARBAGE, LinkFault.TIMEOUT}
    return outcome.code in _LOST_TRACK or (outcome.enhanced or "").startswith("5.5.")


def looked_away(outcome: Outcome) -> bool:
    """Whether a relay whose connection had carried mails before closed it at MAIL: then it did
    not look at this mail at all, and another connection may be tried.
    """
    if isinstance(outcome, Reply):
        return outcome.code == 421
    return outcome.fault is LinkFault.DROPPED
