"""From an address or an id to single mails with all that happened to them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Select, select

from notifier.core.message import Status, Stored, pending_status
from notifier.core.route import Route
from notifier.store.events import Event, message_story
from notifier.store.schema import content, message, notification, outbox
from notifier.store.standstill import totals


@dataclass(frozen=True, slots=True)
class Trail:
    """One mail to one recipient and its story, oldest step first.

    `due_at` is set while it is in the queue. `expires_at` has in it what was added to a life that
    `stands_still` while all relays are paused. `bytes_kept`: it could be sent (again).
    """

    message_id: str
    notification_id: str
    project: str
    route: Route
    stream: str
    to: str
    template: str | None
    reference: str | None
    status: Status
    attempts: int
    created_at: datetime
    expires_at: datetime
    due_at: datetime | None
    final_at: datetime | None
    relay: str | None
    queue_id: str | None
    bytes_kept: bool
    stands_still: bool
    events: tuple[Event, ...]


_TRAILS = (
    select(
        message.c.id,
        message.c.notification_id,
        message.c.project,
        message.c.rcpt_to,
        message.c.status,
        message.c.attempts,
        message.c.created_at,
        message.c.final_at,
        message.c.relay,
        message.c.queue_id,
        notification.c.route,
        notification.c.stream,
        notification.c.template,
        notification.c.reference,
        notification.c.expires_at,
        content.c.body.is_not(None).label("bytes_kept"),
        outbox.c.due_at,
        outbox.c.owner,
        outbox.c.claims,
        outbox.c.attempt,
        outbox.c.expires_at.label("ends_at"),
        outbox.c.standstill_us,
    )
    .join_from(message, notification, notification.c.id == message.c.notification_id)
    .outerjoin(content, content.c.id == message.c.content_id)
    .outerjoin(outbox, outbox.c.id == message.c.id)
)


def trails_to(
    connection: Connection, addresses: Sequence[str], now: datetime, *, most: int
) -> Sequence[Trail]:
    """The last mails to one of these addresses, newest first."""
    query = _TRAILS.where(message.c.rcpt_to.in_(addresses)).order_by(message.c.id.desc())
    return _trails(connection, query.limit(most), now)


def trails_of(
    connection: Connection, identity: str, now: datetime, *, most: int
) -> Sequence[Trail]:
    """The mail with this id, or the mails of the notification with it in the caller's order."""
    own = message.c.id if identity.startswith("msg_") else message.c.notification_id
    query = _TRAILS.where(own == identity).order_by(message.c.position)
    return _trails(connection, query.limit(most), now)


def _trails(connection: Connection, query: Select[Any], now: datetime) -> Sequence[Trail]:
    stood = totals(connection)
    return [
        _trail(row, tuple(message_story(connection, row.notification_id, row.id)), now, stood)
        for row in connection.execute(query).all()
    ]


def _trail(row: Any, events: tuple[Event, ...], now: datetime, stood: Mapping[Route, int]) -> Trail:
    pending = row.status == Stored.PENDING
    return Trail(
        message_id=row.id,
        notification_id=row.notification_id,
        project=row.project,
        route=row.route,
        stream=row.stream,
        to=row.rcpt_to,
        template=row.template,
        reference=row.reference,
        status=_pending(row, now) if pending else Status(row.status),
        attempts=row.attempts if row.attempt is None else row.attempt,
        created_at=row.created_at,
        expires_at=_ends_at(row, stood),
        due_at=row.due_at,
        final_at=row.final_at,
        relay=row.relay,
        queue_id=row.queue_id,
        bytes_kept=bool(row.bytes_kept),
        stands_still=row.standstill_us is not None,
        events=events,
    )


def _pending(row: Any, now: datetime) -> Status:
    return pending_status(
        claimed=row.owner is not None, claims=row.claims, due_at=row.due_at, now=now
    )


def _ends_at(row: Any, stood: Mapping[Route, int]) -> datetime:
    end: datetime = row.ends_at or row.expires_at
    if row.standstill_us is None:
        return end
    return end + timedelta(microseconds=stood.get(row.route, 0) - row.standstill_us)
