"""The processes that deliver, as each last described itself: who lives, and how relays look."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from sqlalchemy import Connection, bindparam, delete, select
from sqlalchemy.dialects.postgresql import insert

from notifier.store.schema import worker
from notifier.store.write_queue import Write

REPORT_EVERY_S: Final = 10.0
"""Each process describes itself this often, and whenever a relay changes its state."""

SILENT_AFTER: Final = timedelta(seconds=60)
"""A process that was not heard of for so long is not counted on."""

_FORGOTTEN_AFTER: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class RelaySeen:
    """A relay as one process sees it.

    `state` is up, resting or paused, `reason` None while it is up. `next_probe_at` is None where
    nothing is probed; `by_operator`: it stays paused until an operator says otherwise. `routes`
    are those whose mail it is for.
    """

    name: str
    state: Literal["up", "resting", "paused"]
    reason: str | None
    since: datetime
    next_probe_at: datetime | None = None
    by_operator: bool = False
    routes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Worker:
    """A process that delivers. `busy` of its `seats` have a mail under way."""

    owner: str
    host: str
    pid: int
    role: str
    version: str
    started_at: datetime
    seen_at: datetime
    seats: int
    busy: int
    relays: tuple[RelaySeen, ...]

    @property
    def name(self) -> str:
        """What an operator finds it by."""
        return f"{self.role} {self.pid} on {self.host}"

    def is_alive(self, now: datetime) -> bool:
        """Whether it was heard of lately. One that was killed is found out a minute later."""
        return now - self.seen_at <= SILENT_AFTER


def _report(connection: Connection, items: Sequence[Worker]) -> Sequence[None]:
    for item in items:
        connection.execute(_PUT, _row(item))
    newest = max(item.seen_at for item in items)
    connection.execute(_FORGET, {"before": newest - _FORGOTTEN_AFTER})
    return [None for _ in items]


def _leave(connection: Connection, items: Sequence[str]) -> Sequence[None]:
    for owner in items:
        connection.execute(delete(worker).where(worker.c.owner == owner))
    return [None for _ in items]


REPORT: Write[Worker, None] = Write("report_worker", 60, _report, key=lambda item: item.owner)
"""Say how a process is. Those that have been silent for a day are forgotten on the way."""

LEAVE: Write[str, None] = Write("leave_worker", 61, _leave, key=lambda owner: owner)
"""A process has ended as it should: nobody needs to look for it."""

_NEW = insert(worker)
_PUT = _NEW.on_conflict_do_update(
    index_elements=[worker.c.owner],
    set_={name: _NEW.excluded[name] for name in ("seen_at", "seats", "busy", "relays", "version")},
)
_FORGET = delete(worker).where(worker.c.seen_at < bindparam("before"))


def workers(connection: Connection) -> Sequence[Worker]:
    """All that have not taken their leave, also those that are silent; oldest first."""
    return [_worker(row) for row in connection.execute(select(worker).order_by(worker.c.owner))]


def _row(item: Worker) -> dict[str, Any]:
    return {
        "owner": item.owner,
        "host": item.host,
        "pid": item.pid,
        "role": item.role,
        "version": item.version,
        "started_at": item.started_at,
        "seen_at": item.seen_at,
        "seats": item.seats,
        "busy": item.busy,
        "relays": [_relay_row(relay) for relay in item.relays],
    }


def _relay_row(relay: RelaySeen) -> dict[str, Any]:
    return {
        "name": relay.name,
        "state": relay.state,
        "reason": relay.reason,
        "since": relay.since.isoformat(),
        "next_probe_at": relay.next_probe_at and relay.next_probe_at.isoformat(),
        "by_operator": relay.by_operator,
        "routes": list(relay.routes),
    }


def _worker(row: Any) -> Worker:
    return Worker(
        owner=row.owner,
        host=row.host,
        pid=row.pid,
        role=row.role,
        version=row.version,
        started_at=row.started_at,
        seen_at=row.seen_at,
        seats=row.seats,
        busy=row.busy,
        relays=tuple(_relay(one) for one in row.relays),
    )


def _relay(found: Mapping[str, Any]) -> RelaySeen:
    """One of another release may know more or less of a relay than this one."""
    probe = found.get("next_probe_at")
    return RelaySeen(
        name=found["name"],
        state=found["state"],
        reason=found.get("reason"),
        since=datetime.fromisoformat(found["since"]),
        next_probe_at=None if probe is None else datetime.fromisoformat(probe),
        by_operator=bool(found.get("by_operator")),
        routes=tuple(found.get("routes", ())),
    )
