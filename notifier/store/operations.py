"""What a person decides about messages: to try them once more, or not to send them at all.

Written in batches by a command, and one by one for the API. Rows are locked in the order that
`outcomes` and `retention` lock theirs in.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from notifier.core.message import TRANSITIONS, Lane, Status, Step, Stored, after, who_acts
from notifier.store.events import Event, is_written, put_events
from notifier.store.outcomes import erase_spent_secrets
from notifier.store.schema import content, message, notification, outbox, standstill
from notifier.store.write_queue import Write

MOST: Final = 200
"""Messages in one transaction: few enough that a caller's commit never waits long behind it."""

_FENCES_BEGAN: Final = datetime(2025, 1, 1, tzinfo=UTC)


class Decided(StrEnum):
    """What became of one decision. All but `DONE` left the message as it was."""

    DONE = "done"
    NOT_FOUND = "not_found"
    BEING_SENT = "being_sent"
    BYTES_ERASED = "bytes_erased"
    NOT_POSSIBLE = "not_possible"


@dataclass(frozen=True, slots=True)
class Requeue:
    """Try this message once more, from the beginning of its attempts, until `expires_at`.

    `project` None: whosever it is. `event_id` is made by the caller, so that a repetition is
    known as one.
    """

    message_id: str
    event_id: str
    at: datetime
    expires_at: datetime
    reason: str
    project: str | None = None


@dataclass(frozen=True, slots=True)
class Cancel:
    """Do not send this message; as `Requeue` otherwise."""

    message_id: str
    event_id: str
    at: datetime
    reason: str
    project: str | None = None


def requeue(connection: Connection, items: Sequence[Requeue]) -> Sequence[Decided]:
    """Put ended and held messages back into the queue, with the bytes and the Message-ID they had.

    A message whose bytes are erased stays as it is, as does one that waits already.
    """
    ids = [item.message_id for item in items]
    notifications = {row.id: row for row in connection.execute(_NOTIFICATIONS, {"ids": ids})}
    messages = {row.id: row for row in connection.execute(_MESSAGES, {"ids": ids})}
    kept = set(connection.execute(_CONTENTS, {"ids": ids}).scalars())
    decided = [_may_requeue(connection, item, messages, kept) for item in items]
    chosen = [
        (item, messages[item.message_id])
        for item, fit in zip(items, decided, strict=True)
        if fit is None
    ]
    if chosen:
        _put_back(connection, chosen, notifications)
    return [fit or Decided.DONE for fit in decided]


def cancel(connection: Connection, items: Sequence[Cancel]) -> Sequence[Decided]:
    """End waiting and held messages. One that is under way just now is left to its sender."""
    ids = [item.message_id for item in items]
    waiting = {row.id: row for row in connection.execute(_WAITING, {"ids": ids})}
    messages = {row.id: row for row in connection.execute(_MESSAGES, {"ids": ids})}
    decided = [_may_cancel(connection, item, messages, waiting) for item in items]
    chosen = [
        (item, messages[item.message_id], waiting.get(item.message_id))
        for item, fit in zip(items, decided, strict=True)
        if fit is None
    ]
    if chosen:
        _end(connection, chosen)
    return [fit or Decided.DONE for fit in decided]


REQUEUE: Write[Requeue, Decided] = Write("requeue", 24, requeue, key=lambda item: item.message_id)
"""`requeue` for the API. The bell has to be rung after it."""

CANCEL: Write[Cancel, Decided] = Write("cancel", 25, cancel, key=lambda item: item.message_id)
"""`cancel` for the API."""


_OWN = message.c.id.in_(bindparam("ids", expanding=True))
# Before their messages, because retention locks them in this order.
_NOTIFICATIONS = (
    select(notification.c.id, notification.c.route, notification.c.stream)
    .where(notification.c.id.in_(select(message.c.notification_id).where(_OWN)))
    .order_by(notification.c.id)
    .with_for_update()
)
_MESSAGES = (
    select(
        message.c.id,
        message.c.project,
        message.c.notification_id,
        message.c.content_id,
        message.c.status,
        message.c.attempts,
    )
    .where(_OWN)
    .order_by(message.c.id)
    .with_for_update()
)
_CONTENTS = (
    select(content.c.id)
    .where(content.c.body.is_not(None), content.c.id.in_(select(message.c.content_id).where(_OWN)))
    .order_by(content.c.id)
    .with_for_update()
)
_WAITING = (
    select(
        outbox.c.id,
        outbox.c.owner,
        outbox.c.due_at,
        outbox.c.attempt,
        outbox.c.orphaned,
    )
    .where(outbox.c.id.in_(bindparam("ids", expanding=True)))
    .order_by(outbox.c.id)
    .with_for_update()
)
_REOPEN = (
    update(message)
    .where(message.c.id == bindparam("id_"))
    .values(
        status=Stored.PENDING.value,
        attempts=0,
        relay=None,
        queue_id=None,
        sent_at=None,
        final_at=None,
    )
)
_LENGTHEN = (
    update(notification)
    .where(notification.c.id == bindparam("id_"), notification.c.expires_at < bindparam("until"))
    .values(expires_at=bindparam("until"))
)
_CLOSE = (
    update(message)
    .where(message.c.id == bindparam("id_"))
    .values(
        status=Status.CANCELED.value, attempts=bindparam("attempt_"), final_at=bindparam("final")
    )
)
_GONE = delete(outbox).where(outbox.c.id.in_(bindparam("ids", expanding=True)))


def _may_requeue(
    connection: Connection, item: Requeue, messages: Mapping[str, Any], kept: set[str]
) -> Decided | None:
    """None: it can be done."""
    found = messages.get(item.message_id)
    if found is None or item.project not in {None, found.project}:
        return Decided.NOT_FOUND
    if found.status == Stored.PENDING or (found.status, Step.PUT_BACK) not in TRANSITIONS:
        repeated = is_written(connection, item.event_id)
        return Decided.DONE if repeated else Decided.NOT_POSSIBLE
    return None if found.content_id in kept else Decided.BYTES_ERASED


def _may_cancel(
    connection: Connection, item: Cancel, messages: Mapping[str, Any], waiting: Mapping[str, Any]
) -> Decided | None:
    """None: it can be done."""
    found, row = messages.get(item.message_id), waiting.get(item.message_id)
    if found is None or item.project not in {None, found.project}:
        return Decided.NOT_FOUND
    if (found.status, Step.CANCELED) not in TRANSITIONS:
        repeated = is_written(connection, item.event_id)
        return Decided.DONE if repeated else Decided.NOT_POSSIBLE
    if row is not None and row.owner is not None and row.due_at > item.at:
        return Decided.BEING_SENT
    return None


def _put_back(
    connection: Connection,
    chosen: Sequence[tuple[Requeue, Any]],
    notifications: Mapping[str, Any],
) -> None:
    stood = {
        row.route: row.total_us
        for row in connection.execute(select(standstill.c.route, standstill.c.total_us))
    }
    rows = []
    for item, found in chosen:
        asked_for = notifications[found.notification_id]
        rows.append(
            {
                "id": item.message_id,
                "route": asked_for.route,
                "lane": int(Lane[asked_for.stream.upper()]),
                "project": found.project,
                "due_at": item.at,
                "expires_at": item.expires_at,
                "claims": _fence_above_all(item.at),
                "attempt": 0,
                "orphaned": 0,
                "standstill_us": stood.get(asked_for.route, 0),
            }
        )
    connection.execute(_REOPEN, [{"id_": item.message_id} for item, _ in chosen])
    connection.execute(
        _LENGTHEN,
        [{"id_": found.notification_id, "until": item.expires_at} for item, found in chosen],
    )
    connection.execute(insert(outbox), rows)
    put_events(
        connection,
        [
            _event(item, found, "message.requeued", {"action": None, "was": found.status})
            for item, found in chosen
        ],
    )


def _end(connection: Connection, chosen: Sequence[tuple[Cancel, Any, Any]]) -> None:
    ids = [item.message_id for item, _, _ in chosen]
    connection.execute(
        _CLOSE,
        [
            {
                "id_": item.message_id,
                "attempt_": found.attempts if row is None else row.attempt,
                "final": item.at,
            }
            for item, found, row in chosen
        ],
    )
    connection.execute(_GONE, {"ids": ids})
    erase_spent_secrets(connection, ids, max(item.at for item, _, _ in chosen))
    put_events(connection, [_canceled(item, found, row) for item, found, row in chosen])


def _canceled(item: Cancel, found: Any, row: Any) -> Event:
    status = Status(after(found.status, Step.CANCELED).value)
    data: dict[str, Any] = {"action": who_acts(status)}
    if row is not None and row.owner is not None:
        # Claims that left no outcome: the mail may have gone out with each of them.
        data |= {"ambiguous": True, "times": row.orphaned + 1}
    return _event(item, found, f"message.{status.value}", data)


def _event(item: Requeue | Cancel, found: Any, kind: str, data: Mapping[str, Any]) -> Event:
    return Event(
        item.event_id,
        found.project,
        kind,
        item.at,
        notification_id=found.notification_id,
        message_id=item.message_id,
        data={"reason": item.reason, **data},
    )


def _fence_above_all(now: datetime) -> int:
    """More claims than the message can have had in an earlier life, so that its fence only grows:
    a sender of that life who wakes up late must not be taken for the present one.
    """
    return int((now - _FENCES_BEGAN).total_seconds())
