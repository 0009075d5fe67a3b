"""The goals of speed and size, each beside its peers in the same run; kept as JSON.

`python3 run.py bench goals [--quick] [--only NAME]`. Rounds alternate (A B A B), medians count.
"""

import argparse
import json
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
MOST_S: Final = 15 * 60
GROUPS: Final[dict[str, Callable[[Plan], Iterator[Line]]]] = {
    "sending": sending.lines,
    "walk": web.walk_lines,
    "accepting": web.accepting_lines,
    "scaled": web.scaled_lines,
    "latency": one_process.latency_lines,
    "million": million.million_lines,
    "memory": one_process.memory_lines,
    "start": one_process.start_lines,
}


def main(argv: Sequence[str]) -> int:
    """Measure, print the table, keep the figures; 1 if a goal was missed or a line failed."""
    given = _parser().parse_args(argv)
    ends = time.monotonic() + MOST_S
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
    for name in names:
        if plan.is_over:
            print(f"{name}: left out, the time was up", flush=True)
            continue
        began = time.monotonic()
        try:
            for line in GROUPS[name](plan):
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
