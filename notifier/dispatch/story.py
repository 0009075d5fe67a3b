"""What a step of a message is called in its story: the event row, and the fact for the log."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from notifier.core.ids import made_at_s
from notifier.core.message import Status, Stored, after, who_acts
from notifier.core.next_step import NextStep
from notifier.core.reply import LinkFailure, LinkFault, Reply
from notifier.core.verdict import Action, Verdict
from notifier.observe.facts import MessageAlarmed, MessageStepped, masked
from notifier.smtp.relays import Attempt
from notifier.store.events import Event
from notifier.store.outbox import Claimed

_AT_ONCE_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class StepTaken:
    """A step and why. `attempt` and `verdict` are None for one without a try."""

    next: NextStep
    reason: str
    attempt: Attempt | None = None
    verdict: Verdict | None = None

    @property
    def status(self) -> Status:
        """What the message is called after it."""
        if self.next.step is None:
            return Status.DEFERRED
        return Status(after(Stored.PENDING, self.next.step).value)

    @property
    def happened(self) -> bool:
        """False: no relay could be tried, and the message is as it was."""
        failure = self.attempt and self.attempt.outcome
        return not (isinstance(failure, LinkFailure) and failure.fault is LinkFault.RESTING)

    @property
    def action(self) -> str | None:
        """Who has to act: the operator, while a relay refuses us instead of the mail."""
        if self.next.step is None and self.verdict is not None and self.verdict.alert:
            return "operator"
        return who_acts(self.status)

    @property
    def alarming(self) -> bool:
        """Whether an operator has to look at the answer to this mail. Of a relay that refuses us
        altogether he is told once, not with each mail.
        """
        judged = self.verdict
        return (
            judged is not None and judged.alert and judged.action is not Action.RELAY_MISCONFIGURED
        )

    @property
    def ambiguous(self) -> bool:
        """Whether nobody can know if the mail was delivered."""
        return self.verdict is not None and self.verdict.ambiguous


def event_of(step: StepTaken, job: Claimed, event_id: str, at: datetime, attempts: int) -> Event:
    """The row of the story. `attempts` is how many tries there are at most."""
    data: dict[str, Any] = {"reason": step.reason, "action": step.action}
    if step.next.step is None and step.next.due_at is not None:
        data["next_attempt_at"] = _time_text(step.next.due_at)
    if step.attempt is not None:
        data["attempt"] = {"n": step.next.attempt, "of": attempts} | _tried(step.attempt)
        data["ambiguous"] = step.ambiguous
    return _event(job, event_id, f"message.{step.status.value}", at, data)


def orphan_event(job: Claimed, event_id: str, at: datetime) -> Event:
    """An earlier claim left no outcome: its mail may have gone out."""
    data = {"reason": "claim_without_outcome", "ambiguous": True, "times": job.orphaned}
    return _event(job, event_id, "message.claim_lost", at, data)


def fact_of(step: StepTaken, job: Claimed) -> MessageStepped:
    """What the log and the metrics are told. A refusal that is neither the recipient's fault nor
    the relay's, which tells of itself, calls for an operator.
    """
    kind = MessageAlarmed if step.alarming else MessageStepped
    return kind(
        message_id=job.claim.id,
        project=job.project,
        recipient=masked(job.envelope.rcpt_to),
        status=step.status.value,
        reason=step.reason,
        attempt=step.next.attempt,
        relay=step.attempt.relay if step.attempt else None,
        ms=round(step.attempt.elapsed_ms, 1) if step.attempt else None,
        ambiguous=step.ambiguous or job.orphaned > 0,
        stream=job.lane.stream,
        verdict=step.verdict.action.value if step.verdict else None,
        wanted_at=_scheduled_for(job),
    )


def _scheduled_for(job: Claimed) -> datetime | None:
    """None for a mail that was to be sent as soon as it was accepted, when its id was made."""
    wanted_at = job.wanted_at
    if wanted_at is None or wanted_at.timestamp() - made_at_s(job.claim.id) < _AT_ONCE_S:
        return None
    return wanted_at


def _event(job: Claimed, event_id: str, kind: str, at: datetime, data: Mapping[str, Any]) -> Event:
    return Event(
        event_id,
        job.project,
        kind,
        at,
        notification_id=job.notification_id,
        message_id=job.claim.id,
        data=data,
    )


def _time_text(at: datetime) -> str:
    """RFC 3339 in UTC with milliseconds, as callers read times everywhere."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _tried(attempt: Attempt) -> dict[str, Any]:
    outcome = attempt.outcome
    tried: dict[str, Any] = {
        "relay": attempt.relay,
        "phase": outcome.phase.value,
        "ms": round(attempt.elapsed_ms, 1),
    }
    if isinstance(outcome, Reply):
        return tried | {"code": outcome.code, "enhanced": outcome.enhanced, "text": outcome.text}
    return tried | {"fault": outcome.fault.value, "text": outcome.detail}
