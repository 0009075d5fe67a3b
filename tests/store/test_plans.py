"""Query plans beside 200,000 finished and 200,000 scheduled messages: index ranges, no scans."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event, text

from notifier.core.room import Room
from notifier.store.claiming import CLAIM, ClaimRequest
from notifier.store.engine import writing
from notifier.store.events import Cursor, StoryPart, feed, feed_end, story
from notifier.store.outbox import FREE
from notifier.store.outcomes import erase_spent_secrets
from notifier.store.retention import ERASE_BYTES, Sweep
from notifier.store.turns import next_due
from tests.store.bulk import NUMBERS
from tests.store.conftest import Opener
from tests.store.world import MANY_BYTES, World

pytestmark = pytest.mark.anyio

MANY = 200_000

_FILL = {
    "message": (
        (
            "id, project, notification_id, position, content_id, mail_from, rcpt_to, smtputf8, "
            "message_id, status, attempts, created_at"
        ),
        (
            "'fin_' || i, 'default', 'ntf_' || i, 0, 'cnt_' || i, 'a@x', 'b@x', false, '<x>', "
            "'sent', 1, 0"
        ),
    ),
    "outbox": (
        "id, route, lane, project, due_at, expires_at, claims, attempt, orphaned",
        "'sch_' || i, 'live', 1, 'p' || i % 1000, :later + i, :later * 2, 0, 0, 0",
    ),
    "event": (
        "id, project, notification_id, type, at, data",
        "'evt_' || i, 'default', 'ntf_' || i, 'message.attempted', 0, '{}'",
    ),
}


@pytest.fixture
def crowded(open_world: Opener) -> World:
    """A store full of what a claim must not look at, with statistics gathered."""
    world = open_world()
    engine = world.store.database.engine
    later = int((world.now + timedelta(days=1)).timestamp()) * 1_000_000
    numbers = NUMBERS[engine.dialect.name]
    with writing(world.store.database) as connection:
        for table, (columns, values) in _FILL.items():
            row_values = values.replace(":later", str(later))
            row = f"INSERT INTO {table} ({columns}) {numbers} SELECT {row_values} FROM n"
            connection.execute(text(row), {"many": MANY})
        connection.exec_driver_sql("ANALYZE")
    return world


@contextmanager
def explained(engine: Engine) -> Iterator[list[str]]:
    """The plans of all statements that read or change rows within the block."""
    plans: list[str] = []

    def explain(_c: Any, cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if not re.match(r"\s*(SELECT|WITH|UPDATE|DELETE)\b", statement):
            return
        if engine.dialect.name == "postgresql":
            found = cursor.execute("EXPLAIN (FORMAT JSON) " + statement, parameters).fetchone()[0]
            plans.append(json.dumps(found))
        else:
            rows = cursor.execute("EXPLAIN QUERY PLAN " + statement, parameters).fetchall()
            plans.append("\n".join(row[3] for row in rows))

    event.listen(engine, "before_cursor_execute", explain)
    try:
        yield plans
    finally:
        event.remove(engine, "before_cursor_execute", explain)


def is_scan(plan: str) -> bool:
    """Whether it reads a whole crowded table (or, on SQLite, one of its indexes)."""
    scans = re.findall(r'\bSCAN (\w+)|"Seq Scan"[^}]*?"Relation Name": "(\w+)"', plan)
    return not {name for pair in scans for name in pair}.isdisjoint(_FILL)


async def test_a_claim_touches_the_due_range_of_its_index_only(crowded: World) -> None:
    await crowded.accept(crowded.acceptance())
    engine = crowded.store.database.engine
    lease, room = crowded.now + timedelta(seconds=30), Room(20, 20, MANY_BYTES)
    with explained(engine) as plans, writing(crowded.store.database) as connection:
        (claimed,) = CLAIM.run(connection, [ClaimRequest("one", "live", room, crowded.now, lease)])
    assert len(claimed.mails) == 1
    claims = [plan for plan in plans if re.search(r"ix_outbox_due.*due_at ?<", plan)]
    assert len(claims) == 1, "one for the lane that has something due"
    assert not any(map(is_scan, plans)), plans


async def test_freeing_leases_touches_the_range_in_which_they_end(crowded: World) -> None:
    await crowded.accept(crowded.acceptance())
    await crowded.claim("gone")
    engine = crowded.store.database.engine
    with explained(engine) as plans, writing(crowded.store.database) as connection:
        assert FREE.run(connection, [("gone", crowded.now)]) == [1]
    assert len(plans) > 1
    assert not any(map(is_scan, plans)), plans


async def test_who_needs_a_content_is_found_by_an_index(crowded: World) -> None:
    item = crowded.acceptance(sealed=True)
    await crowded.accept(item)
    sweep = Sweep(crowded.now + timedelta(days=1), crowded.now, 200)
    with explained(crowded.store.database.engine) as plans, writing(crowded.store.database) as one:
        erase_spent_secrets(one, [item.messages[0].id], crowded.now)
        ERASE_BYTES.run(one, [sweep])
    assert len([plan for plan in plans if "ix_message_content" in plan]) >= 2, plans
    assert not any(map(is_scan, plans)), plans


READS: list[tuple[str, Callable[[Connection], Any]]] = [
    (r"ix_outbox_due", lambda connection: next_due(connection, "live")),
    (
        r"ix_event_feed.*\(xid, ?seq\) ?>|xid=\? AND rowid>|INTEGER PRIMARY KEY \(rowid>",
        lambda connection: feed(connection, "default", Cursor(0, MANY), most=10),
    ),
    (r"ix_event_feed", lambda connection: feed_end(connection, "default")),
    (r"ix_event_notification", lambda connection: story(connection, StoryPart("default", "ntf_7"))),
]


async def test_reads_that_repeat_are_answered_by_an_index(crowded: World) -> None:
    for used, read in READS:
        with explained(crowded.store.database.engine) as plans:
            await crowded.store.read(read)
        assert plans
        assert all(re.search(used, plan) for plan in plans), plans
        assert not any(map(is_scan, plans)), plans
