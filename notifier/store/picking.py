"""The rows that a claim takes: looked up by their place in the line, read, and leased."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from typing import Final, NamedTuple

from sqlalchemy import (
    BigInteger,
    Boolean,
    Connection,
    Integer,
    SmallInteger,
    String,
    bindparam,
    case,
    column,
    null,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY

from notifier.core.message import Lane
from notifier.core.route import Route
from notifier.store.schema import content, message, outbox
from notifier.store.types import Json


@dataclass(frozen=True, slots=True)
class Turn:
    """The first `share` messages of each of `projects` that are due at `now`. Bodies of at most
    `body_bytes` are read at once, larger ones by `bodies_of`.
    """

    route: Route
    lane: Lane
    projects: Sequence[str]
    now: datetime
    share: int
    body_bytes: int


class Picked(NamedTuple):
    """A due row of the outbox and what else sending its mail needs; a tuple, since this is made
    for each mail of each claim. `body` is None also where it was not read.
    """

    id: str
    project: str
    due_at: datetime
    expires_at: datetime
    claims: int
    attempt: int
    orphaned: int
    standstill_us: int | None
    left_behind: bool
    notification_id: str
    mail_from: str
    rcpt_to: str
    smtputf8: bool
    message_id: str
    content_id: str
    sealed: bool
    size_bytes: int
    body: bytes | None


# On PostgreSQL each project's scan locks its rows and steps over those that others hold. OFFSET 0
# keeps the planner from reading the whole of `message` for rows that it takes to be many. SQLite
# has no LATERAL; there a project's rows are found by the list of their rowids, and CROSS JOIN
# means: in this order.
_PICKS: Final = {
    "postgresql": text("""
        SELECT due.*, mail.* FROM unnest(:projects) AS turn(project), LATERAL (
            SELECT id, project, due_at, expires_at, claims, attempt, orphaned, standstill_us,
                owner IS NOT NULL AS left_behind
            FROM outbox WHERE route = :route_ AND lane = :lane_ AND project = turn.project
            AND due_at <= :now ORDER BY due_at LIMIT :share FOR UPDATE SKIP LOCKED
        ) AS due, LATERAL (
            SELECT m.notification_id, m.mail_from, m.rcpt_to, m.smtputf8, m.message_id,
                m.content_id, c.sealed, c.size_bytes,
                CASE WHEN c.size_bytes <= :body_bytes THEN c.body END AS body
            FROM message AS m JOIN content AS c ON c.id = m.content_id
            WHERE m.id = due.id OFFSET 0
        ) AS mail
    """).bindparams(bindparam("projects", type_=ARRAY(String))),
    "sqlite": text("""
        WITH turn AS (SELECT value AS project FROM json_each(:projects))
        SELECT o.id, o.project, o.due_at, o.expires_at, o.claims, o.attempt, o.orphaned,
            o.standstill_us, o.owner IS NOT NULL AS left_behind,
            m.notification_id, m.mail_from, m.rcpt_to, m.smtputf8, m.message_id, m.content_id,
            c.sealed, c.size_bytes, CASE WHEN c.size_bytes <= :body_bytes THEN c.body END AS body
        FROM turn
        CROSS JOIN outbox AS o ON o.rowid IN (
            SELECT rowid FROM outbox
            WHERE route = :route_ AND lane = :lane_ AND project = turn.project
            AND due_at <= :now ORDER BY due_at LIMIT :share
        )
        CROSS JOIN message AS m ON m.id = o.id
        CROSS JOIN content AS c ON c.id = m.content_id
    """).bindparams(bindparam("projects", type_=Json)),
}
_MAIL: Final = (
    message.c.notification_id,
    message.c.mail_from,
    message.c.rcpt_to,
    message.c.smtputf8,
    message.c.message_id,
    message.c.content_id,
    content.c.sealed,
    content.c.size_bytes,
)
_ROW: Final = (
    outbox.c.id,
    outbox.c.project,
    outbox.c.due_at,
    outbox.c.expires_at,
    outbox.c.claims,
    outbox.c.attempt,
    outbox.c.orphaned,
    outbox.c.standstill_us,
)
_PICK: Final = {
    dialect: pick.bindparams(
        bindparam("route_", type_=String),
        bindparam("lane_", type_=SmallInteger),
        bindparam("now", type_=outbox.c.due_at.type),
        bindparam("share", type_=Integer),
        bindparam("body_bytes", type_=BigInteger),
    ).columns(*_ROW, column("left_behind", Boolean), *_MAIL, content.c.body)
    for dialect, pick in _PICKS.items()
}
_THESE = (
    select(
        outbox.c.lane,
        *_ROW,
        outbox.c.owner.is_not(None).label("left_behind"),
        *_MAIL,
        null().label("body"),
    )
    .select_from(
        outbox.join(message, message.c.id == outbox.c.id).join(
            content, content.c.id == message.c.content_id
        )
    )
    .where(outbox.c.id.in_(bindparam("ids", expanding=True)), outbox.c.due_at <= bindparam("now"))
    .order_by(outbox.c.due_at, outbox.c.id)
    .with_for_update(of=outbox, skip_locked=True)
)
_BODIES = select(content.c.id, content.c.body).where(
    content.c.id.in_(bindparam("ids", expanding=True))
)
_TAKE = (
    update(outbox)
    .where(outbox.c.id.in_(bindparam("ids", expanding=True)))
    .values(
        owner=bindparam("owner_"),
        due_at=bindparam("until"),
        claims=outbox.c.claims + 1,
        # An owner that is still set is one that left no outcome.
        orphaned=outbox.c.orphaned + case((outbox.c.owner.is_not(None), 1), else_=0),
    )
)


_DUE_ORDER: Final = attrgetter("due_at", "id")


def pick(connection: Connection, turn: Turn) -> Mapping[str, Sequence[Picked]]:
    """The rows of each project in the order in which they are due, with what else sending needs."""
    parameters = {
        "route_": turn.route,
        "lane_": int(turn.lane),
        "now": turn.now,
        "share": turn.share,
        "projects": turn.projects,
        "body_bytes": turn.body_bytes,
    }
    found: dict[str, list[Picked]] = {project: [] for project in turn.projects}
    for row in map(Picked._make, connection.execute(_PICK[connection.dialect.name], parameters)):
        found[row.project].append(row)
    for rows in found.values():
        rows.sort(key=_DUE_ORDER)
    return found


def pick_these(
    connection: Connection, ids: Sequence[str], now: datetime
) -> Sequence[tuple[Lane, Picked]]:
    """Those of these messages that are due, with their lanes and without their bodies."""
    rows = connection.execute(_THESE, {"ids": [*ids], "now": now})
    return [(Lane(lane), Picked._make(rest)) for lane, *rest in rows]


def bodies_of(connection: Connection, content_ids: Collection[str]) -> Mapping[str, bytes | None]:
    """Stored bodies by their contents' ids; None where they were erased."""
    if not content_ids:
        return {}
    found = connection.execute(_BODIES, {"ids": [*content_ids]})
    return {row.id: row.body for row in found}


def take(connection: Connection, ids: Sequence[str], owner: str, until: datetime) -> None:
    """Lease these rows, which were picked in this transaction."""
    connection.execute(_TAKE, {"ids": ids, "owner_": owner, "until": until})
