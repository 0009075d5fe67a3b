"""Relays' rates, taken from the store in slices, so that all processes together keep to them."""

from datetime import timedelta

from notifier.core.clock import Clock
from notifier.smtp.allowance import Grant, Grants, slice_mails
from notifier.store.rates import TAKE_SLICE, Slice
from notifier.store.store import Store


def shared_rates(store: Store, now: Clock) -> Grants:
    """Grants for the relays of this process. Raises Unavailable while the store is away."""

    async def take(name: str, rate_per_s: float) -> Grant:
        mails = slice_mails(rate_per_s)
        length = timedelta(seconds=mails / rate_per_s)
        starts_at = await store.write(TAKE_SLICE, Slice(f"relay:{name}", length, now()))
        return Grant(mails, (starts_at - now()).total_seconds(), length.total_seconds())

    return take
