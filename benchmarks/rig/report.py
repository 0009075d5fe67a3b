"""Lines as text: for the terminal while they are measured, and for the README."""

from benchmarks.rig.figures import OURS, TIMES, Goal, Line

VERDICTS = {True: "met", False: "NOT MET", None: "not measured"}


def number(value: float | None) -> str:
    """Three digits or so, with thousands apart."""
    if value is None:
        return "-"
    if abs(value) >= 100:
        rounded = round(value, 2 - len(str(int(abs(value)))) + 1)
        return f"{rounded:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def printed(line: Line) -> str:
    """A line with every contestant and goal."""
    rows = [f"\n{line.title} ({line.name})"]
    ours = line.middle(OURS)
    for name, samples in line.series.items():
        middle = line.middle(name)
        if middle is None:
            continue
        ratio = f"{ours / middle:8.2f} {TIMES}" if ours is not None and middle else " " * 10
        others = {key: line.middle(name, key) for key in samples[0] if key != line.key}
        more = ", ".join(f"{key} {number(value)}" for key, value in others.items())
        rows.append(f"  {name:32} {number(middle):>9} {line.unit:8} {ratio}  {more}")
    rows += [f"  {name:32} absent: {why}" for name, why in line.absent.items()]
    rows += [f"  goal {goal_words(goal)}" for goal in line.goals]
    return "\n".join(rows)


def goal_words(goal: Goal) -> str:
    """A goal for the table."""
    return f"{goal.text}: {number(goal.measured)}, {VERDICTS[goal.met]}"
