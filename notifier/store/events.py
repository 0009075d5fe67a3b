"""Event rows: what happened, for a notification's story and for the project's feed."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Connection,
    Text,
    and_,
    bindparam,
    cast,
    func,
    literal,
    or_,
    select,
    tuple_,
)
from sqlalchemy.sql import ColumnElement

from notifier.store.schema import event
from notifier.store.statements import insert_once, put


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened. `data` is JSON and holds neither bodies nor secrets."""

    id: str
    project: str
    type: str
    at: datetime
    notification_id: str | None = None
    message_id: str | None = None
    registration_id: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, order=True)
class Cursor:
    """A place in the feed: everything up to and including it has been read."""

    xid: int = 0
    seq: int = 0


_INSERT = insert_once(event)
_COLUMNS = (
    event.c.id,
    event.c.project,
    event.c.type,
    event.c.at,
    event.c.notification_id,
    event.c.message_id,
    event.c.registration_id,
    event.c.data,
)
_STORY = (
    select(*_COLUMNS)
    .where(
        event.c.notification_id == bindparam("notification_id"),
        event.c.project == bindparam("project"),
    )
    .order_by(event.c.xid, event.c.seq)
    .limit(bindparam("most"))
)
_PLACE = select(event.c.xid, event.c.seq).where(event.c.id == bindparam("after"))
_STORY_AFTER = _STORY.where(tuple_(event.c.xid, event.c.seq) > _PLACE.scalar_subquery())


def is_written(connection: Connection, event_id: str) -> bool:
    """Whether this event is there: what it tells of was committed before."""
    return connection.execute(_PLACE, {"after": event_id}).first() is not None


def put_events(connection: Connection, events: Iterable[Event]) -> None:
    """Write events; those that are there already stay as they are."""
    rows = [
        {
            "id": one.id,
            "project": one.project,
            "type": one.type,
            "at": one.at,
            "notification_id": one.notification_id,
            "message_id": one.message_id,
            "registration_id": one.registration_id,
            "data": dict(one.data),
        }
        for one in events
    ]
    put(connection, _INSERT, rows)


@dataclass(frozen=True, slots=True)
class StoryPart:
    """At most `most` events of a notification, behind the event with the id `after`."""

    project: str
    notification_id: str
    after: str | None = None
    most: int = 1000


def story(connection: Connection, part: StoryPart) -> Sequence[Event]:
    """Events in the order in which they were committed; none behind an id that is not known."""
    query = _STORY if part.after is None else _STORY_AFTER
    return [_event(row) for row in connection.execute(query, asdict(part))]


def message_story(connection: Connection, notification_id: str, message_id: str) -> Sequence[Event]:
    """The events of one message and those of its notification as a whole, as `story`."""
    query = (
        select(*_COLUMNS)
        .where(
            event.c.notification_id == notification_id,
            or_(event.c.message_id.is_(None), event.c.message_id == message_id),
        )
        .order_by(event.c.xid, event.c.seq)
    )
    return [_event(row) for row in connection.execute(query)]


def feed(
    connection: Connection, project: str, after: Cursor, *, most: int
) -> Sequence[tuple[Cursor, Event]]:
    """The project's events behind `after`, in an order that never grows backwards.

    On PostgreSQL a sequence number can become visible after a higher one. Events carry the id of
    their transaction, and only those below the oldest transaction still running are given out:
    whatever commits later has a higher one.
    """
    query = (
        select(event.c.xid, event.c.seq, *_COLUMNS)
        .where(event.c.project == project, _behind(connection, after), *_settled(connection))
        .order_by(event.c.xid, event.c.seq)
        .limit(most)
    )
    return [(Cursor(row[0], row[1]), _event(row[2:])) for row in connection.execute(query)]


def feed_end(connection: Connection, project: str) -> Cursor:
    """The cursor behind everything that `feed` gives out now."""
    row = connection.execute(
        select(event.c.xid, event.c.seq)
        .where(event.c.project == project, *_settled(connection))
        .order_by(event.c.xid.desc(), event.c.seq.desc())
        .limit(1)
    ).first()
    return Cursor() if row is None else Cursor(row[0], row[1])


def _event(columns: Sequence[Any]) -> Event:
    return Event(*columns)


def _behind(connection: Connection, after: Cursor) -> ColumnElement[bool]:
    if connection.dialect.name != "postgresql":
        # There xid is 0 in every row, and only an equality lets the index find the place of seq.
        return and_(event.c.xid == 0, event.c.seq > after.seq)
    return tuple_(event.c.xid, event.c.seq) > tuple_(literal(after.xid), literal(after.seq))


def _settled(connection: Connection) -> tuple[ColumnElement[bool], ...]:
    if connection.dialect.name != "postgresql":
        return ()
    oldest_running = func.pg_snapshot_xmin(func.pg_current_snapshot())
    return (event.c.xid < cast(cast(oldest_running, Text), BigInteger),)
