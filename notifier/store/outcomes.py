"""What came of a claim: the message goes back into the queue, or leaves it for good."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, delete, exists, select, update

from notifier.core.message import FINAL, Status, Step, Stored, after
from notifier.store.events import Event, is_written, put_events
from notifier.store.outbox import Claim
from notifier.store.schema import content, message, outbox
from notifier.store.write_queue import Write


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a claim.

    `step` None puts the message back until `due_at`; else it leaves the outbox by that step.
    `attempt` is the new count. `events` are written even if the lease was lost meanwhile.
    `sealed`: the mail may hold a secret, which is erased once nobody needs it any more.
    """

    claim: Claim
    at: datetime
    step: Step | None
    due_at: datetime | None
    attempt: int
    events: tuple[Event, ...]
    relay: str | None = None
    queue_id: str | None = None
    sealed: bool = True


def _record(connection: Connection, items: Sequence[Outcome]) -> Sequence[bool]:
    held = _fences(connection, items)
    holds = [held.get(item.claim.id) == (item.claim.owner, item.claim.claims) for item in items]
    results = [
        one or _was_recorded(connection, item) for one, item in zip(holds, items, strict=True)
    ]
    standing = [item for one, item in zip(holds, items, strict=True) if one]
    _put_back(connection, [item for item in standing if item.step is None])
    _finish(connection, [item for item in standing if item.step is not None])
    put_events(connection, [event for item in items for event in item.events])
    return results


RECORD: Write[Outcome, bool] = Write("record", 20, _record, key=lambda item: item.claim.id)
"""False: the lease was lost meanwhile, and the message's state is somebody else's by now."""


_FENCES = (
    select(outbox.c.id, outbox.c.owner, outbox.c.claims)
    .where(outbox.c.id.in_(bindparam("ids", expanding=True)))
    .order_by(outbox.c.id)
    .with_for_update()
)
_BACK = (
    update(outbox)
    .where(outbox.c.id == bindparam("id_"))
    .values(owner=None, orphaned=0, due_at=bindparam("due"), attempt=bindparam("attempt_"))
)
_FINAL = (
    update(message)
    .where(message.c.id == bindparam("id_"))
    .values(
        status=bindparam("status_"),
        attempts=bindparam("attempt_"),
        relay=bindparam("relay_"),
        queue_id=bindparam("queue"),
        sent_at=bindparam("sent"),
        final_at=bindparam("final"),
    )
)
_GONE = delete(outbox).where(outbox.c.id == bindparam("id_"))
# Locked before it is asked who else needs it: two writers that finish the last two messages of
# one content would otherwise each see the other's as pending, and nobody would erase it.
_SEALED = (
    select(content.c.id)
    .where(
        content.c.sealed,
        content.c.body.is_not(None),
        content.c.id.in_(
            select(message.c.content_id).where(message.c.id.in_(bindparam("ids", expanding=True)))
        ),
    )
    .order_by(content.c.id)
    .with_for_update()
)
_ERASE = (
    update(content)
    .where(
        content.c.id.in_(bindparam("contents", expanding=True)),
        ~exists().where(message.c.content_id == content.c.id, message.c.status.in_([*Stored])),
    )
    .values(body=None, erased_at=bindparam("at"))
)


def _fences(connection: Connection, items: Sequence[Outcome]) -> dict[str, tuple[str, int]]:
    ids = [item.claim.id for item in items]
    return {row.id: (row.owner, row.claims) for row in connection.execute(_FENCES, {"ids": ids})}


def _was_recorded(connection: Connection, item: Outcome) -> bool:
    """By this very call, if it is repeated because nobody knew what became of its commit."""
    return any(is_written(connection, event.id) for event in item.events)


def _put_back(connection: Connection, items: Sequence[Outcome]) -> None:
    if items:
        connection.execute(
            _BACK,
            [
                {"id_": item.claim.id, "due": item.due_at, "attempt_": item.attempt}
                for item in items
            ],
        )


def _finish(connection: Connection, items: Sequence[Outcome]) -> None:
    if not items:
        return
    connection.execute(
        _FINAL, [_final_values(item, item.step) for item in items if item.step is not None]
    )
    connection.execute(_GONE, [{"id_": item.claim.id} for item in items])
    sealed = [item.claim.id for item in items if item.sealed]
    if sealed:
        erase_spent_secrets(connection, sealed, max(item.at for item in items))


def erase_spent_secrets(connection: Connection, ids: Sequence[str], at: datetime) -> None:
    """Erase what these messages, which have just become final, were the last to need, where it
    holds a secret.
    """
    sealed = connection.execute(_SEALED, {"ids": ids}).scalars().all()
    if sealed:
        connection.execute(_ERASE, {"contents": sealed, "at": at})


def _final_values(item: Outcome, step: Step) -> dict[str, Any]:
    status = after(Stored.PENDING, step)
    return {
        "id_": item.claim.id,
        "status_": status.value,
        "attempt_": item.attempt,
        "relay_": item.relay,
        "queue": item.queue_id,
        "sent": item.at if status in {Status.SENT, Status.CAPTURED} else None,
        "final": item.at if status in FINAL else None,
    }
