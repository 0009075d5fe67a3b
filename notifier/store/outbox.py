"""Leases on what is in the queue: renewed, released, freed. How they are taken is in `claiming`,
what comes of them in `outcomes`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, bindparam, select, update

from notifier.core.envelope import Envelope
from notifier.core.message import Lane
from notifier.core.route import ROUTES, Route
from notifier.store.schema import outbox
from notifier.store.turns import Place, waiting
from notifier.store.write_queue import Write


@dataclass(frozen=True, slots=True)
class Claim:
    """The fence: what a holder of a lease shows when he writes an outcome."""

    id: str
    owner: str
    claims: int


@dataclass(frozen=True, slots=True)
class Claimed:
    """A message under lease, with all that sending it needs.

    `body` is None when its bytes were erased. `attempt` counts earlier tries that reached MAIL;
    `orphaned` how many claims in a row, before this one, left no outcome: their mail may have
    gone out. `expires_at` is the end of its life, standstills added. `size_bytes` is the mail's.
    `wanted_at` is when it was to be sent; None: when it was accepted.
    """

    claim: Claim
    project: str
    notification_id: str
    lane: Lane
    due_at: datetime
    expires_at: datetime
    attempt: int
    orphaned: int
    envelope: Envelope
    message_id: str
    body: bytes | None
    sealed: bool
    size_bytes: int = 0
    wanted_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Renewal:
    """All leases of `owner` on `ids` last until `lease_until`."""

    owner: str
    ids: tuple[str, ...]
    lease_until: datetime


@dataclass(frozen=True, slots=True)
class Release:
    """A claim is given back at `at` without an outcome, and nothing was tried.

    `counted`: it counts among the claims without an outcome all the same.
    """

    claim: Claim
    at: datetime
    counted: bool = False


@dataclass(frozen=True, slots=True)
class Renewed:
    """Which leases were renewed, and which are the owner's no longer.

    What is in neither is in another writer's hands just now, and keeps the end it had.
    """

    ids: frozenset[str]
    lost: frozenset[str] = frozenset()


def _renew(connection: Connection, items: Sequence[Renewal]) -> Sequence[Renewed]:
    return [_renew_one(connection, item) for item in items]


def _renew_one(connection: Connection, item: Renewal) -> Renewed:
    lease = {"owner_": item.owner, "ids": item.ids, "until": item.lease_until}
    renewed = frozenset(connection.execute(_RENEW, lease).scalars())
    missing = frozenset(item.ids) - renewed
    if not missing:
        return Renewed(renewed)
    kept = connection.execute(_STILL_OWNED, {"owner_": item.owner, "ids": [*missing]}).scalars()
    return Renewed(renewed, missing.difference(kept))


RENEW: Write[Renewal, Renewed] = Write("renew", 15, _renew, key=lambda item: item.owner)
"""One statement, unless some were not renewed."""


def _release(connection: Connection, items: Sequence[Release]) -> Sequence[bool]:
    return [connection.execute(_RELEASE, _released(item)).rowcount == 1 for item in items]


RELEASE: Write[Release, bool] = Write("release", 18, _release, key=lambda item: item.claim.id)
"""The message is due at once. False: the lease was lost meanwhile."""


# A row that another writer has in hand is being finished or was lost, or that writer looked at it
# for a claim when it had just been claimed: waiting for it would gain nothing, and two writers
# that wait for each other's rows would deadlock.
_FREE_TO_RENEW = (
    select(outbox.c.id)
    .where(
        outbox.c.owner == bindparam("owner_"),
        outbox.c.id.in_(bindparam("ids", expanding=True)),
    )
    .with_for_update(skip_locked=True)
)
_RENEW = (
    update(outbox)
    .where(outbox.c.id.in_(_FREE_TO_RENEW))
    .values(due_at=bindparam("until"))
    .returning(outbox.c.id)
)
_STILL_OWNED = select(outbox.c.id).where(
    outbox.c.owner == bindparam("owner_"), outbox.c.id.in_(bindparam("ids", expanding=True))
)
_RELEASE = (
    update(outbox)
    .where(
        outbox.c.id == bindparam("id_"),
        outbox.c.owner == bindparam("owner_"),
        outbox.c.claims == bindparam("claims_"),
    )
    .values(owner=None, due_at=bindparam("at"), orphaned=outbox.c.orphaned + bindparam("counted"))
)
# By the range of due times in which leases end: the table may hold a million rows that wait.
_FREE = (
    update(outbox)
    .where(
        outbox.c.route == bindparam("route_"),
        outbox.c.lane == bindparam("lane_"),
        outbox.c.project == bindparam("project_"),
        outbox.c.due_at > bindparam("now"),
        outbox.c.due_at <= bindparam("latest"),
        outbox.c.owner == bindparam("owner_"),
    )
    .values(due_at=bindparam("now"))
)
_LONGEST_LEASE: Final = timedelta(minutes=10)
"""A longer one, if somebody set it, is not freed but runs out."""


def _released(item: Release) -> dict[str, Any]:
    return {
        "id_": item.claim.id,
        "owner_": item.claim.owner,
        "claims_": item.claim.claims,
        "at": item.at,
        "counted": int(item.counted),
    }


def _free(connection: Connection, items: Sequence[tuple[str, datetime]]) -> Sequence[int]:
    """The owner stays in the row: that is how the next claim knows it left no outcome."""
    return [_free_one(connection, owner, now) for owner, now in items]


def _free_one(connection: Connection, owner: str, now: datetime) -> int:
    latest = now + _LONGEST_LEASE
    return sum(
        _free_at(connection, owner, now, route, place)
        for route in ROUTES
        for place in waiting(connection, route, latest)
    )


def _free_at(connection: Connection, owner: str, now: datetime, route: Route, place: Place) -> int:
    parameters = {
        "route_": route,
        "lane_": int(place.lane),
        "project_": place.project,
        "now": now,
        "latest": now + _LONGEST_LEASE,
        "owner_": owner,
    }
    return connection.execute(_FREE, parameters).rowcount


FREE: Write[tuple[str, datetime], int] = Write("free", 5, _free, key=lambda item: item[0])
"""End all leases of an owner who is dead."""
