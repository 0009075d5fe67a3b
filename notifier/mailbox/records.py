"""What the rooms of the mailbox hand to each other."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

ChangeKind = Literal["new", "read", "unread", "deleted", "pruned"]


@dataclass(frozen=True, slots=True)
class Person:
    """A mailbox of RFC 5322 §3.4, decoded; `name` may be empty."""

    name: str
    address: str


@dataclass(frozen=True, slots=True)
class SessionInfo:
    """The SMTP session that a mail came in by. No password is kept."""

    peer: str
    helo: str
    auth_user: str | None
    tls: bool
    smtputf8: bool


@dataclass(frozen=True, slots=True)
class Arrival:
    """One mail as the server received it: bytes without dot-stuffing, otherwise untouched.

    `mail_from` is empty for the null reverse-path (RFC 5321 §4.5.5).
    """

    raw: bytes
    mail_from: str
    rcpt_to: tuple[str, ...]
    session: SessionInfo


@dataclass(frozen=True, slots=True)
class Summary:
    """What a list shows of a mail. `malformed` says in one line what could not be read."""

    sender: Person | None
    to: tuple[Person, ...]
    subject: str
    snippet: str
    date: datetime | None
    message_id: str | None
    template: str | None
    attachments: int
    has_html: bool
    has_text: bool
    malformed: str | None


@dataclass(frozen=True, slots=True)
class Captured:
    """A stored mail without its bytes. `seq` is its place in the feed of changes."""

    seq: int
    id: str
    captured_at: datetime
    is_read: bool
    size_bytes: int
    mail_from: str
    rcpt_to: tuple[str, ...]
    session: SessionInfo
    summary: Summary


@dataclass(frozen=True, slots=True)
class Change:
    """One step of the feed; `id` only grows, also over restarts."""

    id: int
    kind: ChangeKind
    message_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Totals:
    """Counts over the whole mailbox; `pruned` counts what the limits removed, ever."""

    messages: int
    unread: int
    size_bytes: int
    pruned: int


@dataclass(frozen=True, slots=True)
class Limits:
    """When old mail makes room."""

    max_messages: int
    max_total_bytes: int
    max_age_s: float


@dataclass(frozen=True, slots=True)
class Deleted:
    """Outcome of a delete: how many went, and which asked-for ids were not there."""

    deleted: int
    not_found: tuple[str, ...] = ()
