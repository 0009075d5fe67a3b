"""The retry schedule."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.core.backoff import GREYLIST_S, BackoffPolicy, next_due

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
POLICY = BackoffPolicy(first_s=30, max_s=7200, attempts=12)


def wait_s(attempt: int, *, jitter: float = 0.0, greylisted: bool = False) -> float | None:
    due = next_due(attempt, NOW, POLICY, jitter=jitter, greylisted=greylisted)
    return None if due is None else (due - NOW).total_seconds()


@pytest.mark.parametrize(
    ("attempt", "shortest_s"), [(1, 15), (2, 30), (3, 60), (8, 1920), (9, 3600), (11, 3600)]
)
def test_next_due_doubles_up_to_the_longest_wait(attempt: int, shortest_s: float) -> None:
    assert wait_s(attempt) == shortest_s


def test_next_due_is_none_after_the_last_attempt() -> None:
    assert wait_s(11) is not None
    assert wait_s(12) is None
    assert wait_s(500) is None


@given(attempt=st.integers(0, 11), jitter=st.floats(0, 1, exclude_max=True))
def test_next_due_spreads_over_half_of_the_step(attempt: int, jitter: float) -> None:
    step = min(30 * 2 ** max(attempt - 1, 0), 7200)
    waited = wait_s(attempt, jitter=jitter)
    assert waited is not None
    assert step / 2 <= waited <= step


def test_next_due_gives_a_greylister_five_minutes() -> None:
    assert wait_s(1, greylisted=True) == GREYLIST_S
    assert wait_s(1, greylisted=True, jitter=0.5) == pytest.approx(330)


def test_next_due_does_not_hurry_for_a_greylister() -> None:
    assert wait_s(9, greylisted=True) == 3600


def test_next_due_stands_a_thousand_attempts() -> None:
    patient = BackoffPolicy(first_s=1, max_s=60, attempts=10_000)
    assert next_due(5000, NOW, patient, jitter=0.999) is not None
    assert next_due(9999, NOW, patient, jitter=0.0) == NOW + timedelta(seconds=30)
