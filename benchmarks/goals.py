"""The goals of speed and size, each beside its peers in the same run; kept as JSON.

`python3 run.py bench goals [--quick] [--only NAME]`. Rounds alternate (A B A B), medians count.
"""

import argparse
import json
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from benchmarks.lines import million, one_process, sending, web
from benchmarks.lines.plan import Plan
from benchmarks.rig import machine, tools
from benchmarks.rig.figures import Failed, Line
from benchmarks.rig.report import printed

RESULTS = Path(__file__).parent / "results"
MOST_S: Final = 14 * 60
QUICK_MOST_S: Final = 2 * 60
GROUPS: Final[dict[str, tuple[int, Callable[[Plan], Iterator[Line]]]]] = {
    "sending": (40, sending.lines),
    "walk": (10, web.walk_lines),
    "accepting": (10, web.accepting_lines),
    "scaled": (8, web.scaled_lines),
    "latency": (4, one_process.latency_lines),
    "million": (20, million.million_lines),
    "memory": (8, one_process.memory_lines),
    "start": (4, one_process.start_lines),
}
"""Lines that are measured together, with their share of the time. What one leaves is the next
ones'; one that takes too long does fewer rounds."""


def main(argv: Sequence[str]) -> int:
    """Measure, print the table, keep the figures; 1 if a goal was missed or a line failed."""
    given = _parser().parse_args(argv)
    # Unwinds as Ctrl-C does: what was started must not outlive this.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    ends = time.monotonic() + (QUICK_MOST_S if given.quick else MOST_S)
    kept = {
        "taken_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "quick": given.quick,
        "machine": machine.words(),
        "versions": _versions(),
    }
    with tempfile.TemporaryDirectory(dir=given.folder, prefix="notifier-bench-") as folder:
        plan = Plan(Path(folder), given.quick, ends)
        found = [*_all(plan, given.only or list(GROUPS))]
    kept["lines"] = [line.to_json() for line in found]
    path = _write(kept, given.out)
    print(f"\nkept in {path}")
    goals = [goal for line in found for goal in line.goals]
    print(f"goals met: {sum(goal.met is True for goal in goals)} of {len(goals)}")
    return 0 if all(goal.met for goal in goals) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="run.py bench goals", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer lines and mails, two minutes")
    parser.add_argument(
        "--only", action="append", choices=list(GROUPS), metavar="NAME", help=", ".join(GROUPS)
    )
    parser.add_argument("--folder", help="where stores are made meanwhile; default: the system's")
    parser.add_argument("--out", type=Path, help="file for the figures; default: results/")
    return parser


def _all(plan: Plan, names: Sequence[str]) -> Iterator[Line]:
    """Every line, told as soon as it is there. One group's failure costs only its lines."""
    for number, name in enumerate(names):
        began = time.monotonic()
        if began > plan.ends:
            yield Line(name, name, absent={"all": "left out, the time was up"})
            continue
        share = GROUPS[name][0] / sum(GROUPS[left][0] for left in names[number:])
        try:
            for line in GROUPS[name][1](plan.until(began + (plan.ends - began) * share)):
                print(printed(line), flush=True)
                yield line
        except Failed as failure:
            line = Line(name, name, absent={"all": str(failure)})
            print(printed(line), flush=True)
            yield line
        print(f"  ({name}: {time.monotonic() - began:.0f} s)", flush=True)


def _versions() -> dict[str, str]:
    pinned = tools.peers_versions()
    peers = {name: pinned[name] for name in ("fastapi-mail", "aiosmtplib", "fastapi", "uvicorn")}
    told = {**machine.versions(), **{f"peer {name}": at for name, at in peers.items()}}
    told["peer nodemailer"] = tools.node_version("nodemailer")
    try:
        told["postfix"] = tools.postfix_version()
    except Failed as failure:
        told["postfix"] = str(failure)
    return told


def _write(kept: dict[str, Any], out: Path | None) -> Path:
    if out is None:
        RESULTS.mkdir(exist_ok=True)
        plain = "".join(one if one.isalnum() else "-" for one in kept["machine"].lower())
        short = "-".join(part for part in plain.split("-") if part)[:50].strip("-")
        quick = "-quick" if kept["quick"] else ""
        out = RESULTS / f"{kept['taken_at'][:10]}-{short}{quick}.json"
    out.write_text(json.dumps(kept, indent=1) + "\n")
    return out
