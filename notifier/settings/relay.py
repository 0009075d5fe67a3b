"""A relay as the sender sees it, made from `RelaySettings` by `notifier.settings.load`."""

from dataclasses import dataclass
from typing import Literal

from notifier.settings.sections import RelaySettings

Tls = Literal["implicit", "required", "opportunistic", "none"]


@dataclass(frozen=True, slots=True)
class RelayTarget:
    """One upstream SMTP server.

    `tls`: `implicit` (smtps), `required` (STARTTLS or nothing), `opportunistic` (STARTTLS when
    offered), `none`. `captures`: a 250 from it means `captured`, not `sent`. `limits` holds
    timeouts and pool bounds. `stands_in`: one that captures takes live mail too where no relay is
    configured; it is final there, so that is for dev alone. `repr()` shows no password.
    """

    name: str
    host: str
    port: int
    tls: Tls
    username: str | None
    password: str | None
    captures: bool
    limits: RelaySettings
    stands_in: bool = True

    def __repr__(self) -> str:
        return f"RelayTarget({self.name}, {self.host}:{self.port}, tls={self.tls})"
