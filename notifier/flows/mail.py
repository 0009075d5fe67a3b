"""From rendered words to everything that one transaction writes for a notification."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from notifier.compose.mime import Draft, compose
from notifier.compose.rendered import Rendered
from notifier.core.address import Mailbox
from notifier.core.envelope import Envelope
from notifier.core.errors import FieldError, Invalid
from notifier.core.message import Lane
from notifier.flows.desk import Client, Desk
from notifier.store.acceptance import Acceptance, NewContent, NewMessage, NewNotification
from notifier.store.events import Event


@dataclass(frozen=True, slots=True)
class MailPlan:
    """A notification before its bytes are made: one mail to each of `to`, who do not see
    each other. `default_life`: neither the caller nor the template says how long it lives.
    """

    client: Client
    rendered: Rendered
    to: tuple[Mailbox, ...]
    sender: Mailbox
    lane: Lane
    created_at: datetime
    expires_at: datetime
    scheduled_at: datetime | None = None
    reply_to: tuple[Mailbox, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    reference: str | None = None
    tags: Mapping[str, str] | None = None
    metadata: Mapping[str, Any] | None = None
    default_life: bool = False


def plan_of(desk: Desk, client: Client, rendered: Rendered, to: Mailbox) -> MailPlan:
    """A mail of our own accord: everything from the template and the settings."""
    now = desk.now()
    return MailPlan(
        client=client,
        rendered=rendered,
        to=(to,),
        sender=rendered.sender or desk.sender,
        lane=Lane[rendered.stream.upper()],
        created_at=now,
        expires_at=now + life_of(desk, rendered),
    )


def life_of(desk: Desk, rendered: Rendered) -> timedelta:
    """How long a mail is worth sending when nobody says so."""
    return timedelta(seconds=rendered.life_s or desk.settings.dispatch.life_s)


def build(desk: Desk, plan: MailPlan) -> Acceptance:
    """Make ids and bytes. Sealed where the template holds secrets. Raises Invalid."""
    notification_id = desk.new_id.new("ntf")
    contents: list[NewContent] = []
    messages: list[NewMessage] = []
    room = desk.settings.limits.call_bytes
    for recipient in plan.to:
        content, message = _one_mail(desk, plan, recipient)
        room -= content.size_bytes
        if room < 0:
            detail = "The mails of this call come to too many bytes; send to fewer in one call."
            raise Invalid(detail, errors=[FieldError("/to", "too_large", detail)])
        contents.append(content)
        messages.append(message)
    return Acceptance(
        notification=NewNotification(
            id=notification_id,
            project=plan.client.project,
            route=plan.client.route,
            lane=plan.lane,
            created_at=plan.created_at,
            expires_at=plan.expires_at,
            scheduled_at=plan.scheduled_at,
            reference=plan.reference,
            template=plan.rendered.template,
            template_version=plan.rendered.version,
            tags=plan.tags,
            metadata=plan.metadata,
            default_life=plan.default_life,
        ),
        contents=tuple(contents),
        messages=tuple(messages),
        accepted=Event(
            desk.new_id.new("evt"),
            plan.client.project,
            "notification.accepted",
            plan.created_at,
            notification_id=notification_id,
            data={"messages": len(messages), "template": plan.rendered.template},
        ),
    )


def _one_mail(desk: Desk, plan: MailPlan, to: Mailbox) -> tuple[NewContent, NewMessage]:
    message = desk.new_id.new("msg")
    message_id = f"<{message.removeprefix('msg_')}@{plan.sender.domain}>"
    composed = compose(
        Draft(
            from_=plan.sender,
            to=(to,),
            subject=plan.rendered.subject,
            text=plan.rendered.text,
            html=plan.rendered.html,
            message_id=message_id,
            date=plan.scheduled_at or plan.created_at,
            reply_to=plan.reply_to,
            headers=plan.headers,
        )
    )
    size = len(composed.content)
    most = desk.settings.limits.message_bytes
    if size > most:
        detail = f"The finished mail has {size} bytes; at most {most} can be sent."
        raise Invalid(detail, errors=[FieldError("", "too_large", detail)])
    sealed = plan.rendered.secret
    body = desk.store.seal.seal(composed.content) if sealed else composed.content
    content = NewContent(desk.new_id.new("cnt"), body, sealed, size)
    smtputf8 = composed.smtputf8 or to.needs_smtputf8
    envelope = Envelope(desk.return_path, to.address, smtputf8)
    return content, NewMessage(message, content.id, envelope, message_id)
