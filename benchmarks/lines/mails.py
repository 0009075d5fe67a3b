"""The mails that are measured with, and stores that hold many of them."""

import json
import shutil
import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from benchmarks.lines.plan import Plan
from benchmarks.rig.figures import Failed, Sample
from benchmarks.rig.load import Load, put_under
from benchmarks.rig.machine import cpu_s, free_port
from benchmarks.rig.sink import Sink
from benchmarks.rig.started import KEY, notifier, settings_for

WORDS = "It will be there soon, and you can follow it on its way to you at any time. "
HEAD_BYTES = 550
TEMPLATED = json.dumps(
    {
        "to": "pNNNNNNNN@example.org",
        "template": {
            "name": "notification",
            "variables": {
                "title": "Your order has been shipped",
                "name": "Ada",
                "message": WORDS * 6,
            },
        },
    }
)


def inline(size_bytes: int) -> str:
    """A call whose mail has about so many bytes."""
    lines = max(1, (size_bytes - HEAD_BYTES) // (len(WORDS) + 1))
    mail = {"to": "pNNNNNNNN@example.org", "subject": "Your order", "text": (WORDS + "\n") * lines}
    return json.dumps(mail)


@dataclass(frozen=True)
class Prepared:
    """A stopped store with `count` mails that are due, and the file with the bytes of one."""

    folder: Path
    count: int
    crlf: Path
    lf: Path


def prepare(plan: Plan, name: str, count: int, size_bytes: int) -> Prepared:
    """Accept so many mails over HTTP, deliver none. Raises Failed."""
    folder = plan.room(name)
    with notifier(folder, "serve", "--no-dispatch", settings=settings_for(free_port())) as started:
        put_under(Load([started.port], inline(size_bytes), count, key=KEY))
    content = one_mail(folder)
    crlf, lf = plan.folder / f"{name}.eml", plan.folder / f"{name}-lf.eml"
    crlf.write_bytes(content)
    lf.write_bytes(content.replace(b"\r\n", b"\n"))
    return Prepared(folder, count, crlf, lf)


def one_mail(folder: Path) -> bytes:
    """The bytes of the mail that was stored last."""
    with closing(sqlite3.connect(folder / "notifier.db")) as store:
        query = "SELECT body FROM content WHERE body IS NOT NULL ORDER BY id DESC LIMIT 1"
        return bytes(store.execute(query).fetchone()[0])


def until_recorded(folder: Path, patience_s: float) -> float:
    """The monotonic time at which no mail is left to be done. Raises Failed."""
    ends = time.monotonic() + patience_s
    with closing(sqlite3.connect(f"file:{folder / 'notifier.db'}?mode=ro", uri=True)) as store:
        # Only what is due: there may be others, for days to come.
        query = "SELECT 1 FROM outbox WHERE due_at < ? LIMIT 1"
        soon = int((time.time() + 3600) * 1e6)
        while store.execute(query, (soon,)).fetchone() is not None:
            if time.monotonic() > ends:
                raise Failed("mails that were sent are not recorded")
            time.sleep(0.002)
    return time.monotonic()


@dataclass(frozen=True)
class Wing:
    """The delivery wing alone: `notifier worker` empties a copy of a prepared store."""

    plan: Plan
    prepared: Prepared
    sink: Sink
    relay_port: int
    connections: int

    def __call__(self) -> Sample:
        """One round. Raises Failed."""
        folder = self.plan.folder / "wing"
        shutil.copytree(self.prepared.folder, folder)
        try:
            return drain(
                folder,
                self.sink,
                self.prepared.count,
                settings_for(self.relay_port, self.connections),
            )
        finally:
            shutil.rmtree(folder)


def drain(folder: Path, sink: Sink, count: int, settings: dict[str, str]) -> Sample:
    """Let a worker send and record `count` mails that wait in `folder`. Raises Failed.

    The clock starts when the worker is ready, with what it sent by then taken off.
    """
    before = sink.count()
    with notifier(folder, "worker", settings=settings) as worker:
        began, burnt, early = time.monotonic(), cpu_s(worker.pid), sink.count() - before
        if early > count // 2:
            raise Failed("too few mails: half of them were sent while it started")
        sink.until(before + count, 120)
        ended = until_recorded(folder, 30)
        burnt = cpu_s(worker.pid) - burnt
    taken = sink.count() - before
    rest = count - early
    return {
        "per_s": rest / (ended - began),
        "cpu_us": burnt / rest * 1e6,
        "lost": max(0, count - taken),
        "twice": max(0, taken - count),
    }
