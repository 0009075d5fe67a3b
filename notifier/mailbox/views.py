"""What the templates are given: everything decided, nothing left to compute in a template."""

import re
from dataclasses import dataclass
from datetime import datetime
from zlib import crc32

from markupsafe import Markup, escape

from notifier.mailbox.documents import remote_images
from notifier.mailbox.parse import Mail, Part
from notifier.mailbox.records import Captured, Person
from notifier.mailbox.summary import Link, highlights

TINTS = 8
SHOWN_CHARS = 200_000
RECIPIENTS_SHOWN = 20
KIB = 1024
_URL = re.compile(r"https?://[^\s<>\"']{1,2000}[^\s<>\"'.,;:!?)\]]")


@dataclass(frozen=True, slots=True)
class RowView:
    """One line of the list."""

    id: str
    sender: str
    initials: str
    tint: int
    to: str
    subject: str
    snippet: str
    at: datetime
    is_read: bool
    attachments: int
    template: str | None
    malformed: str | None


@dataclass(frozen=True, slots=True)
class PartView:
    """One part in a table."""

    number: int
    name: str
    content_type: str
    size: str
    is_attachment: bool


@dataclass(frozen=True, slots=True)
class Tab:
    """A view of the mail; `key` is what `?tab=` says."""

    key: str
    label: str
    count: int | None = None


@dataclass(frozen=True, slots=True)
class PaneView:
    """An opened mail with the one tab that is shown."""

    row: RowView
    sender_address: str
    to: list[Person]
    more_to: int
    mail_from: str
    rcpt_to: list[str]
    more_rcpt: int
    date: datetime | None
    size: str
    session: str
    code: str | None
    link: Link | None
    problems: list[str]
    tabs: list[Tab]
    tab: str
    text: Markup | None
    headers: list[tuple[str, str]]
    raw: str | None
    raw_is_cut: bool
    parts: list[PartView]
    remote_images: int


def row_view(captured: Captured) -> RowView:
    """The line of this mail."""
    summary = captured.summary
    person = summary.sender or Person("", captured.mail_from)
    sender = person.name or person.address or "(no sender)"
    return RowView(
        id=captured.id,
        sender=sender,
        initials=_initials(sender),
        tint=crc32((person.address or sender).lower().encode()) % TINTS,
        to=_recipients(captured),
        subject=summary.subject or "(no subject)",
        # Mails often begin with their subject, which stands right above it.
        snippet=summary.snippet.removeprefix(f"{summary.subject} "),
        at=captured.captured_at,
        is_read=captured.is_read,
        attachments=summary.attachments,
        template=summary.template,
        malformed=summary.malformed,
    )


def _recipients(captured: Captured) -> str:
    first = captured.rcpt_to[0] if captured.rcpt_to else "nobody"
    more = len(captured.rcpt_to) - 1
    return f"{first} +{more}" if more > 0 else first


def _initials(sender: str) -> str:
    if sender.startswith("("):
        return "?"
    words = re.findall(r"[^\W_]+", sender.partition("@")[0])
    letters = [word[0] for word in words[:1] + words[1:][-1:]]
    return "".join(letters).upper() or "?"


def pane_view(captured: Captured, mail: Mail, raw: bytes, tab: str | None) -> PaneView:
    """The opened mail; an unknown or unfit `tab` falls back to the first."""
    tabs = _tabs(mail)
    chosen = tab if tab in {each.key for each in tabs} else tabs[0].key
    found = highlights(mail)
    shown_raw = raw[:SHOWN_CHARS]
    return PaneView(
        row=row_view(captured),
        sender_address=mail.sender.address if mail.sender else captured.mail_from,
        to=[*mail.to, *mail.cc][:RECIPIENTS_SHOWN],
        more_to=max(0, len(mail.to) + len(mail.cc) - RECIPIENTS_SHOWN),
        mail_from=captured.mail_from,
        rcpt_to=list(captured.rcpt_to[:RECIPIENTS_SHOWN]),
        more_rcpt=max(0, len(captured.rcpt_to) - RECIPIENTS_SHOWN),
        date=mail.date,
        size=sized(captured.size_bytes),
        session=_session(captured),
        code=found.code,
        link=found.link,
        problems=mail.problems,
        tabs=tabs,
        tab=chosen,
        text=_linked(mail.text[:SHOWN_CHARS]) if chosen == "text" and mail.text else None,
        headers=mail.headers if chosen == "headers" else [],
        raw=shown_raw.decode("utf-8", "replace") if chosen == "raw" else None,
        raw_is_cut=len(raw) > SHOWN_CHARS,
        parts=[_part_view(part) for part in mail.parts],
        remote_images=remote_images(mail) if chosen == "html" else 0,
    )


def _tabs(mail: Mail) -> list[Tab]:
    tabs = []
    if mail.html is not None:
        tabs.append(Tab("html", "HTML"))
    if mail.text is not None or mail.html is None:
        tabs.append(Tab("text", "Text"))
    return [
        *tabs,
        Tab("headers", "Headers"),
        Tab("raw", "Raw"),
        Tab("parts", "Parts", len(mail.parts)),
    ]


def _session(captured: Captured) -> str:
    session = captured.session
    words = [f"from {session.peer}", f"HELO {session.helo}" if session.helo else ""]
    words.append(f"AUTH {session.auth_user}" if session.auth_user is not None else "")
    words.append("SMTPUTF8" if session.smtputf8 else "")
    return " · ".join(word for word in words if word)


def _part_view(part: Part) -> PartView:
    name = part.filename or (f"cid:{part.content_id}" if part.content_id else "")
    return PartView(
        part.number, name, part.content_type, sized(len(part.content)), part.is_attachment
    )


def sized(size: int) -> str:
    """`832 B`, `1.4 kB`, `12 MB`."""
    if size < KIB:
        return f"{size} B"
    for unit in ("kB", "MB"):
        value = size / KIB
        if value < KIB or unit == "MB":
            return f"{value:.1f} {unit}" if value < 10 else f"{value:.0f} {unit}"
        size = int(value)
    raise AssertionError("the last unit always returns")


def _linked(text: str) -> Markup:
    """Escaped text whose web addresses can be clicked."""
    pieces, position = [], 0
    for found in _URL.finditer(text):
        url = escape(found.group())
        pieces.append(escape(text[position : found.start()]))
        pieces.append(
            Markup('<a href="{0}" target="_blank" rel="noopener noreferrer">{0}</a>').format(url)
        )
        position = found.end()
    return Markup("").join([*pieces, escape(text[position:])])
