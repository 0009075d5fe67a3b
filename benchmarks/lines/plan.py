"""How much is measured, and how long it may take."""

from dataclasses import dataclass, replace
from pathlib import Path

ROUNDS = 3
QUICK_ROUNDS = 1
QUICK_PART = 5


@dataclass(frozen=True)
class Plan:
    """One run. `folder` is empty and goes away with the run. After `ends`, in monotonic time,
    no second round of a line begins.
    """

    folder: Path
    quick: bool
    ends: float

    @property
    def rounds(self) -> int:
        """So many rounds, whose medians count."""
        return QUICK_ROUNDS if self.quick else ROUNDS

    def count(self, full: int) -> int:
        """A number of mails: fewer in a quick run."""
        return full // QUICK_PART if self.quick else full

    def until(self, ends: float) -> "Plan":
        """The same with another end."""
        return replace(self, ends=ends)

    def room(self, name: str) -> Path:
        """A folder below `folder`, made if need be."""
        made = self.folder / name
        made.mkdir(exist_ok=True)
        return made
