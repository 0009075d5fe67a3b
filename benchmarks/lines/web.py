"""Over HTTP: from POST to the sink, accepting alone, and many processes on PostgreSQL."""

import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from benchmarks.lines.mails import TEMPLATED, until_recorded
from benchmarks.lines.peer_templates import ORDER, peer_templates
from benchmarks.lines.plan import Plan
from benchmarks.rig.figures import OURS, Line, Sample, alternate
from benchmarks.rig.load import Load, put_under
from benchmarks.rig.machine import PYTHON, cpu_s, free_port, peak_mb
from benchmarks.rig.sink import Sink, sink
from benchmarks.rig.started import (
    KEY,
    Started,
    application,
    notifier,
    run_notifier,
    settings_for,
)
from benchmarks.rig.tools import peers_python
from tests.support.postgres import postgres_server

FASTAPI_MAIL = "BackgroundTasks + fastapi-mail"
AIOSMTPLIB = "BackgroundTasks + aiosmtplib.send"
VALIDATES = "validates and answers"
ONE, FOUR = "one process, SQLite", "two API + two workers, PostgreSQL"


@dataclass(frozen=True)
class Walk:
    """From POST to the sink: `count` calls as fast as they are answered, until all mails came."""

    plan: Plan
    sink: Sink
    count: int

    def ours(self) -> Sample:
        """One `notifier serve` on SQLite, its store new each round."""
        folder = self.plan.room("walk")
        try:
            with notifier(folder, "serve", settings=settings_for(self.sink.port)) as started:
                told = self.measured([started], [started.port], TEMPLATED)
                until_recorded(folder, 30)
                return told
        finally:
            shutil.rmtree(folder)

    def peer(self, name: str, templates: Path) -> Sample:
        """A FastAPI application of `peers/`."""
        told = {"BENCH_SINK_PORT": str(self.sink.port), "BENCH_TEMPLATES": str(templates)}
        log = self.plan.folder / f"{name}.log"
        with application(peers_python(), name, told, log) as started:
            return self.measured([started], [started.port], ORDER)

    def scaled(self, url: str) -> Sample:
        """Two `serve --no-dispatch` and two `worker` on one PostgreSQL."""
        folder = self.plan.room("scaled")
        settings = settings_for(self.sink.port, DATABASE__URL=url)
        with ExitStack() as stack:
            roles = (["serve", "--no-dispatch"], ["serve", "--no-dispatch"], ["worker"], ["worker"])
            all_ = [
                stack.enter_context(notifier(folder, *role, settings=settings)) for role in roles
            ]
            return self.measured(all_, [one.port for one in all_[:2]], TEMPLATED)

    def measured(self, started: Sequence[Started], ports: list[int], body: str) -> Sample:
        """Figures of one round. Raises Failed."""
        pids = [one.pid for one in started]
        before, burnt = self.sink.count(), sum(map(cpu_s, pids))
        loaded = put_under(Load(ports, body, self.count, KEY))
        ended = self.sink.until(before + self.count, 120)
        return {
            "per_s": self.count / (ended - loaded.began),
            "accepted_per_s": loaded.per_s,
            "accept_p99_ms": loaded.p99_ms,
            "cpu_us": (sum(map(cpu_s, pids)) - burnt) / self.count * 1e6,
            "peak_mb": sum(map(peak_mb, pids)),
            "lost": max(0, before + self.count - self.sink.count()),
        }


def walk_lines(plan: Plan) -> Iterator[Line]:
    """From POST to the sink, beside what a FastAPI application does by itself."""
    templates = peer_templates(plan.room("peer"))
    with sink(plan.folder) as target:
        walk = Walk(plan, target, plan.count(10_000))
        less = Walk(plan, target, plan.count(3_000))
        line = Line("walk", "POST → rendered → durable → sink, one process")
        alternate(
            line,
            {
                OURS: walk.ours,
                FASTAPI_MAIL: lambda: less.peer("app_fastapi_mail", templates),
                AIOSMTPLIB: lambda: less.peer("app_aiosmtplib", templates),
            },
            plan.rounds,
            plan.ends,
        )
    line.at_least(6, FASTAPI_MAIL)
    yield line


def scaled_lines(plan: Plan) -> Iterator[Line]:
    """Four processes on PostgreSQL beside one on SQLite; reported, without a goal."""
    if plan.quick:
        return
    folder = plan.room("postgres")
    with sink(plan.folder) as target, postgres_server(folder) as url:
        walk = Walk(plan, target, 5_000)
        settings = settings_for(target.port, DATABASE__URL=url)
        run_notifier(plan.room("scaled"), "migrate", settings=settings)
        line = Line("scaled", "POST → sink: two API and two worker processes on PostgreSQL")
        yield alternate(
            line, {FOUR: lambda: walk.scaled(url), ONE: walk.ours}, plan.rounds, plan.ends
        )


@dataclass(frozen=True)
class Accepting:
    """Accepting alone. The second load is an open loop at half of what the first one reached."""

    plan: Plan

    def ours(self) -> Sample:
        """`notifier serve --no-dispatch` on SQLite, durable."""
        folder = self.plan.room("accepting")
        settings = settings_for(free_port())
        try:
            with notifier(folder, "serve", "--no-dispatch", settings=settings) as started:
                return self.measured(started, 8_000)
        finally:
            shutil.rmtree(folder)

    def validates(self) -> Sample:
        """The same models, nothing stored."""
        log = self.plan.folder / "validates.log"
        with application(PYTHON, "app_validates", {}, log) as started:
            return self.measured(started, 16_000)

    def measured(self, started: Started, full: int) -> Sample:
        """Figures of one round. Raises Failed."""
        count = self.plan.count(full)
        put_under(Load([started.port], TEMPLATED, 300, KEY))  # first calls compile and cache
        burnt = cpu_s(started.pid)
        closed = put_under(Load([started.port], TEMPLATED, count, KEY))
        burnt = cpu_s(started.pid) - burnt
        time.sleep(0.5)
        rate = closed.per_s / 2
        half = put_under(Load([started.port], TEMPLATED, int(rate * 3), KEY, rate=rate))
        return {
            "per_s": closed.per_s,
            "p99_ms": closed.p99_ms,
            "half_load_p50_ms": half.p50_ms,
            "half_load_p99_ms": half.p99_ms,
            "cpu_us": burnt / count * 1e6,
            "generator_cpu_us": closed.cpu_s / count * 1e6,
        }


def accepting_lines(plan: Plan) -> Iterator[Line]:
    """Accepting alone beside an application that only validates."""
    accepting = Accepting(plan)
    line = Line("accepting", "accept alone, durable, one process", unit="calls/s")
    alternate(line, {OURS: accepting.ours, VALIDATES: accepting.validates}, plan.rounds, plan.ends)
    line.at_least(0.5, VALIDATES)
    line.at_most(2.5, VALIDATES, "half_load_p99_ms")
    yield line
