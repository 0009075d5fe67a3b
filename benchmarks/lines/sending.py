"""The delivery wing alone, beside what else could send the same bytes to the same sink."""

import json
import resource
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.lines.mails import Prepared, Wing, prepare
from benchmarks.lines.plan import Plan
from benchmarks.rig.delay import delayed
from benchmarks.rig.figures import OURS, Contestant, Failed, Line, Sample, alternate
from benchmarks.rig.sink import Sink, sink
from benchmarks.rig.tools import PEERS, ROOT, node_folder, peers_python, postfix_command

SOURCE, FASTAPI_MAIL, NODEMAILER = "smtp-source", "fastapi-mail", "nodemailer pool"
KEPT, EACH = "aiosmtplib kept open", "aiosmtplib a connection a mail"
PATIENCE_S = 60


@dataclass(frozen=True)
class Run:
    """One round of a peer: so many mails of `mail` over so many connections."""

    mail: Prepared
    sink: Sink
    port: int
    connections: int
    count: int

    def smtp_source(self) -> Sample:
        """Postfix's own source, in C, each connection kept open."""
        options = ["-d", "-s", str(self.connections), "-m", str(self.count), "-M", "localhost"]
        addresses = ["-f", "shop@example.org", "-t", "p@example.org", "-F", str(self.mail.lf)]
        command, environment = postfix_command(
            "smtp-source", *options, *addresses, f"127.0.0.1:{self.port}"
        )
        before, began, burnt = self.sink.count(), time.monotonic(), _children_s()
        _run(command, ROOT, environment)
        seconds, cpu_s = time.monotonic() - began, _children_s() - burnt
        return self._sample({"seconds": seconds, "cpu_s": cpu_s}, before)

    def kept(self) -> Sample:
        """Aiosmtplib at its best."""
        return self._python("send_aiosmtplib", "kept")

    def each(self) -> Sample:
        """Aiosmtplib as its first page has it."""
        return self._python("send_aiosmtplib", "each")

    def fastapi_mail(self) -> Sample:
        """fastapi-mail as its first page has it."""
        return self._python("send_fastapi_mail")

    def nodemailer(self) -> Sample:
        """Nodemailer's pool."""
        return self._told(["node", str(PEERS / "send_nodemailer.js")], node_folder())

    def _python(self, program: str, *first: str) -> Sample:
        return self._told([str(peers_python()), "-m", f"benchmarks.peers.{program}", *first], ROOT)

    def _told(self, command: Sequence[str], folder: Path) -> Sample:
        given = [str(self.port), str(self.connections), str(self.count), str(self.mail.crlf)]
        before = self.sink.count()
        return self._sample(json.loads(_run([*command, *given], folder)), before)

    def _sample(self, told: Mapping[str, float], before: int) -> Sample:
        with suppress(Failed):  # what is missing is in the figures
            self.sink.until(before + self.count, 2)
        taken = self.sink.count() - before
        return {
            "per_s": self.count / told["seconds"],
            "cpu_us": told["cpu_s"] / self.count * 1e6,
            "lost": self.count - taken,
        }


def lines(plan: Plan) -> Iterator[Line]:
    """All lines of this module."""
    with sink(plan.folder) as target:
        yield from near_lines(plan, target)
        yield from far_lines(plan, target)


def near_lines(plan: Plan, target: Sink) -> Iterator[Line]:
    """Without any distance."""
    many = prepare(plan, "many", plan.count(20_000), 2_000)
    counts = {SOURCE: 40_000, KEPT: 16_000, NODEMAILER: 3_000, EACH: 3_000, FASTAPI_MAIL: 2_000}
    line = _measured(plan, Run(many, target, target.port, 20, 0), "wing-20", counts)
    line.title = "delivery wing alone, 2 kB, 20 connections"
    line.at_least(0.5, SOURCE)
    line.at_least(8, FASTAPI_MAIL)
    yield line
    if plan.quick:
        return
    line = _measured(plan, Run(many, target, target.port, 10, 0), "wing-10", counts)
    line.title = "the same, 10 connections"
    yield line
    few = prepare(plan, "few", 6_000, 2_000)
    counts = {SOURCE: 16_000, KEPT: 6_000, NODEMAILER: 2_000, EACH: 2_000, FASTAPI_MAIL: 1_400}
    line = _measured(plan, Run(few, target, target.port, 1, 0), "wing-1", counts)
    line.title = "the same, 1 connection"
    yield line
    large = prepare(plan, "large", 4_000, 50_000)
    counts = {SOURCE: 10_000, KEPT: 3_000, NODEMAILER: 1_500, EACH: 2_000, FASTAPI_MAIL: 600}
    line = _measured(plan, Run(large, target, target.port, 20, 0), "wing-50kB", counts)
    line.title = "the same, 50 kB, 20 connections"
    yield line


def far_lines(plan: Plan, target: Sink) -> Iterator[Line]:
    """Behind a proxy that lets every byte travel."""
    yield _limit(plan, target)
    for round_trip_ms, full, peers in ((10, 6_000, 1_200), (50, 1_500, 240)):
        mail = prepare(plan, f"far-{round_trip_ms}", plan.count(full), 2_000)
        counts = dict.fromkeys((SOURCE, KEPT), peers)
        with delayed(target.port, round_trip_ms / 1000) as port:
            run = Run(mail, target, port, 20, 0)
            line = _measured(plan, run, f"wing-{round_trip_ms}ms", counts)
        line.title = f"the same at {round_trip_ms} ms round trip, 2 kB, 20 connections"
        line.at_least(3.5, KEPT)
        line.at_least(1, SOURCE)
        yield line


def _limit(plan: Plan, target: Sink) -> Line:
    """What the proxy itself lets through, so that nobody takes its limit for a sender's."""
    line = Line("proxy", "limit of the delaying proxy: smtp-source through it at 0 ms")
    mail = Prepared(plan.folder, 0, plan.folder / "many.eml", plan.folder / "many-lf.eml")
    with delayed(target.port, 0) as port:
        run = Run(mail, target, port, 20, plan.count(10_000))
        return alternate(line, {SOURCE: run.smtp_source}, plan.rounds, plan.ends)


def _measured(plan: Plan, run: Run, name: str, counts: Mapping[str, int]) -> Line:
    ours = Wing(plan, run.mail, run.sink, run.port, run.connections)
    contestants: dict[str, Contestant] = {OURS: ours}
    for peer, count in counts.items():
        one = replace(run, count=plan.count(count))
        contestants[peer] = {
            SOURCE: one.smtp_source,
            KEPT: one.kept,
            EACH: one.each,
            NODEMAILER: one.nodemailer,
            FASTAPI_MAIL: one.fastapi_mail,
        }[peer]
    return alternate(Line(name, name), contestants, plan.rounds, plan.ends)


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _run(command: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None) -> str:
    try:
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True,
            timeout=PATIENCE_S, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Failed(str(error)[:200]) from None
    if done.returncode != 0:
        raise Failed((done.stderr.strip().splitlines() or ["it failed without a word"])[-1][:200])
    return done.stdout
