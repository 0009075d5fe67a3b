"""Operators' orders about relays, carried out in every process that delivers."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from notifier.core.errors import Unavailable
from notifier.smtp.relays import Relays
from notifier.store.relay_commands import RelayCommand, relay_commands
from notifier.store.store import Store

EVERY_S: Final = 1.5
"""An order takes effect within two seconds."""

_AGAIN_S: Final = 0.5


class Orders:
    """Looks now and then at what was ordered. `obeyed` is called when it brought a change."""

    def __init__(self, store: Store, relays: Relays, obeyed: Callable[[], None]) -> None:
        self._store = store
        self._relays = relays
        self._obeyed = obeyed
        self._known: Sequence[RelayCommand] | None = None

    async def first(self, stop: asyncio.Event) -> None:
        """Return when the orders are known that stood before this process did, or at `stop`.

        Nothing may be sent before: a relay that was paused yesterday is to get no mail today.
        """
        while not stop.is_set():
            with suppress(Unavailable):
                await self.look()
                return
            await _wait(stop, _AGAIN_S)

    async def run(self, stop: asyncio.Event) -> None:
        """Obey until `stop` is set. While the store is away the last orders stand."""
        while not stop.is_set():
            with suppress(Unavailable):
                await self.look()
            await _wait(stop, EVERY_S)

    async def look(self) -> None:
        """Obey what is new. Raises Unavailable."""
        orders = await self._store.read(relay_commands)
        if orders == self._known:
            return
        before, self._known = self._known, orders
        self._relays.hold({order.relay: order.reason for order in orders if order.paused})
        for order in orders:
            # An old order to go on was obeyed by those who lived then.
            if not order.paused and before is not None and order not in before:
                self._relays.probe_now(order.relay)
        self._obeyed()


async def _wait(stop: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stop.wait()
