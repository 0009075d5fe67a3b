"""Many rows at once, by SQL: what would take minutes one by one."""

from sqlalchemy import text

from notifier.core.message import Lane
from notifier.store.engine import writing
from notifier.store.types import EPOCH
from tests.store.world import World

NUMBERS = {
    "sqlite": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :many) ",
    "postgresql": "WITH n(i) AS (SELECT generate_series(1, :many)) ",
}
_ROWS = {
    "outbox": (
        "id, route, lane, project, due_at, expires_at, claims, attempt, orphaned",
        ":project || '_' || i, 'live', :lane, :project, :now - 1, :now + 86400000000, 0, 0, 0",
    ),
    "message": (
        (
            "id, project, notification_id, position, content_id, mail_from, rcpt_to, smtputf8, "
            "message_id, status, attempts, created_at"
        ),
        (
            ":project || '_' || i, :project, 'ntf_' || i, 0, :content, 'a@example.org', "
            "'b@example.org', false, '<x@y>', 'pending', 0, :now"
        ),
    ),
}


def due_bulk(world: World, project: str, many: int, lane: Lane = Lane.TRANSACTIONAL) -> None:
    """So many messages of a project that are due, all with one content."""
    database = world.store.database
    values = {
        "many": many,
        "project": project,
        "lane": int(lane),
        "now": int((world.now - EPOCH).total_seconds() * 1_000_000),
        "content": f"cnt_{project}",
    }
    body = b"Subject: bulk\r\n\r\nhello\r\n"
    with writing(database) as connection:
        connection.execute(
            text(
                "INSERT INTO content (id, project, body, sealed, size_bytes, created_at) "
                "VALUES (:content, :project, :body, false, :size, :now)"
            ),
            {**values, "body": body, "size": len(body)},
        )
        for table, (columns, row) in _ROWS.items():
            numbers = NUMBERS[connection.dialect.name]
            insert = text(f"INSERT INTO {table} ({columns}) {numbers} SELECT {row} FROM n")
            used = {name: one for name, one in values.items() if f":{name}" in str(insert)}
            connection.execute(insert, used)
