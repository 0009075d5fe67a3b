"""Retention: what is old enough is forgotten, a little at a time."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from notifier.core.clock import Clock
from notifier.core.errors import Unavailable
from notifier.observe.facts import Forgotten, Observer
from notifier.settings.sections import RetentionSettings
from notifier.store.retention import (
    ERASE_BYTES,
    FORGET_KEYS,
    FORGET_LOOSE_EVENTS,
    FORGET_NOTIFICATIONS,
    FORGET_SIGN_UPS,
    Sweep,
)
from notifier.store.store import Store
from notifier.store.write_queue import Write

EVERY_S: Final = 60.0
BATCH: Final = 200
"""Things in one transaction: few enough that a caller's commit never waits long behind it."""


@dataclass(frozen=True, slots=True)
class Janitor:
    """Any number of processes may run one on the same store."""

    store: Store
    keep: RetentionSettings
    now: Clock
    observe: Observer

    async def run(self, stop: asyncio.Event) -> None:
        """Tidy up every minute until `stop` is set."""
        while not stop.is_set():
            # A store that is away is reported by whoever needs it now; old rows can wait.
            with suppress(Unavailable):
                await self.tidy_up(stop)
            with suppress(TimeoutError):
                async with asyncio.timeout(EVERY_S):
                    await stop.wait()

    async def tidy_up(self, stop: asyncio.Event) -> None:
        """Forget everything that is due now. Raises Unavailable."""
        for write, after_s in self._rules():
            count = await self._sweep(write, timedelta(seconds=after_s), stop)
            if count:
                self.observe(Forgotten(write.name, count))

    def _rules(self) -> tuple[tuple[Write[Sweep, int], float], ...]:
        keep = self.keep
        return (
            (ERASE_BYTES, keep.bytes_s),
            (FORGET_NOTIFICATIONS, keep.notifications_s),
            (FORGET_KEYS, keep.idempotency_s),
            (FORGET_SIGN_UPS, keep.registrations_s),
            (FORGET_LOOSE_EVENTS, keep.notifications_s),
        )

    async def _sweep(self, write: Write[Sweep, int], age: timedelta, stop: asyncio.Event) -> int:
        total, count = 0, BATCH
        while count == BATCH and not stop.is_set():
            now = self.now()
            count = await self.store.write(write, Sweep(now - age, now, BATCH))
            total += count
        return total
