"""Raw bytes into a view of the mail. Reads anything, never raises, says what it could not read."""

import email
import email.errors
import email.utils
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.header import decode_header
from email.message import Message
from email.parser import BytesHeaderParser
from email.policy import Compat32
from typing import TypeVar

from notifier.mailbox.charsets import text_of_bytes
from notifier.mailbox.records import Person

T = TypeVar("T")

MAX_DEPTH = 30
MAX_PARTS = 500
MAX_LINES = 1_000_000
MAX_DASHED_LINES = 50_000  # each may begin a part
MAX_HEADERS = 1000
MAX_HEADER_CHARS = 64 * 1024
MAX_PARAMETERS = 200
MAX_PARAMETER_CHARS = 8 * 1024
MAX_PEOPLE = 1000

# What `email` raises on crafted input, by trial: it promises to raise nothing.
_TROUBLE = (
    ValueError,
    ArithmeticError,
    LookupError,
    TypeError,
    AttributeError,
    AssertionError,
    RecursionError,
    email.errors.MessageError,
)
_BETWEEN_WORDS = re.compile(r"(\?=)\s+(=\?)")
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_BREAKS = re.compile(r"(?<!\s)\s*[\r\n]\s*")  # begins at the run's first blank: linear


@dataclass(frozen=True, slots=True)
class Part:
    """One leaf of the MIME tree; `number` counts leaves from 1. `content` is decoded."""

    number: int
    content_type: str
    charset: str | None
    filename: str | None
    content_id: str | None
    is_attachment: bool
    content: bytes


@dataclass(slots=True)
class Mail:
    """A parsed mail. `problems` is empty for a well-formed one; line ends are never translated."""

    headers: list[tuple[str, str]] = field(default_factory=list)
    subject: str = ""
    sender: Person | None = None
    to: list[Person] = field(default_factory=list)
    cc: list[Person] = field(default_factory=list)
    date: datetime | None = None
    message_id: str | None = None
    text: str | None = None
    html: str | None = None
    parts: list[Part] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def attachments(self) -> list[Part]:
        """What a reader would call one: no body, no image shown inside the HTML."""
        return [part for part in self.parts if part.is_attachment]

    def header(self, name: str) -> str | None:
        """The first header of this name, decoded."""
        wanted = name.lower()
        return next((value for key, value in self.headers if key.lower() == wanted), None)


class _Verbatim(Compat32):
    """compat32 that keeps 8-bit headers readable, where the original puts question marks."""

    def header_fetch_parse(self, name: str, value: str) -> str:
        # `email` is quadratic in a header's parameters, and reads them again for each question.
        if not name.lower().startswith("content-"):
            return value
        return ";".join(value[:MAX_PARAMETER_CHARS].split(";", MAX_PARAMETERS)[:MAX_PARAMETERS])


_POLICY = _Verbatim()


def parse(raw: bytes) -> Mail:
    """The view of `raw`. compat32, because the newer policy is slow and recurses on headers."""
    mail = Mail()
    message = _message(raw, mail.problems)
    _read_headers(message, mail)
    _try(lambda: _read_parts(message, mail), None, mail.problems, "The MIME structure")
    _pick_bodies(mail)
    return mail


def _message(raw: bytes, problems: list[str]) -> Message:
    if raw.count(b"\n") > MAX_LINES:
        problems.append(f"More than {MAX_LINES:,} lines: only the headers were read.")
    elif raw.count(b"\n--") > MAX_DASHED_LINES:
        problems.append(f"More than {MAX_DASHED_LINES:,} parts: only the headers were read.")
    else:
        try:
            message = email.message_from_bytes(raw, policy=_POLICY)
        except _TROUBLE:
            problems.append("The MIME structure cannot be read: only the headers were.")
        else:
            problems.extend(_defects(message))
            return message
    head = re.split(rb"\r?\n\r?\n", raw, maxsplit=1)[0][:MAX_LINES]
    return BytesHeaderParser(policy=_POLICY).parsebytes(head)


def _defects(message: Message) -> list[str]:
    return [str(defect.__doc__ or type(defect).__name__) for defect in message.defects]


def _try(action: Callable[[], T], fallback: T, problems: list[str], what: str) -> T:
    try:
        return action()
    except _TROUBLE as error:
        problems.append(f"{what} cannot be read ({type(error).__name__}).")
        return fallback


def _read_headers(message: Message, mail: Mail) -> None:
    raw_items: list[tuple[str, str]] = list(message.raw_items())
    if len(raw_items) > MAX_HEADERS:
        mail.problems.append(f"More than {MAX_HEADERS} headers: the rest is not shown.")
    raw_items = [(name, str(value)[:MAX_HEADER_CHARS]) for name, value in raw_items[:MAX_HEADERS]]
    mail.headers = [(_plain(name), decoded(value)) for name, value in raw_items]
    first: dict[str, str] = {}
    for name, value in raw_items:
        first.setdefault(name.lower(), value)
    if not raw_items:
        mail.problems.append("There are no headers.")
    mail.subject = decoded(first.get("subject", ""))
    senders = _people(first.get("from", ""), "From", mail.problems)
    mail.sender = senders[0] if senders else None
    mail.to = _people(first.get("to", ""), "To", mail.problems)
    mail.cc = _people(first.get("cc", ""), "Cc", mail.problems)
    if "date" in first:
        mail.date = _try(lambda: _date(first["date"]), None, mail.problems, "Date")
    mail.message_id = decoded(first.get("message-id", "")).strip().strip("<>") or None


def _date(value: str) -> datetime:
    date = email.utils.parsedate_to_datetime(value)
    date = date if date.tzinfo else date.replace(tzinfo=UTC)
    date.astimezone(UTC)  # raises for one that no clock will show
    return date


def _people(value: str, header: str, problems: list[str]) -> list[Person]:
    unfolded = _BREAKS.sub(" ", value)
    none: list[tuple[str, str]] = []
    pairs = _try(lambda: email.utils.getaddresses([unfolded]), none, problems, header)
    return [
        Person(decoded(name), _plain(address))
        for name, address in pairs[:MAX_PEOPLE]
        if name or address
    ]


def decoded(value: str) -> str:
    """A header's value, unfolded, its encoded words (RFC 2047) decoded as far as they can be."""
    unfolded = _BREAKS.sub(" ", value).strip()
    if "=?" not in unfolded:
        return _plain(unfolded)
    try:
        chunks = decode_header(_BETWEEN_WORDS.sub(r"\1 \2", unfolded))
    except _TROUBLE:
        return _plain(unfolded)
    # A word that decodes to nothing is broken: better seen as it stands.
    return _plain("".join(_chunk(chunk, charset) for chunk, charset in chunks) or unfolded)


def _chunk(chunk: bytes | str, charset: str | None) -> str:
    if isinstance(chunk, str):
        return chunk
    if charset is None:
        # decode_header hands plain text beside an encoded word over like this.
        return chunk.decode("raw-unicode-escape", "replace")
    return text_of_bytes(chunk, charset)[0]


def _plain(text: str) -> str:
    """8-bit bytes that the parser smuggled in as surrogates become text; controls go."""
    try:
        text.encode()
    except UnicodeEncodeError:
        errors = "surrogateescape" if _smuggled(text) else "replace"
        text = text_of_bytes(text.encode("utf-8", errors), None)[0]
    return _CONTROLS.sub("\N{REPLACEMENT CHARACTER}", text)


def _smuggled(text: str) -> bool:
    return all(not "\ud800" <= c <= "\udfff" or "\udc80" <= c <= "\udcff" for c in text)


def _read_parts(message: Message, mail: Mail) -> None:
    for leaf in _leaves(message, mail.problems):
        if len(mail.parts) >= MAX_PARTS:
            mail.problems.append(f"More than {MAX_PARTS} parts: the rest is not shown.")
            return
        number = len(mail.parts) + 1
        part = _try(lambda: _part(leaf, number), None, mail.problems, f"Part {number}")  # noqa: B023
        if part is not None:
            mail.parts.append(part)
        if leaf is not message:
            mail.problems.extend(_defects(leaf))


def _leaves(message: Message, problems: list[str]) -> Iterator[Message]:
    """Depth first, without recursion; a forwarded message is a leaf."""
    waiting: list[tuple[Message, int]] = [(message, 0)]
    while waiting:
        current, depth = waiting.pop()
        payload = current.get_payload()
        if not (isinstance(payload, list) and current.get_content_maintype() == "multipart"):
            yield current
        elif depth >= MAX_DEPTH:
            problems.append(f"Nested deeper than {MAX_DEPTH}: the rest is not shown.")
        else:
            children = [child for child in reversed(payload) if isinstance(child, Message)]
            waiting.extend((child, depth + 1) for child in children)


def _part(leaf: Message, number: int) -> Part:
    content_type = _plain(leaf.get_content_type())
    filename = leaf.get_filename()
    disposition = str(leaf.get("content-disposition", "")).strip().lower()
    content_id = decoded(str(leaf.get("content-id", ""))).strip().strip("<>") or None
    is_body = content_type in {"text/plain", "text/html"} and filename is None
    inline = content_id is not None and content_type.startswith("image/")
    return Part(
        number=number,
        content_type=content_type,
        charset=leaf.get_content_charset(),
        filename=decoded(filename) if filename else None,
        content_id=content_id,
        is_attachment=disposition.startswith("attachment") or not (is_body or inline),
        content=_content(leaf),
    )


def _content(leaf: Message) -> bytes:
    payload = leaf.get_payload()
    if isinstance(payload, list):  # message/rfc822 and its kin
        return b"".join(child.as_bytes() for child in payload if isinstance(child, Message))
    content = leaf.get_payload(decode=True)
    return content if isinstance(content, bytes) else b""


def _pick_bodies(mail: Mail) -> None:
    for part in mail.parts:
        if part.is_attachment or part.content_type not in {"text/plain", "text/html"}:
            continue
        text, readable = text_of_bytes(part.content, part.charset)
        if not readable:
            mail.problems.append(f"Part {part.number} is not in the charset that it names.")
        if part.content_type == "text/html" and mail.html is None:
            mail.html = text
        elif part.content_type == "text/plain" and mail.text is None:
            mail.text = text
