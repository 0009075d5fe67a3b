"""What `/readyz` says of a process: draining, unavailable, degraded with reasons, or ready."""

import asyncio

from notifier.api.frame import Health
from notifier.core.errors import Unavailable
from notifier.smtp.relays import Relays
from notifier.store.store import Store


async def health_of(store: Store, relays: Relays, stop: asyncio.Event) -> Health:
    """A sick relay is no reason to send callers elsewhere: what they post is kept."""
    if stop.is_set():
        return Health("draining", ("the process is stopping",))
    try:
        await store.ping()
    except Unavailable as error:
        return Health("unavailable", (error.detail,))
    reasons = tuple(
        f"relay {relay.name} is {relay.state}: {relay.reason}"
        for relay in relays.health()
        if relay.state != "up"
    )
    return Health("degraded" if reasons else "ready", reasons)
