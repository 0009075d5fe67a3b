"""Forgetting: bytes, notifications, keys and sign-ups whose time is over, in small batches.

What is deleted is added to the tally in the same transaction, so that accepted messages still
equal those that are there and those that were there.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, Table, delete, exists, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert

from notifier.core.ids import floor_of
from notifier.store.schema import (
    content,
    event,
    idempotency,
    message,
    notification,
    registration,
    registration_mail,
    tally,
)
from notifier.store.write_queue import Write


@dataclass(frozen=True, slots=True)
class Sweep:
    """Forget what ended before `before`, at most `most` things; `at` is now."""

    before: datetime
    at: datetime
    most: int


def _one_by_one(sweep: Callable[[Connection, Sweep], int]) -> Callable[..., Sequence[int]]:
    def run(connection: Connection, items: Sequence[Sweep]) -> Sequence[int]:
        return [sweep(connection, item) for item in items]

    return run


def _not_over(own: ColumnElement[bool], before: datetime) -> ColumnElement[bool]:
    """Whether some message that `own` selects is not final, or became so only later."""
    return exists().where(own, message.c.final_at.is_(None) | (message.c.final_at >= before))


def _erase_bytes(connection: Connection, sweep: Sweep) -> int:
    due = (
        select(content.c.id)
        .where(
            content.c.body.is_not(None),
            content.c.created_at < sweep.before,
            ~_not_over(message.c.content_id == content.c.id, sweep.before),
        )
        .order_by(content.c.created_at)
        .limit(sweep.most)
        .with_for_update(skip_locked=True)
    )
    ids = connection.execute(due).scalars().all()
    # Asked again once they are locked: an operator may have put a message back meanwhile.
    needed = exists().where(message.c.content_id == content.c.id, message.c.final_at.is_(None))
    erased = update(content).where(content.c.id.in_(ids), ~needed)
    return connection.execute(erased.values(body=None, erased_at=sweep.at)).rowcount


def _forget_notifications(connection: Connection, sweep: Sweep) -> int:
    # Ids begin with the time at which they were made: the primary key is the index by age.
    due = connection.execute(
        select(notification.c.id)
        .where(
            notification.c.id < floor_of("ntf", sweep.before),
            ~_not_over(message.c.notification_id == notification.c.id, sweep.before),
        )
        .order_by(notification.c.id)
        .limit(sweep.most)
        .with_for_update(skip_locked=True)
    )
    ids = _still_over(connection, due.scalars().all())
    gone = connection.execute(
        select(message.c.project, message.c.status, message.c.content_id).where(
            message.c.notification_id.in_(ids)
        )
    ).all()
    _count(connection, Counter((row.project, row.status) for row in gone))
    connection.execute(delete(content).where(content.c.id.in_({row.content_id for row in gone})))
    for table, column in (
        (event, event.c.notification_id),
        (message, message.c.notification_id),
        (notification, notification.c.id),
    ):
        connection.execute(delete(table).where(column.in_(ids)))
    return len(ids)


def _still_over(connection: Connection, ids: Sequence[str]) -> list[str]:
    """Without those of which an operator put a message back between the look and the lock."""
    begun = select(message.c.notification_id).where(
        message.c.notification_id.in_(ids), message.c.final_at.is_(None)
    )
    return sorted({*ids} - {*connection.execute(begun).scalars()})


def _count(connection: Connection, gone: Counter[tuple[str, str]]) -> None:
    for (project, status), messages in sorted(gone.items()):
        new = insert(tally).values(project=project, status=status, messages=messages)
        connection.execute(
            new.on_conflict_do_update(
                index_elements=[tally.c.project, tally.c.status],
                set_={"messages": tally.c.messages + new.excluded.messages},
            )
        )


def _forget_keys(connection: Connection, sweep: Sweep) -> int:
    place = (idempotency.c.project, idempotency.c.route, idempotency.c.key)
    due = (
        select(*place)
        .where(idempotency.c.created_at < sweep.before)
        .order_by(idempotency.c.created_at)
        .limit(sweep.most)
    )
    return connection.execute(delete(idempotency).where(tuple_(*place).in_(due))).rowcount


def _forget_sign_ups(connection: Connection, sweep: Sweep) -> int:
    due = connection.execute(
        select(registration.c.id)
        .where(registration.c.status == "pending", registration.c.expires_at < sweep.before)
        .order_by(registration.c.expires_at)
        .limit(sweep.most)
        .with_for_update(skip_locked=True)
    )
    ids = list(due.scalars())
    mails: Table = registration_mail
    connection.execute(delete(mails).where(mails.c.registration_id.in_(ids)))
    connection.execute(delete(registration).where(registration.c.id.in_(ids)))
    return len(ids)


def _forget_loose_events(connection: Connection, sweep: Sweep) -> int:
    due = (
        select(event.c.seq)
        .where(event.c.notification_id.is_(None), event.c.at < sweep.before)
        .order_by(event.c.at)
        .limit(sweep.most)
    )
    return connection.execute(delete(event).where(event.c.seq.in_(due))).rowcount


def _sweeping(name: str, rank: int, sweep: Callable[[Connection, Sweep], int]) -> Write[Sweep, int]:
    return Write(name, rank, _one_by_one(sweep), key=lambda item: item.before.isoformat())


ERASE_BYTES = _sweeping("erase_bytes", 50, _erase_bytes)
"""Bytes of mails all of whose messages became final before `before`."""

FORGET_NOTIFICATIONS = _sweeping("forget_notifications", 51, _forget_notifications)
"""Notifications all of whose messages became final before `before`, with everything of them."""

FORGET_KEYS = _sweeping("forget_keys", 52, _forget_keys)
"""Idempotency keys used before `before`."""

FORGET_SIGN_UPS = _sweeping("forget_sign_ups", 53, _forget_sign_ups)
"""Registrations that expired unconfirmed before `before`."""

FORGET_LOOSE_EVENTS = _sweeping("forget_loose_events", 54, _forget_loose_events)
"""Events before `before` that belong to no notification."""
