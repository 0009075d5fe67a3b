"""Samples, series and goals: what a line found out, in the form in which it is kept."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

OURS = "notifier"
TIMES = "\N{MULTIPLICATION SIGN}"

Sample = dict[str, float]
"""Figures of one round by name. `per_s` is the rate, `cpu_us` the sender's CPU time a mail,
`lost` what the sink missed."""

Contestant = Callable[[], Sample]


class Failed(Exception):
    """A contestant could not be had or did not do its work; the text is for the table."""


@dataclass
class Goal:
    """A goal of the table. `measured` and `met` are None where a peer was missing."""

    text: str
    measured: float | None
    met: bool | None


@dataclass
class Line:
    """One line of the table: rounds of figures by contestant, in the order of the table.

    `absent` has the reason why a contestant has no figures, or fewer than the others.
    `digits` is how `key` is written.
    """

    name: str
    title: str
    unit: str = "mails/s"
    key: str = "per_s"
    series: dict[str, list[Sample]] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    goals: list[Goal] = field(default_factory=list)

    def middle(self, contestant: str, key: str = "") -> float | None:
        """The median of a figure, or None where there is none."""
        found = [one[key or self.key] for one in self.series.get(contestant, ()) if one]
        return median(found) if found else None

    @property
    def lost(self) -> dict[str, float]:
        """Mails that did not reach the sink, by contestant; all rounds together."""
        sums = {name: sum(one.get("lost", 0) for one in all_) for name, all_ in self.series.items()}
        return {name: total for name, total in sums.items() if total}

    def at_least(self, factor: float, peer: str, key: str = "") -> None:
        """Add the goal that we are at least `factor` times a peer."""
        name = f" ({key})" if key else ""
        self._relate(f"≥ {factor:g} {TIMES} {peer}{name}", peer, key, lambda ratio: ratio >= factor)

    def at_most(self, factor: float, peer: str, key: str = "") -> None:
        """Add the goal that we are at most `factor` times a peer."""
        name = f" ({key})" if key else ""
        self._relate(f"≤ {factor:g} {TIMES} {peer}{name}", peer, key, lambda ratio: ratio <= factor)

    def below(self, limit: float, key: str, unit: str, contestant: str = OURS) -> None:
        """Add the goal that a figure of ours is at most `limit`."""
        found = self.middle(contestant, key)
        text = f"{contestant + ' ' if contestant != OURS else ''}{key} ≤ {limit:g} {unit}"
        self.goals.append(Goal(text, found, None if found is None else found <= limit))

    def _relate(self, text: str, peer: str, key: str, holds: Callable[[float], bool]) -> None:
        ours, theirs = self.middle(OURS, key), self.middle(peer, key)
        ratio = ours / theirs if ours is not None and theirs else None
        self.goals.append(Goal(text, ratio, None if ratio is None else holds(ratio)))

    def to_json(self) -> dict[str, Any]:
        """As kept."""
        return asdict(self)

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> "Line":
        """As read back."""
        return cls(**{**kept, "goals": [Goal(**goal) for goal in kept["goals"]]})


def alternate(
    line: Line, contestants: Mapping[str, Contestant], rounds: int, ends: float = math.inf
) -> Line:
    """Let each contestant run once a round, A B A B; one that fails is left out from then on.

    No second round begins after `ends`, in monotonic time.
    """
    left = dict(contestants)
    for number in range(rounds):
        if number and time.monotonic() > ends:
            break
        for name, run in tuple(left.items()):
            try:
                line.series.setdefault(name, []).append(run())
            except Failed as failure:
                line.absent[name] = str(failure)
                del left[name]
    return line


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` of all lie."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]
