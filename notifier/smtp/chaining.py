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
    """What was learnt of one relay, by this process."""

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

    def answered(self, dot_s: float) -> None:
        """A dot had its answer after so many seconds."""
        self._brisk = dot_s < BRISK_S

    def went_on(self) -> None:
        """A chained mail had its turn on the same connection."""
        self._losses = 0

    def untried(self, outcome: Outcome, chained: bool) -> bool:  # noqa: FBT001 - a property of it
        """Whether a failure at MAIL on a used connection leaves the mail untried.

        It was `chained`: then this is what is learnt from. A relay that lost track of the group
        gets no more of them; one that closed and left it unread gets none for a while.
        """
        if chained and lost_track(outcome):
            self._allowed = False
            return True
        away = looked_away(outcome)
        if chained and away:
            self._losses += 1
            if self._losses >= LOSSES:
                self._losses = 0
                self._paused_until = self._clock() + PAUSE_S
        return away


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
