"""Numbers that grow: counters and histograms. Whoever adds to them sees to it that he is alone.

Kept apart from the library that writes them out, so that a start does not pay for its import
(30 ms, 2.4 MB) and a fact costs a dictionary entry.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import accumulate

Labels = tuple[str, ...]


class Counter:
    """A number for each combination of labels; those in `known` are there from the start."""

    def __init__(self, known: Iterable[Labels] = ()) -> None:
        self._values = defaultdict(float, dict.fromkeys(known, 0.0))

    def add(self, labels: Labels = (), amount: float = 1) -> None:
        """`amount` is not negative."""
        self._values[labels] += amount

    def read(self) -> dict[Labels, float]:
        """A copy of all numbers."""
        return dict(self._values)


@dataclass(frozen=True, slots=True)
class Spread:
    """How many values were at most as large as each bound; the last one has none: so all."""

    cumulated: tuple[int, ...]
    total: float


class Histogram:
    """A spread for each combination of labels. `bounds` ascend; a bound belongs to its bucket."""

    def __init__(self, bounds: tuple[float, ...], known: Iterable[Labels] = ()) -> None:
        self._bounds = bounds
        self._counts = {labels: self._empty() for labels in known}
        self._totals = defaultdict[Labels, float](float)

    def add(self, labels: Labels, value: float) -> None:
        """One more value."""
        counts = self._counts.get(labels)
        if counts is None:
            counts = self._counts[labels] = self._empty()
        counts[bisect_left(self._bounds, value)] += 1
        self._totals[labels] += value

    def read(self) -> Mapping[Labels, Spread]:
        """A copy of all spreads."""
        return {
            labels: Spread(tuple(accumulate(counts)), self._totals[labels])
            for labels, counts in self._counts.items()
        }

    def _empty(self) -> list[int]:
        return [0] * (len(self._bounds) + 1)
