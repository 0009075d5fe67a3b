"""From the verdict to the queue: who waits how long."""

from datetime import UTC, datetime, timedelta

from notifier.core.backoff import BackoffPolicy
from notifier.core.next_step import RELAY_REST, STEP_ASIDE, RetryRules, Tried, next_step
from notifier.core.reply import Outcome, Phase, Reply
from notifier.core.verdict import SEVERAL, verdict

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
TRIED = Tried(attempt=3, now=NOW, expires_at=NOW + timedelta(days=1), captures=False)
RULES = RetryRules(BackoffPolicy(30, 7200, 12), "retry")


def wait_after(outcome: Outcome) -> tuple[timedelta, int]:
    decided = verdict(outcome, reached_mail=True, mail_refusals=SEVERAL)
    following = next_step(decided, TRIED, RULES, jitter=0.0)
    assert following.step is None
    assert following.due_at is not None
    return following.due_at - NOW, following.attempt


def test_a_message_without_login_keeps_its_place_and_its_attempts() -> None:
    assert wait_after(Reply(Phase.MAIL, 530, "5.7.0", "")) == (RELAY_REST, 3)


def test_a_message_that_may_itself_be_what_is_refused_lets_others_probe_first() -> None:
    assert wait_after(Reply(Phase.MAIL, 550, None, "")) == (STEP_ASIDE, 3)
