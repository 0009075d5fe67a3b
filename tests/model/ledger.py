"""What the store says, read in one transaction."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, select

from notifier.store.engine import Database, writing
from notifier.store.schema import (
    content,
    event,
    idempotency,
    message,
    metadata,
    notification,
    outbox,
    tally,
)


@dataclass(frozen=True, slots=True)
class Ledger:
    """Rows by the message's id. `flags`: how often its story calls it doubtful."""

    messages: dict[str, Any]
    queue: dict[str, Any]
    erased: dict[str, bool]
    flags: Counter[str]
    tally: Counter[str]
    keys: dict[str, Any]
    notifications: set[str]
    event_ids: list[str]

    def due(self, now: datetime) -> list[Any]:
        return [row for row in self.queue.values() if row.due_at <= now]


def read_ledger(connection: Connection) -> Ledger:
    """All of it: a model's store is small."""
    messages = {row.id: row for row in connection.execute(select(message))}
    bodies = {
        row.id: row.body is None for row in connection.execute(select(content.c.id, content.c.body))
    }
    story = list(connection.execute(select(event.c.id, event.c.message_id, event.c.data)))
    flags, gone = Counter[str](), Counter[str]()
    for row in story:
        if row.message_id and row.data.get("ambiguous"):
            flags[row.message_id] += row.data.get("times", 1)
    for row in connection.execute(select(tally)):
        gone[row.status] += row.messages
    return Ledger(
        messages=messages,
        queue={row.id: row for row in connection.execute(select(outbox))},
        erased={row.id: bodies[row.content_id] for row in messages.values()},
        flags=flags,
        tally=gone,
        keys={row.key: row for row in connection.execute(select(idempotency))},
        notifications=set(connection.execute(select(notification.c.id)).scalars()),
        event_ids=[row.id for row in story],
    )


def wipe(database: Database) -> None:
    """No rows any more: cheaper than a new database for every example."""
    with writing(database) as connection:
        for table in metadata.tables.values():
            connection.execute(delete(table))
