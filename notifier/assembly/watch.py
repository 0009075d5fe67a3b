"""The store, looked at now and then: for `/readyz` and `/metrics`, however often they are asked."""

import asyncio
import time
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from notifier.core.clock import Clock
from notifier.core.errors import Unavailable
from notifier.core.message import Lane
from notifier.core.route import Route
from notifier.store.store import Store
from notifier.store.vitals import Vitals, later, vitals

EVERY_S: Final = 5.0
LATER_EVERY_S: Final = 60.0
SHARE: Final = 20
"""A look takes at most a twentieth of one reader's time: after a slow one there is a long pause."""

PATIENCE_S: Final = 2.0
"""A scrape waits so long for a look that is under way, then takes what is known. A store that has
not given by then what takes milliseconds is away."""

PROBE_PATIENCE_S: Final = 0.5
"""The same for a probe, to which an orchestrator often gives no more than a second."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known of the store. `up`: it answered when last asked. `vitals` and `later` are
    None before they were read once; `at` is when `vitals` were, on the monotonic clock.
    """

    up: bool = True
    vitals: Vitals | None = None
    later: Mapping[tuple[Route, Lane], int] | None = None
    at: float | None = None


class Watch:
    """One look at a time, and none soon after the last. Lives in one event loop."""

    def __init__(self, store: Store, now: Clock) -> None:
        self._store = store
        self._now = now
        self._seen = Seen()
        self._looking: asyncio.Task[None] | None = None
        self._began = self._next = self._next_later = 0.0

    async def look(self, patience_s: float = PATIENCE_S) -> Seen:
        """What is known, some seconds old while the store answers. Waits `patience_s` at most."""
        if self._looking is None and time.monotonic() >= self._next:
            self._began = time.monotonic()
            self._looking = asyncio.create_task(self._look())
        task = self._looking
        if task is not None:
            # The numbers that matter most may be there already, and the rest be under way.
            wanting = time.monotonic() >= self._next or self._seen.later is None
            await asyncio.wait({task}, timeout=patience_s if wanting else 0)
            if task.done():
                self._looking = None if self._looking is task else self._looking
                task.result()
            elif self._is_overdue():
                self._seen = replace(self._seen, up=False)
        return self._seen

    def _is_overdue(self) -> bool:
        """Whether the look under way has not even brought what takes milliseconds."""
        now = time.monotonic()
        return now >= self._next and now - self._began >= PATIENCE_S

    async def _look(self) -> None:
        try:
            self._next = await self._timed(self._quickly(), EVERY_S)
            if time.monotonic() >= self._next_later:
                self._next_later = await self._timed(self._thoroughly(), LATER_EVERY_S)
        except Unavailable:
            self._seen = replace(self._seen, up=False)
            self._next = time.monotonic() + EVERY_S

    async def _timed(self, look: Coroutine[Any, Any, None], every_s: float) -> float:
        """When to look so again."""
        began = time.monotonic()
        await look
        ended = time.monotonic()
        return ended + max(every_s, SHARE * (ended - began))

    async def _quickly(self) -> None:
        read = await self._store.read(vitals, self._now())
        self._seen = Seen(True, read, self._seen.later, time.monotonic())

    async def _thoroughly(self) -> None:
        found = await self._store.read(later, self._now())
        self._seen = replace(self._seen, later=found)
