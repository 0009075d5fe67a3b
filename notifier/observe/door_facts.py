"""What happens at the doors: HTTP requests, listeners, and the capture server."""

from dataclasses import dataclass
from typing import ClassVar

from notifier.observe.facts import Fact, Level


@dataclass(frozen=True, slots=True)
class MailCaptured(Fact):
    """The capture server stored a mail. `message_id` is the mailbox's own id of it."""

    event: ClassVar[str] = "mailbox.captured"

    message_id: str
    recipients: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class CaptureRefused(Fact):
    """The capture server did not take a mail or a connection; `reason` is a stable word."""

    event: ClassVar[str] = "mailbox.refused"
    level: ClassVar[Level] = "warning"

    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class MailboxPruned(Fact):
    """The mailbox's limits removed old mail."""

    event: ClassVar[str] = "mailbox.pruned"

    count: int


@dataclass(frozen=True, slots=True)
class RequestServed(Fact):
    """An HTTP request was answered. `route` is a template, never the path or the query."""

    event: ClassVar[str] = "http.served"

    method: str
    route: str
    status: int
    ms: float
    project: str | None
    key_id: str | None
    trace_id: str | None


@dataclass(frozen=True, slots=True)
class ProbeServed(RequestServed):
    """A health check or a scrape of metrics was answered."""

    event: ClassVar[str] = "http.probe_served"
    level: ClassVar[Level] = "debug"


@dataclass(frozen=True, slots=True)
class RequestCrashed(Fact):
    """A bug of ours ended a request with 500. `traceback` is the only place that tells of it."""

    event: ClassVar[str] = "http.crashed"
    level: ClassVar[Level] = "error"

    method: str
    route: str
    error: str
    traceback: str


@dataclass(frozen=True, slots=True)
class ListenerStarted(Fact):
    """A listener answers. `purpose` is `api` or `ops`."""

    event: ClassVar[str] = "listener.started"

    purpose: str
    host: str
    port: int
