"""How many connections a relay takes from us at once, which it may not tell but by refusing one."""

import time
from collections.abc import Callable
from typing import Final

RETRY_S: Final = 60.0
"""So long after a refusal one connection more than before is tried again."""

NEXT_S: Final = 5.0
"""So long after that one proved right the next one is tried."""

URGENT_FROM: Final = 5
"""With so many connections or more, one is kept for urgent mail."""


class Capacity:
    """At most `most`; after a refusal as many as were open then, and later one more, and so on."""

    def __init__(self, most: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._clock = clock
        self._learnt = most
        self._retry_at = 0.0

    @property
    def now(self) -> int:
        """How many may be open or being opened."""
        if self._learnt < self._most and self._clock() >= self._retry_at:
            return self._learnt + 1
        return self._learnt

    @property
    def for_normal(self) -> int:
        """How many of them may carry mail that is not urgent."""
        now = self.now
        return now - 1 if now >= URGENT_FROM else now

    def refused(self, still_open: int) -> None:
        """One was refused while so many were open."""
        self._learnt = max(1, min(self._learnt, still_open))
        self._retry_at = self._clock() + RETRY_S

    def opened(self, now_open: int) -> None:
        """One was opened, so that so many are open now."""
        if now_open > self._learnt:
            self._learnt = now_open
            self._retry_at = self._clock() + NEXT_S

    def forget(self) -> None:
        """It was no matter of their number."""
        self._learnt = self._most
