"""From a verdict to what the queue does with the message: a pure function of its arguments."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

from notifier.core.backoff import BackoffPolicy, next_due
from notifier.core.message import Step
from notifier.core.verdict import Action, Verdict

RELAY_REST: Final = timedelta(seconds=1)
"""A message that no relay took waits this long. The relay's own rest, which is longer, keeps it
from being claimed before that relay may be tried again."""

STEP_ASIDE: Final = timedelta(minutes=10)
"""A message that may itself be what a paused relay refuses waits longer than the pause, so that
another one is the next to probe it."""

_FINAL_STEPS: Final = {
    Action.BOUNCED: Step.RECIPIENT_REFUSED,
    Action.REJECTED: Step.CONTENT_REFUSED,
}


@dataclass(frozen=True, slots=True)
class RetryRules:
    """What the settings say about trying again."""

    backoff: BackoffPolicy
    on_ambiguous: Literal["retry", "hold"]


@dataclass(frozen=True, slots=True)
class NextStep:
    """`step` None: wait until `due_at`. `attempt` is the count with this try in it."""

    step: Step | None
    due_at: datetime | None
    attempt: int


@dataclass(frozen=True, slots=True)
class Tried:
    """The message at the moment of the verdict. `attempt` counts the tries before this one."""

    attempt: int
    now: datetime
    expires_at: datetime
    captures: bool


def next_step(verdict: Verdict, tried: Tried, rules: RetryRules, jitter: float) -> NextStep:
    """Where the message goes. `jitter` is in [0, 1)."""
    attempt = tried.attempt + verdict.burns_attempt
    if verdict.action is Action.SENT:
        return NextStep(Step.CAPTURED if tried.captures else Step.DELIVERED, None, attempt)
    if verdict.action in _FINAL_STEPS:
        return NextStep(_FINAL_STEPS[verdict.action], None, attempt)
    if verdict.ambiguous and rules.on_ambiguous == "hold":
        return NextStep(Step.SET_ASIDE, None, attempt)
    if not verdict.burns_attempt:
        wait = STEP_ASIDE if verdict.steps_aside else RELAY_REST
        return NextStep(None, min(tried.now + wait, tried.expires_at), attempt)
    due_at = next_due(
        attempt, tried.now, rules.backoff, jitter=jitter, greylisted=verdict.greylisted
    )
    if due_at is None:
        return NextStep(Step.ATTEMPTS_USED_UP, None, attempt)
    # Not later than its end: then it is found to have expired on time.
    return NextStep(None, min(due_at, tried.expires_at), attempt)
