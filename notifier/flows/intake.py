"""Accepting a notification: checked, rendered, built, committed; after that only the network
can fail.
"""

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from notifier.compose.headers import check_headers
from notifier.compose.inline import render_inline
from notifier.compose.rendered import Rendered
from notifier.compose.variables import POINTER as VARIABLES
from notifier.core.address import Mailbox
from notifier.core.errors import FieldError, Invalid, KeyReused
from notifier.core.message import Lane, Status
from notifier.flows.desk import Client, Desk
from notifier.flows.mail import MailPlan, build, life_of
from notifier.observe.facts import NotificationAccepted
from notifier.store.acceptance import ACCEPT, Acceptance, FirstCall, OnceKey, first_call
from notifier.store.notifications import MessageView, NotificationView

Stream = Literal["urgent", "transactional", "bulk"]

METADATA_BYTES: Final = 4096
_COMPACT: Final = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False)

_DOES_NOT_FIT: Final = "The notification does not fit."

_THREAD_CHARS: Final = 512 * 1024
"""Mails that come to more than this together are made in a thread, not in the event loop."""

_TEMPLATE_CHARS: Final = 10_000
_DERIVING: Final = 32
"""Making the text version from html costs about as much as building so many mails of its size."""


@dataclass(frozen=True, slots=True)
class TemplateWords:
    """Words from a template."""

    name: str
    variables: Mapping[str, object]
    locale: str | None = None


@dataclass(frozen=True, slots=True)
class InlineWords:
    """Words from the call."""

    subject: str
    html: str | None
    text: str | None


@dataclass(frozen=True, slots=True)
class MailRequest:
    """What a caller asks for, parsed. `headers` are extra ones, names as given."""

    to: tuple[Mailbox, ...]
    words: TemplateWords | InlineWords
    from_: Mailbox | None = None
    reply_to: tuple[Mailbox, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    reference: str | None = None
    tags: Mapping[str, str] | None = None
    metadata: Mapping[str, Any] | None = None
    stream: Stream | None = None
    scheduled_at: datetime | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Once:
    """An `Idempotency-Key` on a route; `fingerprint` is a hash of the canonical body."""

    http_route: str
    key: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Accepted:
    """What the caller is told. `replayed`: by an earlier call with the same key."""

    notification_id: str
    answer: str
    replayed: bool = False


Render = Callable[[NotificationView], str]
"""Makes the answer, which is kept with an idempotency key to be repeated to the letter."""


async def accept(
    desk: Desk, client: Client, request: MailRequest, render: Render, once: Once | None = None
) -> Accepted:
    """Commit the notification. Raises Invalid, KeyReused, Unavailable; then nothing is stored."""
    if once is not None:
        # Asked before anything is checked: a repeated call is answered as the first one was,
        # even if the template or the clock has moved on since.
        once = _of_route(once, client)
        place = (client.project, once.http_route, once.key)
        first = await desk.store.read(first_call, *place)
        if first is not None:
            return _replay(first, once)
    acceptance = await _prepare(desk, client, request)
    answer = render(view_of(acceptance, request.to))
    if once is not None:
        key = OnceKey(once.http_route, once.key, once.fingerprint, answer)
        acceptance = replace(acceptance, once=key)
    first = await desk.store.write(ACCEPT, acceptance)
    if once is not None and first is not None:
        return _replay(first, once)
    new = acceptance.notification
    desk.observe(
        NotificationAccepted(new.id, new.project, new.lane.stream, len(acceptance.messages))
    )
    return Accepted(new.id, answer)


def _of_route(once: Once, client: Client) -> Once:
    """A rehearsal with a test key must not stand for the real call, whose mail would be lost."""
    if client.route == "live":
        return once
    return replace(once, http_route=f"{once.http_route}:{client.route}")


def _replay(first: FirstCall, once: Once) -> Accepted:
    if first.fingerprint != once.fingerprint:
        raise KeyReused("This Idempotency-Key was used with another body; use a new key.")
    return Accepted(first.winner, first.answer, replayed=True)


async def _prepare(desk: Desk, client: Client, request: MailRequest) -> Acceptance:
    words = request.words
    variables_bytes = _json_bytes(words.variables) if isinstance(words, TemplateWords) else 0
    if _is_long(request, variables_bytes):
        return await asyncio.to_thread(_made, desk, client, request, variables_bytes)
    return _made(desk, client, request, variables_bytes)


def _is_long(request: MailRequest, variables_bytes: int) -> bool:
    words = request.words
    if isinstance(words, TemplateWords):
        chars = _TEMPLATE_CHARS + variables_bytes
    else:
        html = len(words.html or "")
        chars = len(words.text) + html if words.text is not None else html * _DERIVING
    return chars * len(request.to) > _THREAD_CHARS


def _made(desk: Desk, client: Client, request: MailRequest, variables_bytes: int) -> Acceptance:
    return build(desk, _plan(desk, client, request, variables_bytes))


def _plan(desk: Desk, client: Client, request: MailRequest, variables_bytes: int) -> MailPlan:
    """Everything that can be wrong with the call, except its bytes. Raises Invalid."""
    now = desk.now()
    begins = max(request.scheduled_at or now, now)
    faults = [*_faults(desk, client, request), *_time_faults(desk, request, now)]
    most = desk.settings.limits.variables_bytes
    if variables_bytes > most:
        faults.append(FieldError(VARIABLES, "too_long", f"At most {most} bytes as JSON."))
    try:
        rendered = _render(desk, request.words)
    except Invalid as error:
        raise Invalid(_DOES_NOT_FIT, errors=[*faults, *error.errors]) from error
    faults += _rendered_faults(desk, request.words, rendered)
    if faults:
        raise Invalid(_DOES_NOT_FIT, errors=faults)
    return MailPlan(
        client=client,
        rendered=rendered,
        to=request.to,
        sender=request.from_ or rendered.sender or desk.sender,
        lane=Lane[(request.stream or rendered.stream).upper()],
        created_at=now,
        expires_at=request.expires_at or begins + life_of(desk, rendered),
        scheduled_at=begins if request.scheduled_at else None,
        reply_to=request.reply_to,
        headers=request.headers,
        reference=request.reference,
        tags=request.tags,
        metadata=request.metadata,
        default_life=request.expires_at is None and rendered.life_s is None,
    )


def _render(desk: Desk, words: TemplateWords | InlineWords) -> Rendered:
    if isinstance(words, TemplateWords):
        return desk.catalogue.render(words.name, words.variables, locale=words.locale)
    # Measured before the text version is made of it: that takes a second for a megabyte.
    if faults := [*_length_faults(desk, words.subject, words.html, words.text)]:
        raise Invalid(_DOES_NOT_FIT, errors=faults)
    return render_inline(words.subject, words.html, words.text)


def _faults(desk: Desk, client: Client, request: MailRequest) -> Iterator[FieldError]:
    yield from check_headers(dict(request.headers))
    limits = desk.settings.limits
    for pointer, boxes in (("/to", request.to), ("/reply_to", request.reply_to)):
        if len(boxes) > limits.recipients:
            yield FieldError(pointer, "too_many", f"Send at most {limits.recipients} addresses.")
    if request.from_ is not None and not _may_send_from(desk, client, request.from_):
        yield FieldError("/from", "from_not_allowed", "This key may not send from that domain.")
    if request.metadata is not None and _json_bytes(request.metadata) > METADATA_BYTES:
        yield FieldError("/metadata", "too_long", f"At most {METADATA_BYTES} bytes as JSON.")


def _time_faults(desk: Desk, request: MailRequest, now: datetime) -> Iterator[FieldError]:
    ahead = timedelta(seconds=desk.settings.limits.schedule_ahead_s)
    begins = max(request.scheduled_at or now, now)
    if begins - now > ahead:
        yield FieldError("/scheduled_at", "too_far", f"At most {ahead.days} days ahead.")
    if request.expires_at is not None and request.expires_at <= begins:
        yield FieldError("/expires_at", "not_after_start", "Let it end after it begins.")


def _json_bytes(value: Mapping[str, object]) -> int:
    return len(_COMPACT.encode(value).encode())


def _may_send_from(desk: Desk, client: Client, sender: Mailbox) -> bool:
    allowed = client.from_domains or (desk.sender.domain,)
    return sender.domain in {domain.lower() for domain in allowed}


def _length_faults(
    desk: Desk, subject: str, html: str | None, text: str | None
) -> Iterator[FieldError]:
    limits = desk.settings.limits
    if len(subject) > limits.subject_chars:
        yield FieldError("/subject", "too_long", f"At most {limits.subject_chars} characters.")
    for pointer, body, most in (
        ("/html", html, limits.html_bytes),
        ("/text", text, limits.text_bytes),
    ):
        if body is not None and len(body.encode("utf-8", "surrogatepass")) > most:
            yield FieldError(pointer, "too_long", f"At most {most} bytes in UTF-8.")


def _rendered_faults(
    desk: Desk, words: TemplateWords | InlineWords, rendered: Rendered
) -> Iterator[FieldError]:
    """What grew too long on the way from the call's fields, which the pointers name."""
    found = [*_length_faults(desk, rendered.subject, rendered.html, rendered.text)]
    if found and isinstance(words, TemplateWords):
        parts = ", ".join(fault.pointer.removeprefix("/") for fault in found)
        yield FieldError(VARIABLES, "too_long", f"Too long with these variables: {parts}.")
    elif found:
        yield FieldError("/html", "too_long", "Its text version is too long; send a shorter text.")


def view_of(acceptance: Acceptance, to: tuple[Mailbox, ...]) -> NotificationView:
    """The notification as it reads right after its commit."""
    new = acceptance.notification
    scheduled = new.scheduled_at is not None and new.scheduled_at > new.created_at
    return NotificationView(
        id=new.id,
        project=new.project,
        reference=new.reference,
        template=new.template,
        template_version=new.template_version,
        stream=new.lane.stream,
        tags=new.tags,
        metadata=new.metadata,
        created_at=new.created_at,
        scheduled_at=new.scheduled_at,
        expires_at=new.expires_at,
        messages=tuple(
            MessageView(
                id=message.id,
                to=recipient.address,
                status=Status.SCHEDULED if scheduled else Status.QUEUED,
                attempts=0,
                next_attempt_at=new.scheduled_at if scheduled else None,
                sent_at=None,
                message_id=message.message_id,
                relay=None,
                queue_id=None,
            )
            for message, recipient in zip(acceptance.messages, to, strict=True)
        ),
    )
