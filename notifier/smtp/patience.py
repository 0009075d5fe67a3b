"""How long a connection waits for what it waits for."""

import asyncio
from collections.abc import Callable

# Timers may fire a clock tick early.
_TICK_S = 0.0005


class Patience:
    """One timer for a connection's whole life: a limit is a number that is compared when the
    timer goes off, and the timer itself is moved only when a limit is nearer than it.

    `over` is called when a limit has passed.
    """

    def __init__(self, over: Callable[[], None]) -> None:
        self._over = over
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._until: float | None = None
        self._deadline = 0.0

    def begin(self, longest_s: float) -> None:
        """A mail begins: none of its limits lies later than this."""
        self._deadline = self._loop.time() + longest_s

    def wait(self, limit_s: float) -> None:
        """Wait for so long, from now."""
        until = self._until = min(self._loop.time() + limit_s, self._deadline)
        if self._timer is None:
            self._timer = self._loop.call_at(until, self._look)
        elif self._timer.when() > until:
            self._timer.cancel()
            self._timer = self._loop.call_at(until, self._look)

    def rest(self) -> None:
        """Nothing is waited for."""
        self._until = None

    def close(self) -> None:
        """Stop the timer."""
        self._until = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        if self._until is None:
            return
        if self._loop.time() >= self._until - _TICK_S:
            self._until = None
            self._over()
        else:
            self._timer = self._loop.call_at(self._until, self._look)
