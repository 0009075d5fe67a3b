"""One thing that was looked at."""

from dataclasses import dataclass
from typing import Literal

Mark = Literal["ok", "warning", "failed"]


@dataclass(frozen=True, slots=True)
class Check:
    """`says` is what was found, `remedy` what to do unless all is well. `about` is stable."""

    about: str
    mark: Mark
    says: str
    remedy: str | None = None


def ok(about: str, says: str) -> Check:
    """As it should be."""
    return Check(about, "ok", says)


def warning(about: str, says: str, remedy: str) -> Check:
    """Notifier works, and it could be better."""
    return Check(about, "warning", says, remedy)


def failed(about: str, says: str, remedy: str) -> Check:
    """Notifier does not work so, or loses what it promised to keep."""
    return Check(about, "failed", says, remedy)
