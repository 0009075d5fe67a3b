"""Messages whose life has ended while they waited, found without claiming the others."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import BigInteger, Connection, bindparam, func, select, type_coerce

from notifier.core.route import Route
from notifier.store.schema import outbox
from notifier.store.standstill import totals
from notifier.store.turns import Place, waiting
from notifier.store.types import EPOCH

_MICROSECOND: Final = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Over:
    """`ids` of messages that are due and whose life is over; `next_at` is when the next one's of
    those that are due will be, None if there are no more or `ids` are as many as were wanted.
    """

    ids: tuple[str, ...]
    next_at: datetime | None


# A life that was not asked for has stood still for as long as was added since its acceptance.
_END_US = type_coerce(outbox.c.expires_at, BigInteger) + func.coalesce(
    bindparam("total", type_=BigInteger) - outbox.c.standstill_us, 0
)
_DUE = (
    outbox.c.route == bindparam("route_"),
    outbox.c.lane == bindparam("lane_"),
    outbox.c.project == bindparam("project_"),
    outbox.c.due_at <= bindparam("now"),
)
_OVER = select(outbox.c.id).where(*_DUE, bindparam("now_us") >= _END_US).limit(bindparam("most"))
_NEXT = select(func.min(_END_US)).where(*_DUE, bindparam("now_us") < _END_US)


def over(connection: Connection, route: Route, now: datetime, most: int) -> Over:
    """At most `most` messages whose life is over. Reads every due message of the route."""
    ids: list[str] = []
    ends: list[int] = []
    total = totals(connection).get(route, 0)
    for place in waiting(connection, route, now):
        parameters = _parameters(route, place, now, total)
        left = most - len(ids)
        ids += connection.execute(_OVER, {**parameters, "most": left}).scalars()
        if len(ids) == most:
            return Over(tuple(ids), None)
        end = connection.execute(_NEXT, parameters).scalar()
        ends += [] if end is None else [end]
    return Over(tuple(ids), EPOCH + min(ends) * _MICROSECOND if ends else None)


def _parameters(route: Route, place: Place, now: datetime, total: int) -> dict[str, Any]:
    return {
        "route_": route,
        "lane_": int(place.lane),
        "project_": place.project,
        "now": now,
        "now_us": (now - EPOCH) // _MICROSECOND,
        "total": total,
    }
