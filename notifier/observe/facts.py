"""What can happen, as frozen dataclasses. Flows and dispatcher emit them; logs are made of them.

A fact carries no secret, no subject, no body and no full address: `masked()` those first.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Final, Literal

Level = Literal["debug", "info", "warning", "error"]


@dataclass(frozen=True, slots=True)
class Fact:
    """Base of all facts. `event` is the stable name in logs; `level` its log level."""

    event: ClassVar[str]
    level: ClassVar[Level] = "info"


Observer = Callable[[Fact], None]
"""Takes a fact and never raises. Called from the event loop and from store threads."""


def each_of(*observers: Observer) -> Observer:
    """An observer that gives every fact to all of them, in this order."""

    def observe(fact: Fact) -> None:
        for one in observers:
            one(fact)

    return observe


def unobserved(_: Fact) -> None:
    """An observer for where nobody wants to know."""


def masked(address: str) -> str:
    """`j***@example.org`: enough to recognise a case, not enough to write to someone."""
    local, at, domain = address.rpartition("@")
    return f"{local[:1]}***{at}{domain}" if at else "***"


# It begins where a word does and never goes back: a long text costs no more by the letter.
_ADDRESS: Final = re.compile(r"(?<![^\s<>()\[\]\"',;:=])[^\s<>()\[\]\"',;:=@]++@[^\s<>()\"',;=]+")


def masked_text(text: str) -> str:
    """A text of somebody else's with every address in it masked."""
    return _ADDRESS.sub(lambda found: masked(found[0]), text) if "@" in text else text


@dataclass(frozen=True, slots=True)
class SchemaMigrated(Fact):
    """The database's schema was brought up to date; `before` is None for a new database."""

    event: ClassVar[str] = "schema.migrated"

    before: str | None
    after: str


@dataclass(frozen=True, slots=True)
class RelayUp(Fact):
    """A relay that rested or was paused works again. `down_s` is how long it did not."""

    event: ClassVar[str] = "relay.up"

    relay: str
    down_s: float


@dataclass(frozen=True, slots=True)
class RelayResting(Fact):
    """A relay does not answer as it should; it is left alone and probed. Once per outage."""

    event: ClassVar[str] = "relay.resting"
    level: ClassVar[Level] = "warning"

    relay: str
    reason: str


@dataclass(frozen=True, slots=True)
class RelayPaused(Fact):
    """A relay refuses us, not a mail: settings here or there have to change. Once per outage."""

    event: ClassVar[str] = "relay.paused"
    level: ClassVar[Level] = "error"

    relay: str
    reason: str


@dataclass(frozen=True, slots=True)
class RelayPassedOver(Fact):
    """A relay was tried for a mail, decided nothing about it, and another one was asked next."""

    event: ClassVar[str] = "relay.passed_over"

    relay: str
    verdict: str
    reason: str
    ms: float


@dataclass(frozen=True, slots=True)
class NotificationAccepted(Fact):
    """A notification was committed."""

    event: ClassVar[str] = "notification.accepted"

    notification_id: str
    project: str
    stream: str
    messages: int


@dataclass(frozen=True, slots=True)
class MessageStepped(Fact):
    """A message was tried, or ended without a try. `status` is where that left it.

    `verdict` is what was made of the relay's answer; None: no relay was asked. `wanted_at` is
    when it was to be sent, where that was not at once.
    """

    event: ClassVar[str] = "message.stepped"

    message_id: str
    project: str
    recipient: str
    status: str
    reason: str
    attempt: int
    relay: str | None = None
    ms: float | None = None
    ambiguous: bool = False
    stream: str | None = None
    verdict: str | None = None
    wanted_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class MessageAlarmed(MessageStepped):
    """The same, where the relay's answer calls for an operator: it refused a mail by policy, or
    its sender. Written as an error, counted, and told by `/readyz` for a while.
    """

    event: ClassVar[str] = "message.alarmed"
    level: ClassVar[Level] = "error"


@dataclass(frozen=True, slots=True)
class ClaimLost(Fact):
    """So many claims of a message, before this one, left no outcome: its mail may have gone out."""

    event: ClassVar[str] = "message.claim_lost"
    level: ClassVar[Level] = "warning"

    message_id: str
    count: int


@dataclass(frozen=True, slots=True)
class LeaseLost(Fact):
    """An outcome came after the message's lease had gone to somebody else."""

    event: ClassVar[str] = "message.lease_lost"
    level: ClassVar[Level] = "warning"

    message_id: str


@dataclass(frozen=True, slots=True)
class ContentUnreadable(Fact):
    """A stored mail cannot be decrypted; it is held until the key is listed again."""

    event: ClassVar[str] = "message.unreadable"
    level: ClassVar[Level] = "error"

    message_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class RegistrationChanged(Fact):
    """A registration was begun or confirmed; `step` says which."""

    event: ClassVar[str] = "registration.changed"

    registration_id: str
    project: str
    step: str


@dataclass(frozen=True, slots=True)
class Forgotten(Fact):
    """Retention removed `count` things; `rule` says of which kind."""

    event: ClassVar[str] = "retention.forgotten"

    rule: str
    count: int


@dataclass(frozen=True, slots=True)
class StoreAway(Fact):
    """The delivery wing could not reach the store and tries again."""

    event: ClassVar[str] = "store.away"
    level: ClassVar[Level] = "error"

    reason: str


@dataclass(frozen=True, slots=True)
class GroupCommitted(Fact):
    """One transaction made the writes of `members` callers durable."""

    event: ClassVar[str] = "store.committed"
    level: ClassVar[Level] = "debug"

    members: int
    ms: float


@dataclass(frozen=True, slots=True)
class WorkAbandoned(Fact):
    """A bug of ours ended a job without an outcome; its lease runs out and it is tried again.

    `traceback` is the only place that tells of it.
    """

    event: ClassVar[str] = "work.abandoned"
    level: ClassVar[Level] = "error"

    job: str
    error: str
    traceback: str


@dataclass(frozen=True, slots=True)
class WorkHung(Fact):
    """A job took longer than all its time limits together allow, and was cut off: a bug of ours.

    It is tried again; after several times in a row it is set aside.
    """

    event: ClassVar[str] = "work.hung"
    level: ClassVar[Level] = "error"

    job: str
    after_s: float


@dataclass(frozen=True, slots=True)
class StopForced(Fact):
    """The process hung when it was told to stop, and ended itself `after_s` seconds later."""

    event: ClassVar[str] = "process.stop_forced"
    level: ClassVar[Level] = "error"

    after_s: float
