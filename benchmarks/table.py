"""Write the README's table of figures from the newest kept run, or from the file named.

`python3 run.py bench table [FILE]`. Quick runs are never taken by themselves.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.goals import RESULTS
from benchmarks.rig.figures import OURS, TIMES, Line
from benchmarks.rig.report import VERDICTS, number

README = Path(__file__).resolve().parents[1] / "README.md"
BEGIN: Final = "<!-- benchmarks: made by `python3 run.py bench table` -->"
END: Final = "<!-- end of benchmarks -->"


def main(argv: Sequence[str]) -> int:
    """Put the table between the marks of the README; 1 where there is nothing to put."""
    file = Path(argv[0]) if argv else newest(RESULTS)
    if file is None or not file.exists():
        print("There is no kept run: `python3 run.py bench goals` makes one.")
        return 1
    text = README.read_text("utf-8")
    if BEGIN not in text or END not in text:
        print(f"README.md has no place for the table: the lines {BEGIN} and {END}.")
        return 1
    README.write_text(replaced(text, table(json.loads(file.read_text("utf-8")))), "utf-8")
    print(f"README.md has the figures of {file.name}.")
    return 0


def newest(folder: Path) -> Path | None:
    """The kept run with the latest date."""
    found = [path for path in sorted(folder.glob("*.json")) if "quick" not in path.stem]
    return found[-1] if found else None


def replaced(text: str, body: str) -> str:
    """`text` with `body` between the marks."""
    pattern = re.escape(BEGIN) + r".*?" + re.escape(END)
    return re.sub(pattern, lambda _: f"{BEGIN}\n{body}\n{END}", text, flags=re.DOTALL)


def table(kept: Mapping[str, Any]) -> str:
    """The whole section, as Markdown."""
    lines = [Line.from_json(line) for line in kept["lines"]]
    versions = ", ".join(f"{name} {at}" for name, at in kept["versions"].items() if at)
    head = (
        f"Measured on {kept['taken_at'][:10]} on {kept['machine']}; medians of alternating rounds,"
        " sender and sink on the same machine. `python3 run.py bench` measures all of it again, in"
        " a quarter of an hour."
    )
    rows = ["| what | Notifier | beside it | goal |", "|---|---|---|---|"]
    rows += [row for line in lines for row in _rows(line)]
    return "\n".join([head, "", *rows, "", f"Versions: {versions}."])


def _rows(line: Line) -> Iterator[str]:
    """One row where we are among those measured, else one for each contestant."""
    ours = line.middle(OURS)
    goals = "<br>".join(
        f"{goal.text}: **{number(goal.measured)}**, {VERDICTS[goal.met]}" for goal in line.goals
    )
    absent = [f"{name}: absent ({_plain(why)})" for name, why in line.absent.items()]
    peers = [name for name in line.series if name != OURS]
    if ours is not None:
        beside = "<br>".join([*(_beside(line, name, ours) for name in peers), *absent])
        yield f"| {line.title} | {number(ours)} {line.unit} | {beside} | {goals} |"
        return
    found = [name for name in peers if line.middle(name) is not None]
    beside = "<br>".join(
        [*(f"{name}: {number(line.middle(name))} {line.unit}" for name in found), *absent]
    )
    yield f"| {line.title} | | {beside} | {goals} |"


def _beside(line: Line, name: str, ours: float) -> str:
    theirs = line.middle(name)
    if not theirs:
        return f"{name}: absent"
    lost = f", lost {line.lost[name]:.0f}" if name in line.lost else ""
    return f"{name}: {number(theirs)} ({number(ours / theirs)} {TIMES}{lost})"


def _plain(why: str) -> str:
    """A reason that cannot break a row of the table."""
    return why.replace("|", "/").replace("\n", " ")[:80]
