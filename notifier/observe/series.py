"""Every metric there is: its name, its kind, what it means, and by what it is split.

Names follow Prometheus' rules: base units, `_total` for what only grows. Labels take their values
from short lists (statuses, streams, verdicts, relays of the settings, route templates), never from
a mail: a metric can name neither a person nor a message.
"""

from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["counter", "gauge", "histogram"]

_REQUEST_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_ATTEMPT_S: Final = (
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
    30.0,
    60.0,
    300.0,
)
# From a local relay to a mail that was retried for a day.
_DELIVERY_S: Final = (
    0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0,
    86400.0,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Series:
    """One metric. `buckets` are a histogram's upper bounds in ascending order, without infinity."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


def _counter(name: str, help_: str, *labels: str) -> Series:
    return Series(name, "counter", help_, labels)


def _gauge(name: str, help_: str, *labels: str) -> Series:
    return Series(name, "gauge", help_, labels)


ACCEPTED: Final = _counter(
    "notifier_accepted_total", "Messages accepted with 202: committed to the store.", "stream"
)
MESSAGES: Final = _counter(
    "notifier_messages_total",
    "Steps of messages by the status they led to; deferred counts once for each deferral.",
    "status",
)
ATTEMPTS: Final = _counter(
    "notifier_attempts_total",
    "Tries of a mail at a relay, by what became of the message.",
    "relay",
    "verdict",
)
AMBIGUOUS: Final = _counter(
    "notifier_ambiguous_total",
    "Outcomes that nobody can know: the mail may go out twice, marked.",
    "cause",
)
ALERTS: Final = _counter(
    "notifier_alerts_total", "Messages whose refusal an operator has to look at.", "reason"
)
DELIVERY_S: Final = Series(
    "notifier_delivery_seconds",
    "histogram",
    "From the 202, or the time a mail was scheduled for, until a relay took it.",
    ("stream",),
    _DELIVERY_S,
)
ATTEMPT_S: Final = Series(
    "notifier_attempt_seconds",
    "histogram",
    "One try of a mail at a relay, connecting included.",
    ("relay",),
    _ATTEMPT_S,
)
LEASES_LOST: Final = _counter(
    "notifier_leases_lost_total", "Outcomes that came after the lease had gone to somebody else."
)
UNREADABLE: Final = _counter(
    "notifier_unreadable_total", "Stored mails that could not be decrypted and are held."
)
ABANDONED: Final = _counter(
    "notifier_work_abandoned_total", "Jobs that a bug of ours ended without an outcome."
)
RELAY_CHANGES: Final = _counter(
    "notifier_relay_changes_total", "Times a relay went into a state.", "relay", "state"
)
STORE_AWAY: Final = _counter(
    "notifier_store_away_total", "Times the delivery wing could not reach the store."
)
WRITES: Final = _counter(
    "notifier_store_writes_total", "Writes made durable; divided by the commits, a group's size."
)
COMMIT_S: Final = Series(
    "notifier_store_commit_seconds",
    "histogram",
    "One group commit: the wait for the write lock, its statements, and the sync.",
    (),
    _REQUEST_S,
)
REGISTRATIONS: Final = _counter(
    "notifier_registrations_total", "Registrations by the step they took.", "step"
)
FORGOTTEN: Final = _counter(
    "notifier_retention_forgotten_total", "Things that retention removed, by rule.", "rule"
)
REQUEST_S: Final = Series(
    "notifier_http_request_seconds",
    "histogram",
    "HTTP requests, by route template and status; probes are left out.",
    ("route", "status"),
    _REQUEST_S,
)
CRASHES: Final = _counter(
    "notifier_http_crashes_total", "Requests that a bug of ours ended with 500."
)
ERRORS: Final = _counter(
    "notifier_errors_total", "Log lines of level error that are facts of ours, by event.", "event"
)
CAPTURED: Final = _counter(
    "notifier_mailbox_captured_total", "Mails that the capture server stored."
)
CAPTURE_REFUSED: Final = _counter(
    "notifier_mailbox_refused_total", "Mails and connections the capture server did not take."
)
PRUNED: Final = _counter("notifier_mailbox_pruned_total", "Captured mails removed by the limits.")

COUNTED: Final = (
    ACCEPTED, MESSAGES, ATTEMPTS, AMBIGUOUS, ALERTS, DELIVERY_S, ATTEMPT_S, LEASES_LOST, UNREADABLE,
    ABANDONED, RELAY_CHANGES, STORE_AWAY, WRITES, COMMIT_S, REGISTRATIONS, FORGOTTEN, REQUEST_S,
    CRASHES, ERRORS, CAPTURED, CAPTURE_REFUSED, PRUNED,
)  # fmt: skip
"""Made of facts as they happen, by `Metrics`; since the start of the process."""

QUEUE_DEPTH: Final = _gauge(
    "notifier_queue_depth", "Messages that are due and wait for a seat.", "route", "lane"
)
QUEUE_AGE_S: Final = _gauge(
    "notifier_queue_oldest_age_seconds",
    "How long the message that is due longest has been due; 0 when none is.",
    "route",
    "lane",
)
QUEUE_SCHEDULED: Final = _gauge(
    "notifier_queue_scheduled",
    "Messages in the queue whose time has not come: scheduled, deferred, or being sent.",
    "route",
    "lane",
)
QUEUE_READ_S: Final = _gauge(
    "notifier_queue_read_age_seconds", "How old the figures of the queue are."
)
HELD: Final = _gauge(
    "notifier_held_messages", "Messages set aside until an operator retries or cancels them."
)
SEATS: Final = _gauge(
    "notifier_seats", "Seats of this process's dispatchers: mails under way at once.", "state"
)
RELAY_UP: Final = _gauge(
    "notifier_relay_up", "1 while a relay is used, 0 while it rests or is paused.", "relay"
)
RELAY_STATE: Final = _gauge(
    "notifier_relay_state", "1 for the state that a relay is in.", "relay", "state"
)
RELAY_CONNECTIONS: Final = _gauge(
    "notifier_relay_connections", "Connections to a relay that are open.", "relay"
)
RELAY_LIMIT: Final = _gauge(
    "notifier_relay_connections_limit",
    "Connections that a relay is given at most; less than configured where it refused more.",
    "relay",
)
RELAY_MAILS: Final = _gauge(
    "notifier_relay_mails",
    "Mails of this process at a relay: in line for a connection, or under way on one.",
    "relay",
    "state",
)
STORE_UP: Final = _gauge("notifier_store_up", "1 when the store answered when last asked.")
WRITES_WAITING: Final = _gauge(
    "notifier_store_writes_waiting", "Writes of this process that wait for a commit."
)
CLOCK_AHEAD_S: Final = _gauge(
    "notifier_clock_ahead_seconds", "How far the database's clock is ahead of this machine's."
)
DISK_FREE: Final = _gauge("notifier_disk_free_bytes", "Room left where DATA_DIR is.")
DISK_SIZE: Final = _gauge("notifier_disk_size_bytes", "Size of the disk that DATA_DIR is on.")
BUILD: Final = _gauge(
    "notifier_build_info",
    "Always 1; the labels say what runs.",
    "version",
    "python",
    "role",
)
STORE_INFO: Final = _gauge(
    "notifier_store_info", "Always 1; the labels say which database this is.", "engine", "version"
)

READ: Final = (
    QUEUE_DEPTH, QUEUE_AGE_S, QUEUE_SCHEDULED, QUEUE_READ_S, HELD, SEATS, RELAY_UP, RELAY_STATE,
    RELAY_CONNECTIONS, RELAY_LIMIT, RELAY_MAILS, STORE_UP, WRITES_WAITING,
    CLOCK_AHEAD_S, DISK_FREE, DISK_SIZE, BUILD, STORE_INFO,
)  # fmt: skip
"""Read when they are asked for."""
