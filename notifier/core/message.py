"""Statuses of a message, which step leads where, and who has to act (contract: Statuses)."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import IntEnum, StrEnum
from typing import Final


class Status(StrEnum):
    """What a caller sees. The first five are not final."""

    SCHEDULED = "scheduled"
    QUEUED = "queued"
    SENDING = "sending"
    DEFERRED = "deferred"
    HELD = "held"
    SENT = "sent"
    CAPTURED = "captured"
    BOUNCED = "bounced"
    REJECTED = "rejected"
    FAILED = "failed"
    EXPIRED = "expired"
    SUPPRESSED = "suppressed"
    CANCELED = "canceled"


class Stored(StrEnum):
    """What the message row holds beside the final statuses."""

    PENDING = "pending"
    HELD = "held"


class Step(StrEnum):
    """What can happen to a message that is not final."""

    DELIVERED = "delivered"
    CAPTURED = "captured"
    RECIPIENT_REFUSED = "recipient_refused"
    CONTENT_REFUSED = "content_refused"
    ATTEMPTS_USED_UP = "attempts_used_up"
    LIFE_ENDED = "life_ended"
    SET_ASIDE = "set_aside"
    CANCELED = "canceled"
    SUPPRESSED = "suppressed"
    PUT_BACK = "put_back"


class Lane(IntEnum):
    """Order in which due messages leave; the caller's word for it is `stream`."""

    URGENT = 0
    TRANSACTIONAL = 1
    BULK = 2

    @property
    def stream(self) -> str:
        """The caller's word."""
        return self.name.lower()


FINAL: Final = frozenset(Status) - {
    Status.SCHEDULED,
    Status.QUEUED,
    Status.SENDING,
    Status.DEFERRED,
    Status.HELD,
}

_PENDING_STEPS: Mapping[Step, Status | Stored] = {
    Step.DELIVERED: Status.SENT,
    Step.CAPTURED: Status.CAPTURED,
    Step.RECIPIENT_REFUSED: Status.BOUNCED,
    Step.CONTENT_REFUSED: Status.REJECTED,
    Step.ATTEMPTS_USED_UP: Status.FAILED,
    Step.LIFE_ENDED: Status.EXPIRED,
    Step.SET_ASIDE: Stored.HELD,
    Step.CANCELED: Status.CANCELED,
    Step.SUPPRESSED: Status.SUPPRESSED,
    Step.PUT_BACK: Stored.PENDING,
}

TRANSITIONS: Mapping[tuple[str, Step], Status | Stored] = {
    **{(Stored.PENDING.value, step): status for step, status in _PENDING_STEPS.items()},
    (Stored.HELD.value, Step.PUT_BACK): Stored.PENDING,
    (Stored.HELD.value, Step.CANCELED): Status.CANCELED,
    (Stored.HELD.value, Step.LIFE_ENDED): Status.EXPIRED,
    (Status.FAILED.value, Step.PUT_BACK): Stored.PENDING,
    (Status.EXPIRED.value, Step.PUT_BACK): Stored.PENDING,
    (Status.REJECTED.value, Step.PUT_BACK): Stored.PENDING,
    (Status.BOUNCED.value, Step.PUT_BACK): Stored.PENDING,
}
"""`{(stored status, step): stored status}`. What is not in it cannot happen."""

_ACTIONS: Mapping[Status, str] = {
    Status.HELD: "operator",
    Status.BOUNCED: "fix_address",
    Status.REJECTED: "fix_content_or_config",
    Status.FAILED: "resend_or_operator",
    Status.EXPIRED: "caller",
}


def after(stored: str, step: Step) -> Status | Stored:
    """The stored status that `step` leads to. Raises ValueError for a step that cannot happen."""
    try:
        return TRANSITIONS[stored, step]
    except KeyError:
        raise ValueError(f"{step} cannot happen to a message that is {stored}") from None


def pending_status(*, claimed: bool, claims: int, due_at: datetime, now: datetime) -> Status:
    """What a message in the outbox is called towards a caller.

    One that waits for its time is `scheduled` until it was first claimed, then `deferred`.
    """
    if claimed and due_at > now:
        return Status.SENDING
    if due_at <= now:
        return Status.QUEUED
    return Status.DEFERRED if claims else Status.SCHEDULED


def who_acts(status: Status) -> str | None:
    """Who has to act for something more to happen; None: nobody."""
    return _ACTIONS.get(status)


def common_status(statuses: Iterable[Status]) -> str:
    """A notification's status: the messages' common one, else the first non-final in the order
    of `Status`, else `mixed`.
    """
    seen = set(statuses)
    if len(seen) == 1:
        return seen.pop().value
    return next((status.value for status in Status if status in seen - FINAL), "mixed")
