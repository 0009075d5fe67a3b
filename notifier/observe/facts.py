"""What can happen, as frozen dataclasses. Flows and dispatcher emit them; logs are made of them.

A fact carries no secret, no subject, no body and no full address: `masked()` those first.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal

Level = Literal["debug", "info", "warning", "error"]


@dataclass(frozen=True, slots=True)
class Fact:
    """Base of all facts. `event` is the stable name in logs; `level` its log level."""

    event: ClassVar[str]
    level: ClassVar[Level] = "info"


Observer = Callable[[Fact], None]
"""Takes a fact and never raises. Called from the event loop and from store threads."""


def masked(address: str) -> str:
    """`j***@example.org`: enough to recognise a case, not enough to write to someone."""
    local, at, domain = address.rpartition("@")
    return f"{local[:1]}***{at}{domain}" if at else "***"
