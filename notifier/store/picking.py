"""The rows that a claim takes: looked up by their place in the line, read, and leased."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    Connection,
    Integer,
    SmallInteger,
    String,
    bindparam,
    case,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY

from notifier.core.message import Lane
from notifier.core.route import Route
from notifier.store.schema import content, message, outbox
from notifier.store.types import Json

# The first `share` due rows of each project whose turn it is. On PostgreSQL each project's scan
# locks its rows and steps over those that others hold. SQLite has no LATERAL; there the rows of a
# project's list are found by their rowids.
_PICKS: Final = {
    "postgresql": text("""
        SELECT due.* FROM unnest(:projects) AS turn(project), LATERAL (
            SELECT id, project, due_at, expires_at, claims, attempt, orphaned, standstill_us,
                owner IS NOT NULL AS left_behind
            FROM outbox WHERE route = :route_ AND lane = :lane_ AND project = turn.project
            AND due_at <= :now ORDER BY due_at LIMIT :share FOR UPDATE SKIP LOCKED
        ) AS due
    """).bindparams(bindparam("projects", type_=ARRAY(String))),
    "sqlite": text("""
        WITH turn AS (SELECT value AS project FROM json_each(:projects))
        SELECT id, outbox.project, due_at, expires_at, claims, attempt, orphaned, standstill_us,
            owner IS NOT NULL AS left_behind
        FROM turn CROSS JOIN outbox WHERE outbox.rowid IN (
            SELECT rowid FROM outbox
            WHERE route = :route_ AND lane = :lane_ AND project = turn.project
            AND due_at <= :now ORDER BY due_at LIMIT :share
        )
    """).bindparams(bindparam("projects", type_=Json)),
}
_PICK: Final = {
    dialect: pick.bindparams(
        bindparam("route_", type_=String),
        bindparam("lane_", type_=SmallInteger),
        bindparam("now", type_=outbox.c.due_at.type),
        bindparam("share", type_=Integer),
    ).columns(
        outbox.c.id,
        outbox.c.project,
        outbox.c.due_at,
        outbox.c.expires_at,
        outbox.c.claims,
        outbox.c.attempt,
        outbox.c.orphaned,
        outbox.c.standstill_us,
    )
    for dialect, pick in _PICKS.items()
}
_THESE = (
    select(
        outbox.c.id,
        outbox.c.lane,
        outbox.c.project,
        outbox.c.due_at,
        outbox.c.expires_at,
        outbox.c.claims,
        outbox.c.attempt,
        outbox.c.orphaned,
        outbox.c.standstill_us,
        outbox.c.owner.is_not(None).label("left_behind"),
    )
    .where(outbox.c.id.in_(bindparam("ids", expanding=True)), outbox.c.due_at <= bindparam("now"))
    .order_by(outbox.c.due_at, outbox.c.id)
    .with_for_update(skip_locked=True)
)
_MAILS = (
    select(
        message.c.id,
        message.c.notification_id,
        message.c.mail_from,
        message.c.rcpt_to,
        message.c.smtputf8,
        message.c.message_id,
        message.c.content_id,
        content.c.sealed,
        content.c.size_bytes,
    )
    .select_from(message.join(content, content.c.id == message.c.content_id))
    .where(message.c.id.in_(bindparam("ids", expanding=True)))
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


def pick(
    connection: Connection,
    place: tuple[Route, Lane],
    turn: Sequence[str],
    now: datetime,
    share: int,
) -> Mapping[str, Sequence[Any]]:
    """The first `share` due rows of each of these projects; those of a project in due order."""
    route, lane = place
    parameters = {
        "route_": route,
        "lane_": int(lane),
        "now": now,
        "share": share,
        "projects": turn,
    }
    found: dict[str, list[Any]] = {project: [] for project in turn}
    for row in connection.execute(_PICK[connection.dialect.name], parameters):
        found[row.project].append(row)
    for rows in found.values():
        rows.sort(key=lambda row: (row.due_at, row.id))
    return found


def pick_these(connection: Connection, ids: Sequence[str], now: datetime) -> Sequence[Any]:
    """Those of these rows that are due, with their lanes."""
    return connection.execute(_THESE, {"ids": [*ids], "now": now}).all()


def mails_of(connection: Connection, rows: Sequence[Any]) -> Mapping[str, Any]:
    """Envelope, size and all the rest but the body, by the ids of picked rows."""
    ids = [row.id for row in rows]
    return {mail.id: mail for mail in connection.execute(_MAILS, {"ids": ids})}


def bodies_of(connection: Connection, content_ids: Collection[str]) -> Mapping[str, bytes | None]:
    """Stored bodies; None where they were erased."""
    found = connection.execute(_BODIES, {"ids": [*content_ids]})
    return {row.id: row.body for row in found}


def take(connection: Connection, ids: Sequence[str], owner: str, until: datetime) -> None:
    """Lease these rows, which were picked in this transaction."""
    connection.execute(_TAKE, {"ids": ids, "owner_": owner, "until": until})
