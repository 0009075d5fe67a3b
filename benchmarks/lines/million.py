"""A store that is full beside one that is empty: accepting, delivering, latency."""

import json
import re
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from benchmarks.lines.mails import drain, inline, until_recorded
from benchmarks.lines.one_process import latency
from benchmarks.lines.plan import Plan
from benchmarks.rig.figures import OURS, Line, Sample, alternate
from benchmarks.rig.load import Load, put_under
from benchmarks.rig.sink import Sink, sink
from benchmarks.rig.started import KEY, notifier, settings_for

ROWS: Final = 1_000_000
EMPTY: Final = "an empty store"
_ID = re.compile(r"^[a-z]{3}_[0-9a-f]{32}$")
_FIXED: Final = 20
"""Characters of an id that its copies keep: prefix, time, and a part that tells seeds apart."""


def million_lines(plan: Plan) -> Iterator[Line]:
    """So many scheduled and so many finished mails in one store, none in the other."""
    rows = ROWS // 20 if plan.quick else ROWS
    for name in ("full", "empty"):
        _make_store(plan, plan.room(name))
    began = time.monotonic()
    copies(plan.folder / "full" / "notifier.db", rows)
    print(f"  ({rows:,} scheduled and {rows:,} finished mails in {time.monotonic() - began:.0f} s)")
    with sink(plan.folder) as target:
        line = Line("million", f"accepting with {rows:,} scheduled and {rows:,} finished mails")
        full, empty = (Stores(plan, target, plan.room(name)) for name in ("full", "empty"))
        alternate(line, {OURS: full.measured, EMPTY: empty.measured}, plan.rounds, plan.ends)
    line.at_least(0.85, EMPTY)
    line.at_least(0.85, EMPTY, "deliver_per_s")
    line.at_most(1.15, EMPTY, "idle_p50_ms")
    yield line


@dataclass(frozen=True)
class Stores:
    """A store that stays from round to round; what a round accepts it delivers."""

    plan: Plan
    sink: Sink
    folder: Path

    def measured(self) -> Sample:
        """Accept, deliver, and walk alone. Raises Failed."""
        settings = settings_for(self.sink.port)
        count = self.plan.count(5_000)
        with notifier(self.folder, "serve", "--no-dispatch", settings=settings) as started:
            put_under(Load([started.port], inline(2_000), 300, KEY))
            accepted = put_under(Load([started.port], inline(2_000), count, KEY))
        delivered = drain(self.folder, self.sink, count + 300, settings)
        alone = latency(self.plan, self.folder.name, 50 if self.plan.quick else 200)
        return {
            "per_s": accepted.per_s,
            "deliver_per_s": delivered["per_s"],
            "deliver_cpu_us": delivered["cpu_us"],
            "idle_p50_ms": alone["p50_ms"],
            "idle_p99_ms": alone["p99_ms"],
            "lost": delivered["lost"],
        }


def _make_store(plan: Plan, folder: Path) -> None:
    """A store with one finished and one scheduled mail, made by the service itself."""
    in_ten_days = datetime.now(UTC) + timedelta(days=10)
    scheduled = {
        "to": "pNNNNNNNN@example.org",
        "subject": "Later",
        "text": "It works.",
        "scheduled_at": in_ten_days.isoformat(timespec="seconds"),
    }
    now = {key: value for key, value in scheduled.items() if key != "scheduled_at"}
    with (
        sink(plan.folder) as target,
        notifier(folder, "serve", settings=settings_for(target.port)) as started,
    ):
        for body in (now, scheduled):
            put_under(Load([started.port], json.dumps(body), 1, KEY, connections=1))
        target.until(1, 30)
        until_recorded(folder, 30)


def copies(file: Path, count: int) -> None:
    """Copy every row that belongs to a mail so often, with ids of its own each time.

    It copies what the service wrote, column by column, so that it knows nothing of the schema
    but this: ids look like `abc_` and 32 hexadecimal digits, and an INTEGER PRIMARY KEY counts.
    """
    with closing(sqlite3.connect(file, isolation_level=None)) as store:
        # No journal and no sync: if this is interrupted, the file is thrown away.
        for pragma in ("journal_mode=OFF", "synchronous=OFF", "cache_size=-400000"):
            store.execute(f"PRAGMA {pragma}")
        store.execute("BEGIN")
        store.execute("CREATE TEMP TABLE copy (n INTEGER PRIMARY KEY)")
        store.execute(
            "WITH RECURSIVE counted(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counted"
            " WHERE n < ?) INSERT INTO copy SELECT n FROM counted",
            (count,),
        )
        query = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        for (table,) in store.execute(query).fetchall():
            _copy_rows(store, table)
        store.execute("COMMIT")
        if _has_statistics(store):
            store.execute("ANALYZE")
        store.execute("PRAGMA journal_mode=WAL")


def _copy_rows(store: sqlite3.Connection, table: str) -> None:
    columns = store.execute(f'PRAGMA table_info("{table}")').fetchall()
    counters = {one[1] for one in columns if one[5] and one[2].upper() in {"INTEGER", "BIGINT"}}
    names = [one[1] for one in columns if one[1] not in counters]
    listed = ", ".join(f'"{name}"' for name in names)
    for row in store.execute(f'SELECT {listed} FROM "{table}"').fetchall():
        if not any(_is_id(value) for value in row):
            continue  # nothing of a mail's
        values, given = _with_own_ids(names, row)
        store.execute(f'INSERT INTO "{table}" ({listed}) SELECT {values} FROM copy', given)


def _with_own_ids(names: Sequence[str], row: Sequence[Any]) -> tuple[str, list[Any]]:
    """Expressions for a row's copies, and their parameters."""
    values, given = [], []
    for name, value in zip(names, row, strict=True):
        if _is_id(value):
            values.append(f"? || printf('%0{36 - _FIXED}x', copy.n)")
            given.append(value[:_FIXED])
        elif name == "due_at":
            values.append("? + copy.n")  # as scheduled mail is: each at its own moment
            given.append(value)
        else:
            values.append("?")
            given.append(value)
    return ", ".join(values), given


def _is_id(value: Any) -> bool:
    return isinstance(value, str) and _ID.match(value) is not None


def _has_statistics(store: sqlite3.Connection) -> bool:
    """Whether the service has ANALYZE run on its stores: then this one needs it too."""
    query = "SELECT 1 FROM sqlite_master WHERE name = 'sqlite_stat1'"
    return store.execute(query).fetchone() is not None
