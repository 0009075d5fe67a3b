"""For how long every relay of a route has been paused: default lives stand still meanwhile."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, cast

from sqlalchemy import BigInteger, Connection, and_, case, select, type_coerce
from sqlalchemy.dialects.postgresql import insert

from notifier.core.route import Route
from notifier.store.schema import standstill
from notifier.store.write_queue import Write

LONGEST_GAP: Final = timedelta(seconds=30)
"""Between two sayings that are further apart somebody may have sent: that time is not added."""

_MICROSECOND: Final = timedelta(microseconds=1)


def _say(connection: Connection, items: Sequence[tuple[Route, datetime]]) -> Sequence[None]:
    for route, now in items:
        connection.execute(_SAY, {"route": route, "seen_at": now, "total_us": 0})
    return [None for _ in items]


SAY_PAUSED: Write[tuple[Route, datetime], None] = Write(
    "say_paused", 55, _say, key=lambda item: item[0]
)
"""Every relay of this route is paused now. Said every few seconds by any number of processes."""

_NEW = insert(standstill)
_SEEN_US = type_coerce(standstill.c.seen_at, BigInteger)
_GAP_US = type_coerce(_NEW.excluded.seen_at, BigInteger) - _SEEN_US
_COUNTS = and_(_GAP_US > 0, _GAP_US < LONGEST_GAP // _MICROSECOND)
_SAY = _NEW.on_conflict_do_update(
    index_elements=[standstill.c.route],
    set_={
        "total_us": standstill.c.total_us + case((_COUNTS, _GAP_US), else_=0),
        # Clocks differ a little: what one process has added, another one's does not add again.
        "seen_at": case((_GAP_US > 0, _NEW.excluded.seen_at), else_=standstill.c.seen_at),
    },
)


def totals(connection: Connection) -> Mapping[Route, int]:
    """Microseconds of standstill by route; a route whose relays were never paused is left out."""
    rows = connection.execute(select(standstill.c.route, standstill.c.total_us))
    return {cast("Route", row.route): row.total_us for row in rows}
