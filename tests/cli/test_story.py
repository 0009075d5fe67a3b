"""One mail's story: what each step is called, and who must act at the end."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from notifier.cli.story import lines, verdict
from notifier.core.message import Status
from notifier.store.events import Event
from notifier.store.trails import Trail
from notifier.store.workers import Worker
from tests.cli.test_causes import NOW, UP, down, worker

AT = datetime(2026, 1, 31, 9, 0, tzinfo=UTC)
MESSAGE = "msg_" + "a" * 32


def step(kind: str, **data: Any) -> Event:
    return Event("evt", "default", kind, AT, message_id=MESSAGE, data=data)


def trail(status: Status, *events: Event, **changes: Any) -> Trail:
    plain = Trail(
        message_id=MESSAGE,
        notification_id="ntf_" + "a" * 32,
        project="default",
        route="live",
        stream="transactional",
        to="ann@example.org",
        template=None,
        reference=None,
        status=status,
        attempts=1,
        created_at=AT,
        expires_at=NOW + timedelta(hours=5),
        due_at=None,
        final_at=AT,
        relay="main",
        queue_id="S1",
        bytes_kept=True,
        stands_still=False,
        events=events,
    )
    return replace(plain, **changes)


def told(kind: str, **data: Any) -> str:
    return lines(trail(Status.QUEUED, step(kind, **data)), NOW)[0].says


def attempt(**data: Any) -> dict[str, Any]:
    return {"n": 2, "of": 25, "relay": "main", "phase": "rcpt", **data}


def test_a_refusal_is_told_with_the_relays_own_words() -> None:
    said = told("message.bounced", attempt=attempt(code=550, enhanced="5.1.1", text="no such user"))
    assert said == (
        "bounced: relay main answered to the recipient (RCPT): 550 5.1.1 no such user (try 2 of 25)"
    )


def test_a_broken_link_is_told_in_words() -> None:
    said = told(
        "message.deferred",
        attempt=attempt(phase="connect", fault="timeout", text="30 s"),
        next_attempt_at="2026-01-31T09:05:00.000Z",
    )
    assert "relay main did not answer in time on connecting: 30 s" in said
    assert said.endswith("; again at 09:05:00")


@pytest.mark.parametrize(
    ("kind", "data", "said"),
    [
        ("notification.accepted", {"messages": 2, "template": "receipt"}, "for 2 recipients, from"),
        ("message.claim_lost", {"ambiguous": True}, "it may have been sent"),
        ("message.requeued", {"was": "failed", "reason": "by_operator"}, "after it was failed: an"),
        ("message.expired", {"reason": "life_ended"}, "expired: its life ended before"),
        ("message.canceled", {"reason": "by_operator"}, "canceled: an operator said so"),
        ("message.quarantined", {"reason": "odd_thing"}, "quarantined: odd thing"),
        ("registration.confirmed", {}, "registration confirmed"),
    ],
)
def test_every_step_is_a_sentence_also_one_of_a_later_release(
    kind: str, data: dict[str, Any], said: str
) -> None:
    assert said in told(kind, **data)


@pytest.mark.parametrize(
    ("status", "who"),
    [
        (Status.SENT, "Nobody has to act here."),
        (Status.CAPTURED, "Nobody has to act."),
        (Status.BOUNCED, "Whoever keeps the address has to correct it."),
        (Status.REJECTED, "Whoever writes or configures it has to look"),
        (Status.FAILED, "An operator has to see why"),
        (Status.EXPIRED, "The caller has to say whether it is still wanted"),
        (Status.HELD, "An operator has to decide"),
        (Status.CANCELED, "Nobody has to act"),
    ],
)
def test_every_end_says_who_has_to_act(status: Status, who: str) -> None:
    assert who in verdict(trail(status), [worker(UP)], NOW)


RETRYABLE = [Status.BOUNCED, Status.REJECTED, Status.FAILED, Status.EXPIRED, Status.HELD]


@pytest.mark.parametrize("status", RETRYABLE)
def test_what_can_be_sent_again_says_how_unless_its_bytes_are_erased(status: Status) -> None:
    assert f"`notifier retry {MESSAGE}`" in verdict(trail(status), [], NOW)
    erased = verdict(trail(status, bytes_kept=False), [], NOW)
    assert "its bytes are erased" in erased
    assert "notifier retry" not in erased


def waiting(**changes: Any) -> Trail:
    return trail(Status.QUEUED, due_at=AT, final_at=None, **changes)


def test_waiting_mail_is_explained_by_what_stands_in_its_way() -> None:
    assert "as soon as a seat is free. Nobody" in verdict(waiting(), [worker(UP)], NOW)
    assert "an operator has to start `notifier serve`" in verdict(waiting(), [], NOW)
    said = verdict(waiting(), [worker(down("auth: 535 no"))], NOW)
    assert "Relay main is paused since 07:30:00 because it refuses the password" in said


def test_a_life_that_stands_still_is_not_said_to_end() -> None:
    blocked = [worker(down("auth: 535 no"))]
    assert "Its life stands still meanwhile." in verdict(waiting(stands_still=True), blocked, NOW)
    assert "Its life ends at 14:30:00." in verdict(waiting(stands_still=False), blocked, NOW)


def test_deferred_and_scheduled_mail_says_when_it_goes_on() -> None:
    alive: list[Worker] = [worker(UP)]
    later = NOW + timedelta(minutes=5)
    deferred = trail(Status.DEFERRED, due_at=later, final_at=None)
    assert "due again at 09:35:00. It is tried again by itself. Nobody" in verdict(
        deferred, alive, NOW
    )
    scheduled = trail(Status.SCHEDULED, due_at=later, final_at=None)
    assert "Waits for its time, 09:35:00. Nobody has to act." in verdict(scheduled, alive, NOW)


def test_doubt_is_explained_in_a_sentence() -> None:
    doubtful = trail(Status.SENT, step("message.deferred", ambiguous=True))
    said = verdict(doubtful, [], NOW)
    assert "nobody can know whether it arrived then" in said
    assert "the same Message-ID" in said
