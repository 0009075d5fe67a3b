"""How quick a relay is, and so how many mails may sensibly wait for it here."""

import time
from collections.abc import Callable
from typing import Final

WINDOW_S: Final = 0.1
AHEAD_S: Final = 0.1
PER_CONNECTION: Final = 2


class Throughput:
    """Mails a second that a relay took, over the last tenth of a second in which it was asked."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began = clock()
        self._count = 0
        self._per_s = 0.0

    def took(self) -> None:
        """It dealt with one."""
        self._count += 1

    def enough(self, connections: int) -> int:
        """So many mails keep that many connections busy until more can be claimed.

        What waits here is waited for by nobody else, and is in doubt when this process dies: for
        a slow relay that is little, and for a quick one what it takes in a moment.
        """
        now = self._clock()
        if (past_s := now - self._began) >= WINDOW_S:
            self._per_s, self._count, self._began = self._count / past_s, 0, now
        return max(PER_CONNECTION * connections, round(self._per_s * AHEAD_S))
