"""A stop that hangs is ended by force: on a database that neither answers nor goes away."""

import asyncio
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from notifier.observe.facts import Observer, StopForced

BEYOND_GRACE_S: Final = 3.0
"""Later than anything in order takes, and sooner than an orchestrator's own patience ends."""


class LastResort:
    """Ends the process with 1 when it is still there so long after it was told to stop.

    A thread that waits for a frozen database cannot be told anything, and Python waits for it at
    its end. Nothing is lost: leases run out, and what was not answered was not accepted.
    """

    def __init__(self, grace_s: float, observe: Observer) -> None:
        self._after_s = grace_s + BEYOND_GRACE_S
        self._observe = observe
        self._timer: threading.Timer | None = None

    async def watch(self, stop: asyncio.Event) -> None:
        """Begin to count when `stop` is set."""
        await stop.wait()
        self._timer = threading.Timer(self._after_s, self._end)
        self._timer.daemon = True
        self._timer.start()

    def call_off(self) -> None:
        """All has ended in order."""
        if self._timer is not None:
            self._timer.cancel()

    def _end(self) -> None:
        self._observe(StopForced(self._after_s))
        os._exit(1)


@contextmanager
def last_resort(grace_s: float, observe: Observer) -> Iterator[LastResort]:
    """One that is called off with the block."""
    made = LastResort(grace_s, observe)
    try:
        yield made
    finally:
        made.call_off()
