"""When a message is tried again: a pure function of (attempt, now, policy, jitter)."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

# Greylisters let a triplet through after 5 minutes by default (postgrey, RFC 6647 §5).
GREYLIST_S: Final = 300.0
_MAX_DOUBLINGS: Final = 30


@dataclass(frozen=True, slots=True)
class BackoffPolicy:
    """Doubling from `first_s` up to `max_s`; after `attempts` tries there is no next one."""

    first_s: float
    max_s: float
    attempts: int


def next_due(
    attempt: int,
    now: datetime,
    policy: BackoffPolicy,
    *,
    jitter: float,
    greylisted: bool = False,
) -> datetime | None:
    """When to try again after try number `attempt` (from 1); None: the tries are used up.

    The wait lies between half and all of the doubled step (`jitter` in [0, 1) says where), so
    that mails refused together do not come back together. A greylisted mail waits 5 to 6
    minutes at least.
    """
    if attempt >= policy.attempts:
        return None
    doublings = min(max(attempt - 1, 0), _MAX_DOUBLINGS)
    step = min(policy.first_s * 2**doublings, policy.max_s)
    wait = step * (0.5 + jitter / 2)
    if greylisted:
        wait = max(wait, GREYLIST_S * (1 + jitter / 5))
    return now + timedelta(seconds=wait)
