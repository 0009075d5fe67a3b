"""What the pages and the API of the mailbox share."""

from dataclasses import dataclass

from notifier.core.clock import Clock
from notifier.mailbox.store import Store


@dataclass(slots=True)
class Desk:
    """`banner` is one sentence shown on every page; `smtp_address` is where mail is taken."""

    store: Store
    now: Clock
    smtp_address: tuple[str, int]
    banner: str | None = None
