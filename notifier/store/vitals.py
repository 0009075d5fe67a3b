"""What a probe or a scrape of metrics asks of the store every few seconds: index ranges only.

How much waits, for a person who waits for the answer, is in `backlog`; that reads every row.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, get_args

from sqlalchemy import Connection, Select, bindparam, func, select, text

from notifier.core.message import Lane, Stored
from notifier.core.route import Route
from notifier.store.schema import event, message, outbox

MOST: Final = 1_000_000
"""Counted up to so many of each project in a lane: beyond it the exact number is no news."""


@dataclass(frozen=True, slots=True)
class Depth:
    """One lane: how many wait for a seat, up to `MOST` of each project.

    `oldest_age_s` is how long the first of them has waited; 0 where none does.
    """

    route: Route
    lane: Lane
    due: int
    oldest_age_s: float


@dataclass(frozen=True, slots=True)
class Vitals:
    """What can be asked often. `held` messages wait for an operator; `revision` is the schema's;
    `server` says which database this is, and its version.
    """

    depths: tuple[Depth, ...]
    held: int
    revision: str | None
    server: tuple[str, str]


def vitals(connection: Connection, now: datetime) -> Vitals:
    """All of it, at one moment. Milliseconds, and 0.1 s for a million messages that are due."""
    return Vitals(
        tuple(depths(connection, now)), held(connection), revision(connection), server(connection)
    )


def depths(connection: Connection, now: datetime) -> Sequence[Depth]:
    """All lanes, also empty ones.

    Costs some index entries for each project that has mail in a lane and one for each message
    that is due, about 0.1 s for a million; nothing for what is scheduled for later.
    """
    return [_depth(connection, route, lane, now) for route in get_args(Route) for lane in Lane]


def later(connection: Connection, now: datetime) -> Mapping[tuple[Route, Lane], int]:
    """How many wait for their time: scheduled, deferred, or under lease.

    Reads all of the queue's index, 0.1 s for a million.
    """
    found: dict[tuple[Route, Lane], int] = {
        (route, lane): 0 for route in get_args(Route) for lane in Lane
    }
    for route, lane, count in connection.execute(_LATER, {"now": now}):
        found[route, Lane(lane)] = int(count)
    return found


def held(connection: Connection) -> int:
    """Messages set aside for an operator, found by an index of the events that said so."""
    return int(connection.execute(_HELD).scalar_one())


def revision(connection: Connection) -> str | None:
    """The schema's revision, where it is already known that there is a schema."""
    found = connection.execute(_REVISION).scalar()
    return None if found is None else str(found)


def server(connection: Connection) -> tuple[str, str]:
    """Which database this is, and its version."""
    dialect = connection.dialect
    if dialect.name == "sqlite":
        return dialect.name, sqlite3.sqlite_version
    numbers = dialect.server_version_info or ()
    return dialect.name, ".".join(map(str, numbers))


_HERE = (outbox.c.route == bindparam("route_"), outbox.c.lane == bindparam("lane_"))


def _projects() -> Select[tuple[str]]:
    """The projects of a lane, each found by one step in the index, however many rows it has."""
    first = select(func.min(outbox.c.project).label("project")).where(*_HERE)
    found = first.cte("found", recursive=True)
    after = select(func.min(outbox.c.project)).where(*_HERE, outbox.c.project > found.c.project)
    found = found.union_all(
        select(after.correlate(found).scalar_subquery()).where(found.c.project.is_not(None))
    )
    return select(found.c.project).where(found.c.project.is_not(None))


def _lane() -> Select[tuple[int, datetime]]:
    projects = _projects().subquery("projects")
    is_due = (
        *_HERE,
        outbox.c.project == projects.c.project,
        outbox.c.due_at <= bindparam("now"),
    )
    oldest = select(func.min(outbox.c.due_at)).where(*is_due)
    due = (
        select(outbox.c.due_at)
        .where(*is_due)
        # Whatever PostgreSQL believes of the projects' sizes, it does not read the table for this.
        .order_by(outbox.c.due_at)
        .limit(bindparam("most"))
        # Two levels up, which SQLAlchemy would not correlate by itself.
        .correlate(projects)
        .subquery("due")
    )
    count = select(func.count()).select_from(due)
    return select(
        func.sum(count.correlate(projects).scalar_subquery()).label("due"),
        func.min(oldest.correlate(projects).scalar_subquery()).label("oldest_due_at"),
    ).select_from(projects)


_LANE = _lane()
_LATER = (
    select(outbox.c.route, outbox.c.lane, func.count())
    .where(outbox.c.due_at > bindparam("now"))
    .group_by(outbox.c.route, outbox.c.lane)
)
_HELD_EVENTS = select(event.c.message_id).where(text("event.type = 'message.held'"))
_HELD = select(func.count()).where(
    message.c.id.in_(_HELD_EVENTS), message.c.status == Stored.HELD.value
)
_REVISION = text("SELECT version_num FROM alembic_version")


def _depth(connection: Connection, route: Route, lane: Lane, now: datetime) -> Depth:
    parameters = {"route_": route, "lane_": int(lane), "now": now, "most": MOST}
    row = connection.execute(_LANE, parameters).one()
    oldest_age_s = (now - row.oldest_due_at).total_seconds() if row.due else 0.0
    return Depth(route, lane, int(row.due or 0), oldest_age_s)
