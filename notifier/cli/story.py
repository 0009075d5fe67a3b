"""One mail's story in plain sentences, and who has to act for it to go on."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from notifier.cli.causes import all_paused, blocked
from notifier.cli.phrases import count, moment, span
from notifier.core.message import FINAL, Status
from notifier.store.events import Event
from notifier.store.trails import Trail
from notifier.store.workers import Worker

_LINK_FAULTS: Final = {
    "refused": "could not be reached",
    "timeout": "did not answer in time",
    "dropped": "hung up",
    "garbage": "answered what is no SMTP",
    "tls": "could not agree on an encryption",
    "certificate": "has a certificate that cannot be trusted",
    "dns": "has a name that leads nowhere",
    "starttls_not_offered": "offers no encryption",
    "auth_not_offered": "offers no login",
    "size_exceeded": "takes no mail of this size",
    "smtputf8_not_offered": "takes no address like this one",
    "unsendable_content": "was not offered the mail, which cannot be sent as it is",
}
_PHASES: Final = {
    "connect": "on connecting",
    "banner": "at its greeting",
    "ehlo": "at EHLO",
    "starttls": "at STARTTLS",
    "auth": "at the login",
    "mail": "to our sender (MAIL)",
    "rcpt": "to the recipient (RCPT)",
    "data": "before the mail (DATA)",
    "body": "during the mail",
    "dot": "after the whole mail",
}
_UNTRIED: Final = {
    "life_ended": "its life ended before it could be sent",
    "claimed_without_outcome": "five tries in a row ended without a trace: it may be what stops"
    " the processes that send it",
    "outcome_unknown": "a try ended without a trace, so that it may have been sent",
    "bytes_erased": "its bytes are erased, so that it cannot be sent",
    "unreadable": "its bytes cannot be decrypted with the keys in NOTIFIER_SECRET_KEY",
    "no_capture_server": "mail of a test key, and no capture server is configured",
    "by_operator": "an operator said so",
    "by_caller": "the caller said so",
}
_RETRY: Final = "`notifier retry {id}` sends it again"
_POST_AGAIN: Final = "its bytes are erased, so that the caller has to post it again"


@dataclass(frozen=True, slots=True)
class Line:
    """One step, in one sentence."""

    at: datetime
    says: str


def lines(trail: Trail, now: datetime) -> Sequence[Line]:
    """The steps of a mail in the order in which they happened."""
    return [Line(event.at, _says(event, now)) for event in trail.events]


def verdict(trail: Trail, alive: Sequence[Worker], now: datetime) -> str:
    """How it stands, who has to act, and how."""
    return " ".join([*_standing(trail, alive, now), *_doubt(trail)])


def _says(event: Event, now: datetime) -> str:
    data = event.data
    if event.type == "notification.accepted":
        to = count(int(data.get("messages", 1)), "recipient")
        template = data.get("template")
        return f"accepted for {to}" + (f", from the template {template}" if template else "")
    if event.type == "message.claim_lost":
        return "a process took it and ended without a trace: it may have been sent"
    if event.type == "message.requeued":
        return f"put back into the queue, after it was {data.get('was')}: {_why(data)}"
    step = event.type.removeprefix("message.")
    if not isinstance(data.get("attempt"), Mapping):
        return f"{step}: {_why(data)}" if data.get("reason") else event.type.replace(".", " ")
    again = data.get("next_attempt_at")
    following = f"; again at {moment(datetime.fromisoformat(again), now)}" if again else ""
    return f"{step}: {tried(data['attempt'])}{following}"


def tried(attempt: Mapping[str, Any]) -> str:
    """What a relay did at one try."""
    relay = f"relay {attempt.get('relay')}"
    number = f" (try {attempt['n']} of {attempt['of']})" if attempt.get("n") else ""
    text = attempt.get("text") or ""
    if "fault" in attempt:
        fault = _LINK_FAULTS.get(attempt["fault"], "failed")
        where = _PHASES.get(str(attempt.get("phase")), "")
        return f"{relay} {fault} {where}: {text}{number}"
    codes = " ".join(str(part) for part in (attempt.get("code"), attempt.get("enhanced")) if part)
    if 200 <= int(attempt.get("code") or 0) < 300:
        return f"{relay} took it and said {codes} {text}{number}"
    return f"{relay} answered {_PHASES.get(str(attempt.get('phase')), '')}: {codes} {text}{number}"


def _why(data: Mapping[str, Any]) -> str:
    reason = str(data.get("reason", ""))
    return _UNTRIED.get(reason, reason.replace("_", " "))


def _standing(trail: Trail, alive: Sequence[Worker], now: datetime) -> Iterator[str]:
    if trail.status in FINAL or trail.status is Status.HELD:
        yield from _of_ended(trail, now)
    else:
        yield from _of_waiting(trail, alive, now)


def _of_ended(trail: Trail, now: datetime) -> Iterator[str]:
    again = _RETRY.format(id=trail.message_id) if trail.bytes_kept else _POST_AGAIN
    at = "" if trail.final_at is None else f" at {moment(trail.final_at, now)}"
    match trail.status:
        case Status.SENT:
            own = f" (its number for it: {trail.queue_id})" if trail.queue_id else ""
            yield (
                f"Sent{at}. Relay {trail.relay} answers for it now{own}; what became of it after"
                " that stands in the relay's log. Nobody has to act here."
            )
        case Status.CAPTURED:
            yield f"Captured{at}: the inbox has it, and nobody else. Nobody has to act."
        case Status.BOUNCED:
            yield (
                f"The address was refused for good{at}. Whoever keeps the address has to correct"
                f" it. If it is right after all: {again}."
            )
        case Status.REJECTED:
            yield (
                f"The mail was refused for good{at}, though not for its address. Whoever writes or"
                f" configures it has to look at what the relay said. After that: {again}."
            )
        case Status.FAILED:
            yield (
                f"Given up{at}: all tries are used. An operator has to see why the relay put it"
                f" off each time. After that: {again}."
            )
        case Status.EXPIRED:
            yield (
                f"Its life ended{at} before it could be sent. The caller has to say whether it is"
                f" still wanted; if so: {again}."
            )
        case Status.HELD:
            yield from _of_held(trail, again)
        case _:
            yield f"Never sent: {trail.status.value}{at}. Nobody has to act; if it was wrong: the"
            yield "caller has to post it again."


def _of_held(trail: Trail, again: str) -> Iterator[str]:
    reason = next((_why(e.data) for e in reversed(trail.events) if e.data.get("reason")), "unknown")
    yield (
        f"Held: {reason}. An operator has to decide: {again}, and"
        f" `notifier cancel {trail.message_id}` ends it."
    )


def _of_waiting(trail: Trail, alive: Sequence[Worker], now: datetime) -> Iterator[str]:
    if trail.status is Status.SENDING:
        yield "A process has it in hand just now. Nobody has to act."
        return
    ends = f" Its life ends at {moment(trail.expires_at, now)}."
    if trail.status is Status.SCHEDULED and trail.due_at is not None:
        yield f"Waits for its time, {moment(trail.due_at, now)}. Nobody has to act.{ends}"
        return
    yield _opening(trail, now)
    if not alive:
        yield "No process delivers: an operator has to start `notifier serve` or `notifier worker`."
    elif cause := blocked(alive, trail.route, now):
        yield f"{cause[0].upper()}{cause[1:]}"
        if trail.stands_still and all_paused(alive, trail.route):
            ends = "Its life stands still meanwhile."
    elif _last_action(trail) == "operator":
        yield "The relay refuses us, not this mail: an operator has to look at `notifier status`."
    elif trail.status is Status.DEFERRED:
        yield "It is tried again by itself. Nobody has to act."
    else:
        yield "A process takes it as soon as a seat is free. Nobody has to act."
    yield ends.strip()


def _opening(trail: Trail, now: datetime) -> str:
    if trail.due_at is None:
        return "Waits."
    if trail.status is Status.DEFERRED:
        return f"Put off for now, and due again at {moment(trail.due_at, now)}."
    return f"Waits to be sent, for {span(now - trail.due_at)} now."


def _last_action(trail: Trail) -> str | None:
    return next((e.data.get("action") for e in reversed(trail.events) if e.message_id), None)


def _doubt(trail: Trail) -> Iterator[str]:
    doubtful = [event for event in trail.events if event.data.get("ambiguous")]
    if not doubtful:
        return
    times = "once" if len(doubtful) == 1 else f"{len(doubtful)} times"
    yield (
        f"Note: {times} a try broke off after the mail was handed over and before the answer came,"
        " so that nobody can know whether it arrived then. All copies have the same Message-ID."
    )
