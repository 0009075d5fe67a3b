"""What `/readyz` says of a process: draining, unavailable, degraded with reasons, or ready."""

import asyncio
from collections.abc import Iterator

from notifier.api.frame import Health
from notifier.core.errors import Unavailable
from notifier.smtp.relays import Relays
from notifier.store.store import Store


async def health_of(store: Store, relays: Relays | None, stop: asyncio.Event) -> Health:
    """A sick relay is no reason to send callers elsewhere: what they post is kept.

    `relays` is None where others deliver.
    """
    if stop.is_set():
        return Health("draining", ("the process is stopping",))
    try:
        await store.ping()
    except Unavailable as error:
        return Health("unavailable", (error.detail,))
    reasons = () if relays is None else tuple(_troubles(relays))
    return Health("degraded" if reasons else "ready", reasons)


def _troubles(relays: Relays) -> Iterator[str]:
    if not relays.serves("live"):
        yield "no relay is configured, so that mail waits: set NOTIFIER_RELAYS__MAIN__URL"
    for relay in relays.health():
        if relay.state != "up":
            yield f"relay {relay.name} is {relay.state}: {relay.reason}"
