"""Accepting a notification: everything it needs for its whole life, in one transaction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, select, tuple_

from notifier.core.envelope import Envelope
from notifier.core.message import Lane, Stored
from notifier.core.route import Route
from notifier.store.events import Event, put_events
from notifier.store.schema import content, idempotency, message, notification, outbox
from notifier.store.standstill import totals
from notifier.store.statements import insert_once, put
from notifier.store.write_queue import Write


@dataclass(frozen=True, slots=True)
class NewContent:
    """Finished bytes, already sealed where they hold a secret. `size_bytes` is the mail's."""

    id: str
    body: bytes
    sealed: bool
    size_bytes: int


@dataclass(frozen=True, slots=True)
class NewMessage:
    """One mail to one recipient."""

    id: str
    content_id: str
    envelope: Envelope
    message_id: str


@dataclass(frozen=True, slots=True)
class NewNotification:
    """What the caller asked for, and where it goes.

    `default_life`: nobody asked for this end of its life, so that it stands still while every
    relay of the route is paused.
    """

    id: str
    project: str
    route: Route
    lane: Lane
    created_at: datetime
    expires_at: datetime
    scheduled_at: datetime | None = None
    reference: str | None = None
    template: str | None = None
    template_version: str | None = None
    tags: Mapping[str, str] | None = None
    metadata: Mapping[str, Any] | None = None
    default_life: bool = False


@dataclass(frozen=True, slots=True)
class OnceKey:
    """A caller's `Idempotency-Key` with the answer that a repeated call is given.

    `fingerprint` is a hash of the canonical body. `http_route` is the route's name.
    """

    http_route: str
    key: str
    fingerprint: str
    answer: str


@dataclass(frozen=True, slots=True)
class Acceptance:
    """A whole notification, ready to be written. `accepted` is its first event."""

    notification: NewNotification
    contents: tuple[NewContent, ...]
    messages: tuple[NewMessage, ...]
    accepted: Event
    once: OnceKey | None = None


@dataclass(frozen=True, slots=True)
class FirstCall:
    """What the first call with an idempotency key left behind."""

    fingerprint: str
    answer: str
    winner: str


_CONTENT = insert_once(content)
_NOTIFICATION = insert_once(notification)
_MESSAGE = insert_once(message)
_OUTBOX = insert_once(outbox)
_IDEMPOTENCY = insert_once(idempotency)
_FIRST_CALL = select(idempotency.c.fingerprint, idempotency.c.answer, idempotency.c.winner).where(
    idempotency.c.project == bindparam("project_"),
    idempotency.c.route == bindparam("route_"),
    idempotency.c.key == bindparam("key_"),
)


def first_call(connection: Connection, project: str, http_route: str, key: str) -> FirstCall | None:
    """What an earlier call with this idempotency key left behind."""
    row = connection.execute(
        _FIRST_CALL, {"project_": project, "route_": http_route, "key_": key}
    ).first()
    return None if row is None else FirstCall(row[0], row[1], row[2])


def _accept(connection: Connection, items: Sequence[Acceptance]) -> Sequence[FirstCall | None]:
    earlier = claim_keys(
        connection,
        [(item.notification, item.once) for item in items if item.once is not None],
    )
    results = [
        _lost_to(
            earlier.get(_place(item.notification.project, item.once)),
            item.notification.id,
        )
        for item in items
    ]
    put_acceptances(
        connection,
        [item for item, lost in zip(items, results, strict=True) if lost is None],
    )
    return results


ACCEPT: Write[Acceptance, FirstCall | None] = Write(
    "accept", 10, _accept, key=lambda item: item.notification.id
)
"""None: written. A `FirstCall`: another call with the same key was first, nothing was written."""


def claim_keys(
    connection: Connection, wanted: Sequence[tuple[NewNotification, OnceKey]]
) -> Mapping[tuple[str, str, str], FirstCall]:
    """Take idempotency keys; returns for every one of them who has it now."""
    if not wanted:
        return {}
    rows = [
        {
            "project": new.project,
            "route": once.http_route,
            "key": once.key,
            "fingerprint": once.fingerprint,
            "winner": new.id,
            "answer": once.answer,
            "created_at": new.created_at,
        }
        for new, once in wanted
    ]
    # In the order of the keys, not of the ids: two groups must not wait for each other.
    rows.sort(key=lambda row: (row["project"], row["route"], row["key"]))
    put(connection, _IDEMPOTENCY, rows)
    columns = (idempotency.c.project, idempotency.c.route, idempotency.c.key)
    places = [(row["project"], row["route"], row["key"]) for row in rows]
    found = connection.execute(
        select(
            *columns,
            idempotency.c.fingerprint,
            idempotency.c.answer,
            idempotency.c.winner,
        ).where(tuple_(*columns).in_(places))
    )
    return {(row[0], row[1], row[2]): FirstCall(row[3], row[4], row[5]) for row in found}


def put_acceptances(connection: Connection, items: Sequence[Acceptance]) -> None:
    """Write notifications with all their rows, without looking at idempotency keys."""
    put(connection, _CONTENT, [row for item in items for row in _content_rows(item)])
    put(
        connection,
        _NOTIFICATION,
        [_notification_row(item.notification) for item in items],
    )
    put(connection, _MESSAGE, [row for item in items for row in _message_rows(item)])
    stood_still = totals(connection) if any(map(_stands_still, items)) else {}
    put(connection, _OUTBOX, [row for item in items for row in _outbox_rows(item, stood_still)])
    put_events(connection, [item.accepted for item in items])


def _place(project: str, once: OnceKey | None) -> tuple[str, str, str]:
    return ("", "", "") if once is None else (project, once.http_route, once.key)


def _lost_to(first: FirstCall | None, own_id: str) -> FirstCall | None:
    return None if first is None or first.winner == own_id else first


def _content_rows(item: Acceptance) -> list[dict[str, Any]]:
    new = item.notification
    return [
        {
            "id": one.id,
            "project": new.project,
            "body": one.body,
            "sealed": one.sealed,
            "size_bytes": one.size_bytes,
            "created_at": new.created_at,
        }
        for one in item.contents
    ]


def _notification_row(new: NewNotification) -> dict[str, Any]:
    return {
        "id": new.id,
        "project": new.project,
        "route": new.route,
        "stream": new.lane.stream,
        "reference": new.reference,
        "template": new.template,
        "template_version": new.template_version,
        "tags": new.tags,
        "metadata": new.metadata,
        "created_at": new.created_at,
        "scheduled_at": new.scheduled_at,
        "expires_at": new.expires_at,
    }


def _message_rows(item: Acceptance) -> list[dict[str, Any]]:
    new = item.notification
    return [
        {
            "id": one.id,
            "project": new.project,
            "notification_id": new.id,
            "position": position,
            "content_id": one.content_id,
            "mail_from": one.envelope.mail_from,
            "rcpt_to": one.envelope.rcpt_to,
            "smtputf8": one.envelope.smtputf8,
            "message_id": one.message_id,
            "status": Stored.PENDING.value,
            "attempts": 0,
            "created_at": new.created_at,
        }
        for position, one in enumerate(item.messages)
    ]


def _stands_still(item: Acceptance) -> bool:
    return item.notification.default_life


def _outbox_rows(item: Acceptance, stood_still: Mapping[Route, int]) -> list[dict[str, Any]]:
    new = item.notification
    before_us = stood_still.get(new.route, 0) if new.default_life else None
    return [
        {
            "id": one.id,
            "route": new.route,
            "lane": int(new.lane),
            "project": new.project,
            "due_at": new.scheduled_at or new.created_at,
            "expires_at": new.expires_at,
            "claims": 0,
            "attempt": 0,
            "orphaned": 0,
            "standstill_us": before_us,
        }
        for one in item.messages
    ]
