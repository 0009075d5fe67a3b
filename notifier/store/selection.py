"""Finding the messages that a person means: by status, time, project, relay and domain."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, case, func, literal, or_, select

from notifier.core.message import FINAL, Status, Stored
from notifier.store.schema import message, outbox


@dataclass(frozen=True, slots=True)
class Selection:
    """Messages that had one of `statuses` at `at`.

    `since` and `until` are about when they ended, or when they were accepted if they have not.
    `relay` is the one that had the last word; it is known of ended messages only.
    """

    statuses: frozenset[Status]
    at: datetime
    since: datetime | None = None
    until: datetime | None = None
    project: str | None = None
    relay: str | None = None
    to_domain: str | None = None


@dataclass(frozen=True, slots=True)
class Selected:
    """How many there are by status, and between which times they were accepted."""

    counts: Mapping[Status, int]
    oldest_at: datetime | None
    newest_at: datetime | None

    @property
    def total(self) -> int:
        """All of them."""
        return sum(self.counts.values())


_PENDING = frozenset({Status.SCHEDULED, Status.QUEUED, Status.SENDING, Status.DEFERRED})


def count_selected(connection: Connection, selection: Selection) -> Selected:
    """How many a selection has."""
    rows = [
        row
        for status, matching in _queries(selection)
        for row in connection.execute(
            matching.with_only_columns(
                status.label("status"),
                func.count().label("messages"),
                func.min(message.c.created_at).label("oldest"),
                func.max(message.c.created_at).label("newest"),
            ).group_by(status)
        )
    ]
    counts = {Status(row.status): row.messages for row in rows}
    return Selected(
        {status: counts[status] for status in Status if status in counts},
        min((row.oldest for row in rows), default=None),
        max((row.newest for row in rows), default=None),
    )


def ids_selected(
    connection: Connection, selection: Selection, *, after: str, most: int
) -> Sequence[str]:
    """The next ids of a selection behind `after`, in their order, which is that of their age."""
    found: list[str] = []
    for _, matching in _queries(selection):
        query = matching.where(message.c.id > after).order_by(message.c.id).limit(most)
        found += connection.execute(query).scalars()
    return sorted(found)[:most]


def ids_named(connection: Connection, names: Sequence[str]) -> Mapping[str, Sequence[str]]:
    """For each id of a message or a notification the messages that it stands for."""
    found: dict[str, list[str]] = {name: [] for name in names}
    query = (
        select(message.c.id, message.c.notification_id)
        .where(or_(message.c.id.in_(names), message.c.notification_id.in_(names)))
        .order_by(message.c.id)
    )
    for row in connection.execute(query):
        for name in {row.id, row.notification_id} & found.keys():
            found[name].append(row.id)
    return found


def status_at(now: datetime) -> ColumnElement[str]:
    """The status of an outbox row as a caller sees it at `now`: `pending_status` in SQL."""
    return case(
        (and_(outbox.c.owner.is_not(None), outbox.c.due_at > now), literal(Status.SENDING.value)),
        (outbox.c.due_at <= now, literal(Status.QUEUED.value)),
        (outbox.c.claims > 0, literal(Status.DEFERRED.value)),
        else_=literal(Status.SCHEDULED.value),
    )


def _queries(selection: Selection) -> Iterator[tuple[ColumnElement[Any], Select[Any]]]:
    """Waiting messages are few and found from the outbox; the others are looked for in all."""
    wanted = {status.value for status in selection.statuses & _PENDING}
    if wanted:
        status = status_at(selection.at)
        waiting = select(message.c.id).join_from(outbox, message, message.c.id == outbox.c.id)
        yield status, waiting.where(status.in_(wanted), *_limits(selection, message.c.created_at))
    held = {Stored.HELD.value} if Status.HELD in selection.statuses else set()
    for stored, time in (
        (held, message.c.created_at),
        ({status.value for status in selection.statuses & FINAL}, message.c.final_at),
    ):
        if stored:
            matching = select(message.c.id).where(message.c.status.in_(sorted(stored)))
            yield message.c.status, matching.where(*_limits(selection, time))


def _limits(selection: Selection, time: ColumnElement[datetime]) -> Iterator[ColumnElement[bool]]:
    if selection.since is not None:
        yield time >= selection.since
    if selection.until is not None:
        yield time < selection.until
    if selection.project is not None:
        yield message.c.project == selection.project
    if selection.relay is not None:
        yield message.c.relay == selection.relay
    if selection.to_domain is not None:
        yield message.c.rcpt_to.endswith(f"@{selection.to_domain}", autoescape=True)
