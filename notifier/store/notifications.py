"""Reading notifications back, with the status of each message as a caller sees it."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, func, select

from notifier.core.message import Status, Stored, pending_status
from notifier.store.schema import message, notification, outbox


@dataclass(frozen=True, slots=True)
class MessageView:
    """One message. `next_attempt_at` is set while it waits for its time or a retry."""

    id: str
    to: str
    status: Status
    attempts: int
    next_attempt_at: datetime | None
    sent_at: datetime | None
    message_id: str
    relay: str | None
    queue_id: str | None


@dataclass(frozen=True, slots=True)
class NotificationView:
    """A notification with its messages in the order of the caller's recipients."""

    id: str
    project: str
    reference: str | None
    template: str | None
    template_version: str | None
    stream: str
    tags: Mapping[str, str] | None
    metadata: Mapping[str, Any] | None
    created_at: datetime
    scheduled_at: datetime | None
    expires_at: datetime
    messages: tuple[MessageView, ...]


_NOTIFICATION = select(notification).where(
    notification.c.id == bindparam("id_"), notification.c.project == bindparam("project_")
)
_SCHEDULED = select(notification.c.id, notification.c.scheduled_at).where(
    notification.c.id.in_(bindparam("ids", expanding=True)),
    notification.c.scheduled_at.is_not(None),
)
_MESSAGES = (
    select(
        message.c.id,
        message.c.rcpt_to,
        message.c.status,
        message.c.attempts,
        message.c.sent_at,
        message.c.message_id,
        message.c.relay,
        message.c.queue_id,
        outbox.c.due_at,
        outbox.c.claims,
        outbox.c.attempt,
        outbox.c.owner,
    )
    .select_from(message.outerjoin(outbox, outbox.c.id == message.c.id))
    .where(message.c.notification_id == bindparam("id_"))
    .order_by(message.c.position)
)


def find(
    connection: Connection, project: str, notification_id: str, now: datetime
) -> NotificationView | None:
    """The notification as it is at `now`; None: not in this project."""
    row = connection.execute(_NOTIFICATION, {"id_": notification_id, "project_": project}).first()
    if row is None:
        return None
    messages = connection.execute(_MESSAGES, {"id_": notification_id})
    return NotificationView(
        id=row.id,
        project=row.project,
        reference=row.reference,
        template=row.template,
        template_version=row.template_version,
        stream=row.stream,
        tags=row.tags,
        metadata=row.metadata,
        created_at=row.created_at,
        scheduled_at=row.scheduled_at,
        expires_at=row.expires_at,
        messages=tuple(_message(one, now) for one in messages),
    )


def scheduled_at(connection: Connection, ids: Collection[str]) -> Mapping[str, datetime]:
    """When these notifications were to be sent, by id; without those that were to be at once."""
    rows = connection.execute(_SCHEDULED, {"ids": [*ids]})
    return {row.id: row.scheduled_at for row in rows}


def statuses(connection: Connection) -> Mapping[str, int]:
    """Messages by stored status, over all projects: what conservation is checked with."""
    rows = connection.execute(select(message.c.status, func.count()).group_by(message.c.status))
    return {row[0]: row[1] for row in rows}


def _message(row: Any, now: datetime) -> MessageView:
    status = _status(row, now)
    waits = status in {Status.SCHEDULED, Status.DEFERRED}
    return MessageView(
        id=row.id,
        to=row.rcpt_to,
        status=status,
        attempts=row.attempts if row.attempt is None else row.attempt,
        next_attempt_at=row.due_at if waits else None,
        sent_at=row.sent_at,
        message_id=row.message_id,
        relay=row.relay,
        queue_id=row.queue_id,
    )


def _status(row: Any, now: datetime) -> Status:
    if row.status != Stored.PENDING:
        return Status(row.status)
    return pending_status(
        claimed=row.owner is not None, claims=row.claims, due_at=row.due_at, now=now
    )
