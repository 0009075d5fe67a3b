"""The line before a route: which projects have mail waiting, and whose turn it is."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import BigInteger, Connection, SmallInteger, String, bindparam, text

from notifier.core.message import Lane
from notifier.core.route import Route
from notifier.store.schema import outbox

_REUSED: Final = 10
"""A look at the line is used again for so many times as long as it took: with a thousand
projects it takes some milliseconds, and a claimer that is busy claims hundreds of times a second.
"""

_Due = outbox.c.due_at.type

# A loose scan of the index (route, lane, project, due_at): two descents for each project that
# has anything in a lane, however many rows those are. `''` comes before every project.
_FIRSTS: Final = """
    WITH RECURSIVE line(lane, project) AS (
        SELECT 0, CAST('' AS TEXT) UNION ALL SELECT 1, '' UNION ALL SELECT 2, ''
        UNION ALL
        SELECT lane, (
            SELECT project FROM outbox
            WHERE route = :route_ AND lane = line.lane AND project > line.project
            ORDER BY project LIMIT 1
        ) FROM line WHERE project IS NOT NULL AND lane <= :last_lane
    ), firsts AS (
        SELECT lane, project, (
            SELECT min(due_at) FROM outbox
            WHERE route = :route_ AND lane = line.lane AND project = line.project
        ) AS due_at
        FROM line WHERE project <> ''
    )
"""
_ROUTE: Final = bindparam("route_", type_=String)
_LAST_LANE: Final = bindparam("last_lane", type_=SmallInteger)
_PLACES = (
    text(
        _FIRSTS  # noqa: S608 - a constant of this module
        + """
        SELECT lane, project, due_at, (
            SELECT total_us FROM standstill WHERE route = :route_
        ) AS standstill_us
        FROM firsts WHERE due_at <= :until
        """
    )
    .bindparams(_ROUTE, _LAST_LANE, bindparam("until", type_=_Due))
    .columns(lane=SmallInteger, project=String, due_at=_Due, standstill_us=BigInteger)
)
_NEXT = (
    text(_FIRSTS + "SELECT min(due_at) AS due_at FROM firsts")  # noqa: S608 - as above
    .bindparams(_ROUTE, _LAST_LANE)
    .columns(due_at=_Due)
)


@dataclass(frozen=True, slots=True)
class Place:
    """A project's place in a lane. `due_at` is when the first of its messages there is due, or
    the end of its lease.
    """

    lane: Lane
    project: str
    due_at: datetime


class Turns:
    """What one claimer knows of a route's line. Used by one claim at a time.

    `standstill_us` is for how long the default lives of the route's mail have stood still.
    """

    def __init__(self) -> None:
        self.standstill_us = 0
        self._places: tuple[Place, ...] = ()
        self._last: dict[Lane, str] = {}
        self._good_until = 0.0

    def look(self, connection: Connection, route: Route, now: datetime) -> bool:
        """Look who has something due, unless a look is fresh enough. Whether it was new.

        The urgent lane is looked at each time.
        """
        began = time.monotonic()
        if began < self._good_until:
            urgent = self._look(connection, route, Lane.URGENT, now)
            rest = (place for place in self._places if place.lane is not Lane.URGENT)
            self._places = (*urgent, *rest)
            return False
        self._places = self._look(connection, route, Lane.BULK, now)
        ended = time.monotonic()
        self._good_until = ended + _REUSED * (ended - began)
        return True

    def _look(
        self, connection: Connection, route: Route, last_lane: Lane, now: datetime
    ) -> tuple[Place, ...]:
        places, total_us = _places(connection, route, last_lane, now)
        if places:
            # Who found nobody has not learnt it; mail of an earlier look may still want to know.
            self.standstill_us = total_us
        return places

    def forget(self) -> None:
        """Look again next time."""
        self._good_until = 0.0

    def due(self, lane: Lane, now: datetime) -> list[str]:
        """The lane's projects with due messages, beginning behind the one served last."""
        last = self._last.get(lane, "")
        due = sorted(
            place.project for place in self._places if place.lane is lane and place.due_at <= now
        )
        return [one for one in due if one > last] + [one for one in due if one <= last]

    def served(self, lane: Lane, project: str) -> None:
        """The next turn in this lane is somebody else's."""
        self._last[lane] = project


def _places(
    connection: Connection, route: Route, last_lane: Lane, until: datetime
) -> tuple[tuple[Place, ...], int]:
    parameters = {"route_": route, "last_lane": int(last_lane), "until": until}
    rows = connection.execute(_PLACES, parameters).all()
    places = tuple(Place(Lane(row.lane), row.project, row.due_at) for row in rows)
    return places, (rows[0].standstill_us or 0) if rows else 0


def waiting(connection: Connection, route: Route, until: datetime) -> Sequence[Place]:
    """Who has something in the line of a route that is due, or whose lease ends, by `until`."""
    return _places(connection, route, Lane.BULK, until)[0]


def next_due(connection: Connection, route: Route) -> datetime | None:
    """When the next message of this route is due, or its lease runs out; None: none waits."""
    parameters = {"route_": route, "last_lane": int(Lane.BULK)}
    found: datetime | None = connection.execute(_NEXT, parameters).scalar()
    return found
