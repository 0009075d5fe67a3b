"""JSON shapes of `/mailbox/api`."""

from datetime import datetime
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from notifier.mailbox import records
from notifier.mailbox.parse import Mail, Part

IDS_MAX = 1000


class MailboxPerson(BaseModel):
    """An address with its display name (which may be empty)."""

    name: str
    address: str


class MailboxEnvelope(BaseModel):
    """What stood in MAIL FROM (empty: the null sender) and in each RCPT TO."""

    mail_from: str
    rcpt_to: list[str]


class MailboxSession(BaseModel):
    """The SMTP session that the mail came in by."""

    peer: str
    helo: str
    auth_user: str | None
    tls: bool
    smtputf8: bool


class MailboxMessage(BaseModel):
    """A captured mail."""

    model_config = ConfigDict(populate_by_name=True)

    id: str
    object: Literal["mailbox.message"] = "mailbox.message"
    captured_at: datetime
    read: bool
    size_bytes: int
    envelope: MailboxEnvelope
    session: MailboxSession
    from_: MailboxPerson | None = Field(serialization_alias="from")
    to: list[MailboxPerson] = Field(description="the addresses of To and Cc")
    subject: str
    snippet: str
    date: datetime | None
    message_id: str | None = Field(description="without <>")
    template: str | None
    attachments: int
    has_html: bool
    has_text: bool
    malformed: str | None = Field(description="what could not be read, in one line")


class MailboxPart(BaseModel):
    """A leaf of the mail's MIME tree; its content is at `/parts/{number}`."""

    number: int
    content_type: str
    filename: str | None
    content_id: str | None
    is_attachment: bool
    size_bytes: int


class MailboxMessageDetail(MailboxMessage):
    """A captured mail with what its parts are."""

    parts: list[MailboxPart]
    problems: list[str]
    code: str | None = Field(description="the confirmation code found in it")
    link: str | None = Field(description="the link that it is about")


class MailboxMessages(BaseModel):
    """A page of mails, newest first."""

    object: Literal["list"] = "list"
    data: list[MailboxMessage]
    has_more: bool
    next_cursor: str | None


class MailboxHeader(BaseModel):
    """One header, decoded."""

    name: str
    value: str


class MailboxHeaders(BaseModel):
    """All headers in their order."""

    object: Literal["list"] = "list"
    data: list[MailboxHeader]


class MailboxCursor(BaseModel):
    """A moment in the mailbox: `wait?after=` it sees only later mail."""

    cursor: str


class MailboxDelete(BaseModel):
    """Exactly one of the three."""

    model_config = ConfigDict(extra="forbid")

    ids: list[str] | None = Field(None, min_length=1, max_length=IDS_MAX)
    query: str | None = Field(None, min_length=1)
    all: Literal[True] | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if [self.ids, self.query, self.all].count(None) != 2:
            raise ValueError("name exactly one of ids, query, all")
        return self


class MailboxDeleted(BaseModel):
    """How many mails went, and which asked-for ids were not there."""

    deleted: int
    not_found: list[str]


def message_fields(captured: records.Captured) -> dict[str, object]:
    """The fields of a `MailboxMessage`."""
    summary, session = captured.summary, captured.session
    return {
        "id": captured.id,
        "captured_at": captured.captured_at,
        "read": captured.is_read,
        "size_bytes": captured.size_bytes,
        "envelope": MailboxEnvelope(mail_from=captured.mail_from, rcpt_to=list(captured.rcpt_to)),
        "session": MailboxSession(
            peer=session.peer,
            helo=session.helo,
            auth_user=session.auth_user,
            tls=session.tls,
            smtputf8=session.smtputf8,
        ),
        "from_": _person(summary.sender) if summary.sender else None,
        "to": [_person(each) for each in summary.to],
        "subject": summary.subject,
        "snippet": summary.snippet,
        "date": summary.date,
        "message_id": summary.message_id,
        "template": summary.template,
        "attachments": summary.attachments,
        "has_html": summary.has_html,
        "has_text": summary.has_text,
        "malformed": summary.malformed,
    }


def part_model(part: Part) -> MailboxPart:
    """A part without its content."""
    return MailboxPart(
        number=part.number,
        content_type=part.content_type,
        filename=part.filename,
        content_id=part.content_id,
        is_attachment=part.is_attachment,
        size_bytes=len(part.content),
    )


def headers_model(mail: Mail) -> MailboxHeaders:
    """All headers in their order."""
    return MailboxHeaders(data=[MailboxHeader(name=n, value=v) for n, v in mail.headers])


def _person(person: records.Person) -> MailboxPerson:
    return MailboxPerson(name=person.name, address=person.address)
