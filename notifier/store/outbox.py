"""The queue: claim under a lease, renew, free. What comes of a claim is in `outcomes`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection, bindparam, case, func, select, update

from notifier.core.envelope import Envelope
from notifier.core.message import Lane
from notifier.store.schema import content, message, outbox
from notifier.store.write_queue import Write


@dataclass(frozen=True, slots=True)
class ClaimRequest:
    """`owner` wants at most `seats` messages that are due at `now`, until `lease_until`."""

    owner: str
    route: Literal["live", "test"]
    seats: int
    now: datetime
    lease_until: datetime


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
    gone out.
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


@dataclass(frozen=True, slots=True)
class Renewal:
    """All leases of `owner` on `ids` last until `lease_until`."""

    owner: str
    ids: tuple[str, ...]
    lease_until: datetime


def _claim(connection: Connection, items: Sequence[ClaimRequest]) -> Sequence[Sequence[Claimed]]:
    return [_claim_one(connection, item) for item in items]


def _renew(connection: Connection, items: Sequence[Renewal]) -> Sequence[int]:
    return [
        connection.execute(
            _RENEW, {"owner_": item.owner, "ids": item.ids, "until": item.lease_until}
        ).rowcount
        for item in items
    ]


CLAIM: Write[ClaimRequest, Sequence[Claimed]] = Write(
    "claim", 30, _claim, key=lambda item: item.owner
)
"""Due messages, urgent ones first. A claim counts even if the claimer dies right after it."""

RENEW: Write[Renewal, int] = Write("renew", 15, _renew, key=lambda item: item.owner)
"""How many of the leases were renewed: those still the owner's that no other writer has in hand."""


# A CTE, because PostgreSQL may run a subquery once per row of the outer table, and each run
# would lock `seats` more.
_DUE = (
    select(outbox.c.id)
    .where(
        outbox.c.route == bindparam("route_"),
        outbox.c.lane == bindparam("lane_"),
        outbox.c.due_at <= bindparam("now"),
    )
    .order_by(outbox.c.due_at)
    .limit(bindparam("seats"))
    .with_for_update(skip_locked=True)
    .cte("due")
)
_CLAIM = (
    update(outbox)
    .where(outbox.c.id.in_(select(_DUE.c.id)))
    .values(
        owner=bindparam("owner_"),
        due_at=bindparam("until"),
        claims=outbox.c.claims + 1,
        # An owner that is still set is one that left no outcome.
        orphaned=outbox.c.orphaned + case((outbox.c.owner.is_not(None), 1), else_=0),
    )
    .returning(
        outbox.c.id,
        outbox.c.project,
        outbox.c.claims,
        outbox.c.attempt,
        outbox.c.orphaned,
        outbox.c.expires_at,
    )
)
_MAILS = (
    select(
        message.c.id,
        message.c.notification_id,
        message.c.mail_from,
        message.c.rcpt_to,
        message.c.smtputf8,
        message.c.message_id,
        content.c.body,
        content.c.sealed,
    )
    .select_from(message.join(content, content.c.id == message.c.content_id))
    .where(message.c.id.in_(bindparam("ids", expanding=True)))
)
# A row that another writer has in hand is being finished or was lost: waiting for it would
# gain nothing, and two writers that wait for each other's rows would deadlock.
_FREE_TO_RENEW = (
    select(outbox.c.id)
    .where(
        outbox.c.owner == bindparam("owner_"),
        outbox.c.id.in_(bindparam("ids", expanding=True)),
    )
    .with_for_update(skip_locked=True)
)
_RENEW = update(outbox).where(outbox.c.id.in_(_FREE_TO_RENEW)).values(due_at=bindparam("until"))
_NEXT_DUE = select(func.min(outbox.c.due_at)).where(
    outbox.c.route == bindparam("route_"), outbox.c.lane == bindparam("lane_")
)


def _claim_one(connection: Connection, wanted: ClaimRequest) -> Sequence[Claimed]:
    rows: dict[str, tuple[Lane, Any]] = {}
    for lane in Lane:
        free = wanted.seats - len(rows)
        if free <= 0:
            break
        parameters = {
            "route_": wanted.route,
            "lane_": int(lane),
            "now": wanted.now,
            "seats": free,
            "owner_": wanted.owner,
            "until": wanted.lease_until,
        }
        rows |= {row.id: (lane, row) for row in connection.execute(_CLAIM, parameters)}
    if not rows:
        return ()
    mails = connection.execute(_MAILS, {"ids": list(rows)})
    claimed = [_claimed(wanted, *rows[mail.id], mail) for mail in mails]
    return sorted(claimed, key=lambda one: (one.lane, one.claim.id))


def _claimed(wanted: ClaimRequest, lane: Lane, row: Any, mail: Any) -> Claimed:
    return Claimed(
        claim=Claim(row.id, wanted.owner, row.claims),
        project=row.project,
        notification_id=mail.notification_id,
        lane=lane,
        due_at=wanted.lease_until,
        expires_at=row.expires_at,
        attempt=row.attempt,
        orphaned=row.orphaned,
        envelope=Envelope(mail.mail_from, mail.rcpt_to, mail.smtputf8),
        message_id=mail.message_id,
        body=mail.body,
        sealed=mail.sealed,
    )


def next_due(connection: Connection, route: Literal["live", "test"]) -> datetime | None:
    """When the next message of this route is due, or its lease runs out; None: none waits."""
    times = [
        connection.execute(_NEXT_DUE, {"route_": route, "lane_": int(lane)}).scalar()
        for lane in Lane
    ]
    return min((time for time in times if time is not None), default=None)


def owners(connection: Connection) -> Sequence[str]:
    """Everybody who holds a lease, also one that has run out."""
    found = connection.execute(select(outbox.c.owner).where(outbox.c.owner.is_not(None)).distinct())
    return [str(owner) for owner in found.scalars()]


def _free(connection: Connection, items: Sequence[tuple[str, datetime]]) -> Sequence[int]:
    """The owner stays in the row: that is how the next claim knows it left no outcome."""
    return [
        connection.execute(
            update(outbox).where(outbox.c.owner == owner, outbox.c.due_at > now).values(due_at=now)
        ).rowcount
        for owner, now in items
    ]


FREE: Write[tuple[str, datetime], int] = Write("free", 5, _free, key=lambda item: item[0])
"""End all leases of an owner who is dead."""
