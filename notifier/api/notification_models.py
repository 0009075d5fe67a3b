"""Bodies of the notification routes, in both directions."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from notifier.api.fields import (
    Address,
    Addresses,
    Body,
    JsonMap,
    Tags,
    Time,
    mailboxes,
    time_text,
)
from notifier.api.problems import invalid
from notifier.core.errors import FieldError
from notifier.core.message import FINAL, Status, common_status, who_acts
from notifier.flows.intake import InlineWords, MailRequest, TemplateWords
from notifier.store.events import Event
from notifier.store.notifications import MessageView, NotificationView

_STATUSES = Literal[
    "scheduled", "queued", "sending", "deferred", "held", "sent", "captured", "bounced",
    "rejected", "failed", "expired", "suppressed", "canceled",
]  # fmt: skip


class TemplateChoice(Body):
    """Words from a template."""

    name: str = Field(min_length=1, max_length=64, examples=["notification"])
    variables: JsonMap = Field(default_factory=dict)
    locale: str | None = Field(None, max_length=35, examples=["de-AT"])


class NotificationBody(Body):
    """A notification: to whom, and either a template or subject with html or text."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "to": "Ada <ada@example.org>",
                    "template": {
                        "name": "notification",
                        "variables": {"title": "Order shipped", "message": "It is on its way."},
                    },
                    "reference": "order-1042",
                },
                {"to": ["ada@example.org"], "subject": "Hello", "text": "It works."},
            ]
        }
    )

    to: Addresses
    template: TemplateChoice | None = None
    subject: str | None = Field(None, max_length=2000)
    html: str | None = None
    text: str | None = None
    from_: Address | None = Field(None, alias="from")
    reply_to: Addresses | None = None
    headers: dict[str, str] = Field(default_factory=dict, max_length=20)
    tags: Tags | None = None
    metadata: JsonMap | None = None
    reference: str | None = Field(None, min_length=1, max_length=255)
    stream: Literal["urgent", "transactional", "bulk"] | None = None
    scheduled_at: Time | None = None
    expires_at: Time | None = None

    def to_request(self) -> MailRequest:
        """The same for the flow. Raises Invalid where template and words do not fit together."""
        return MailRequest(
            to=mailboxes(self.to),
            words=self._words(),
            from_=self.from_,
            reply_to=mailboxes(self.reply_to),
            headers=tuple(self.headers.items()),
            reference=self.reference,
            tags=self.tags,
            metadata=self.metadata,
            stream=self.stream,
            scheduled_at=self.scheduled_at,
            expires_at=self.expires_at,
        )

    def _words(self) -> TemplateWords | InlineWords:
        inline = [name for name in ("subject", "html", "text") if getattr(self, name) is not None]
        if self.template is None:
            if self.subject is None:
                error = FieldError("/subject", "missing", "Send a template, or a subject and text.")
                raise invalid((error,))
            return InlineWords(self.subject, self.html, self.text)
        if inline:
            detail = "Leave this out: the template brings it."
            raise invalid(tuple(FieldError(f"/{name}", "exclusive", detail) for name in inline))
        choice = self.template
        return TemplateWords(choice.name, choice.variables, choice.locale)


class Message(BaseModel):
    """One mail to one recipient."""

    id: str = Field(examples=["msg_0197f0c4a1b27c3d8e4f5a6b7c8d9e0f"])
    to: str = Field(examples=["ada@example.org"])
    status: _STATUSES
    final: bool = Field(description="no more attempts will follow")
    action: str | None = Field(description="who has to act for something more to happen")
    next_attempt_at: datetime | None
    sent_at: datetime | None
    message_id: str = Field(description="the Message-ID header")
    relay: str | None
    queue_id: str | None = Field(description="the relay's own id, from its 250")


class TemplateUsed(BaseModel):
    """The template and the version (content hash) that the mail was rendered from."""

    name: str
    version: str


class NotificationLinks(BaseModel):
    """Paths."""

    self: str
    events: str


class Notification(BaseModel):
    """A notification with its messages."""

    id: str = Field(examples=["ntf_0197f0c4a1b27c3d8e4f5a6b7c8d9e0f"])
    object: Literal["notification"]
    status: str = Field(
        description="the messages' common status, else the first that is not final, else mixed"
    )
    counts: dict[str, int] = Field(description="messages by status")
    reference: str | None
    template: TemplateUsed | None
    stream: Literal["urgent", "transactional", "bulk"]
    tags: dict[str, str]
    metadata: JsonMap
    created_at: datetime
    scheduled_at: datetime | None
    expires_at: datetime
    messages: list[Message]
    links: NotificationLinks


class StoryEvent(BaseModel):
    """One step of a notification's story."""

    id: str = Field(examples=["evt_0197f0c4a1b27c3d8e4f5a6b7c8d9e0f"])
    object: Literal["event"]
    type: str = Field(examples=["message.sent"])
    at: datetime
    notification_id: str | None
    message_id: str | None
    data: JsonMap


class StoryPage(BaseModel):
    """The events in the order in which they happened."""

    object: Literal["list"]
    data: list[StoryEvent]
    has_more: bool
    next_cursor: str | None


def notification_json(view: NotificationView) -> dict[str, Any]:
    """`Notification` as a dict, without a second validation of what we made ourselves."""
    statuses = [message.status for message in view.messages]
    template = view.template and {"name": view.template, "version": view.template_version}
    path = f"/v1/notifications/{view.id}"
    return {
        "id": view.id,
        "object": "notification",
        "status": common_status(statuses),
        "counts": {one.value: statuses.count(one) for one in Status if one in statuses},
        "reference": view.reference,
        "template": template,
        "stream": view.stream,
        "tags": view.tags or {},
        "metadata": view.metadata or {},
        "created_at": time_text(view.created_at),
        "scheduled_at": time_text(view.scheduled_at),
        "expires_at": time_text(view.expires_at),
        "messages": [_message_json(message) for message in view.messages],
        "links": {"self": path, "events": f"{path}/events"},
    }


def _message_json(message: MessageView) -> dict[str, Any]:
    return {
        "id": message.id,
        "to": message.to,
        "status": message.status.value,
        "final": message.status in FINAL,
        "action": who_acts(message.status),
        "next_attempt_at": time_text(message.next_attempt_at),
        "sent_at": time_text(message.sent_at),
        "message_id": message.message_id,
        "relay": message.relay,
        "queue_id": message.queue_id,
    }


def event_json(event: Event) -> dict[str, Any]:
    """`StoryEvent` as a dict."""
    return {
        "id": event.id,
        "object": "event",
        "type": event.type,
        "at": time_text(event.at),
        "notification_id": event.notification_id,
        "message_id": event.message_id,
        "data": dict(event.data),
    }
