"""While every relay of a route is paused, default lives stand still: that is said here."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from notifier.core.clock import Clock
from notifier.core.errors import Unavailable
from notifier.core.route import ROUTES
from notifier.smtp.relays import Relays
from notifier.store.standstill import SAY_PAUSED
from notifier.store.store import Store

EVERY_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Standstill:
    """Any number of processes may say it on the same store; each second counts once."""

    store: Store
    relays: Relays
    now: Clock

    async def run(self, stop: asyncio.Event) -> None:
        """Say it every few seconds until `stop` is set."""
        while not stop.is_set():
            # A store that is away is reported by whoever needs it now.
            with suppress(Unavailable):
                await self.say()
            with suppress(TimeoutError):
                async with asyncio.timeout(EVERY_S):
                    await stop.wait()

    async def say(self) -> None:
        """Say for each route whether its mail waits for an operator. Raises Unavailable."""
        for route in ROUTES:
            if self.relays.is_paused(route):
                await self.store.write(SAY_PAUSED, (route, self.now()))
