"""How much waits and since when, and what became of the rest."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, func, select

from notifier.core.ids import floor_of
from notifier.core.message import Lane, Status, Stored
from notifier.core.route import Route
from notifier.store.schema import message, outbox, tally
from notifier.store.selection import status_at


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits in one lane, by the status that a caller sees.

    `oldest_due_at` is since when the one that has waited longest could have been sent.
    """

    route: Route
    lane: Lane
    queued: int = 0
    sending: int = 0
    scheduled: int = 0
    deferred: int = 0
    oldest_due_at: datetime | None = None

    @property
    def total(self) -> int:
        """All that are still to be sent."""
        return self.queued + self.sending + self.scheduled + self.deferred


@dataclass(frozen=True, slots=True)
class Ended:
    """Messages by final status.

    `lately` counts those kept that were accepted since `since`; `forgotten` those that retention
    has deleted, from the beginning.
    """

    since: datetime
    lately: Mapping[Status, int]
    forgotten: Mapping[Status, int]


def waiting(connection: Connection, now: datetime) -> Sequence[Waiting]:
    """Every lane in which something waits. Reads the whole outbox once, and nothing else."""
    status = status_at(now)
    rows = connection.execute(
        select(
            outbox.c.route,
            outbox.c.lane,
            status.label("status"),
            func.count().label("messages"),
            func.min(outbox.c.due_at).label("oldest"),
        )
        .group_by(outbox.c.route, outbox.c.lane, status)
        .order_by(outbox.c.route, outbox.c.lane)
    )
    found: dict[tuple[Route, Lane], dict[str, Any]] = {}
    for row in rows:
        lane = found.setdefault((row.route, Lane(row.lane)), {})
        lane[row.status] = row.messages
        if row.status == Status.QUEUED:
            lane["oldest_due_at"] = row.oldest
    return [Waiting(route, lane, **counts) for (route, lane), counts in found.items()]


def ended(connection: Connection, now: datetime, span: timedelta) -> Ended:
    """What became of the messages accepted in the last `span`. Ids begin with their time."""
    since = now - span
    lately = connection.execute(
        select(message.c.status, func.count())
        .where(message.c.id >= floor_of("msg", since))
        .group_by(message.c.status)
    ).all()
    forgotten = connection.execute(
        select(tally.c.status, func.sum(tally.c.messages)).group_by(tally.c.status)
    ).all()
    return Ended(since, _by_status(lately), _by_status(forgotten))


def _by_status(rows: Sequence[Any]) -> Mapping[Status, int]:
    found = {row[0]: int(row[1]) for row in rows if row[0] not in {*Stored}}
    return {status: found[status] for status in Status if status in found}
