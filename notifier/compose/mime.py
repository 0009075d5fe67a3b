"""A draft to finished RFC 5322 bytes: what is stored, signed and sent, and never serialised again.

The bytes are written here and not by `email`: its serialiser decodes and re-folds header values,
which on older interpreters turns an encoded-word into a header of its own (CVE-2024-6923) and
tears long `List-Unsubscribe` URLs apart. Everything written is checked by `verify_block`.
"""

import binascii
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime

from notifier.compose.attachments import Attachment, check_attachments, file_part
from notifier.compose.headers import (
    HeaderUnsafe,
    check_draft_header,
    check_header_text,
    check_mailbox,
    draft_header,
    mailbox_header,
    text_header,
    verify_block,
)
from notifier.core.address import Mailbox
from notifier.core.errors import FieldError, Invalid
from notifier.core.text import body_fault

_MESSAGE_ID = re.compile(r"<[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,120}@[A-Za-z0-9.-]{1,120}>")
_CONTROLS = bytes({*range(0x20), 0x7F} - {*b"\t\r\n"})
_SAFE_COLUMNS = 990  # sendmail breaks longer lines, and with them the signature


@dataclass(frozen=True, slots=True)
class Draft:
    """All that one mail is made of. `message_id` has its `<>`, `date` is aware.

    Bcc recipients have no place here: they exist in envelopes alone.
    """

    from_: Mailbox
    to: tuple[Mailbox, ...]
    subject: str
    text: str
    html: str | None
    message_id: str
    date: datetime
    cc: tuple[Mailbox, ...] = ()
    reply_to: tuple[Mailbox, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    attachments: tuple[Attachment, ...] = ()


@dataclass(frozen=True, slots=True)
class Composed:
    """A finished mail: CRLF line ends, no line over 998 octets, ASCII only unless `smtputf8`."""

    content: bytes
    smtputf8: bool


@dataclass(frozen=True, slots=True)
class _Part:
    """A MIME entity: its header lines and its body, neither with a CRLF at the end."""

    head: tuple[str, ...]
    body: bytes

    def nested(self) -> bytes:
        return "\r\n".join(self.head).encode("ascii") + b"\r\n\r\n" + self.body


def compose(draft: Draft) -> Composed:
    """Builds the mail. The same draft always gives the same bytes.

    Raises `Invalid` with every field that must not go into a mail, and `HeaderUnsafe` if what
    was built does not read back as what was meant.
    """
    if errors := tuple(_faults(draft)):
        raise Invalid("The mail cannot be built.", errors=errors)
    content = _content(draft)
    headers = [*_headers(draft), *content.head]
    block = "\r\n".join(headers).encode("utf-8")
    verify_block(block, [header.partition(":")[0] for header in headers])
    smtputf8 = not block.isascii()
    if smtputf8 and not any(m.needs_smtputf8 for _, _, boxes in _boxes(draft) for m in boxes):
        raise HeaderUnsafe("A header has characters that plain SMTP cannot carry.")
    end = b"" if content.body.endswith(b"\r\n") else b"\r\n"
    return Composed(block + b"\r\n\r\n" + content.body + end, smtputf8)


def _boxes(draft: Draft) -> tuple[tuple[str, str, tuple[Mailbox, ...]], ...]:
    return (
        ("From", "/from", (draft.from_,)),
        ("To", "/to", draft.to),
        ("Cc", "/cc", draft.cc),
        ("Reply-To", "/reply_to", draft.reply_to),
    )


def _faults(draft: Draft) -> Iterator[FieldError]:
    found = [check_header_text(draft.subject, "/subject")]
    found += (check_draft_header(name, value) for name, value in draft.headers)
    for _, pointer, boxes in _boxes(draft):
        for index, mailbox in enumerate(boxes):
            at = pointer if pointer == "/from" else f"{pointer}/{index}"
            found.append(check_mailbox(mailbox, at))
    yield from filter(None, found)
    yield from _body_faults(draft)
    if not _MESSAGE_ID.fullmatch(draft.message_id):
        yield FieldError("/message_id", "bad_message_id", "Use <letters-and-digits@domain>.")
    yield from check_attachments(draft.attachments)


def _body_faults(draft: Draft) -> Iterator[FieldError]:
    for pointer, text in (("/text", draft.text), ("/html", draft.html or "")):
        if fault := body_fault(text):
            yield FieldError(pointer, fault.code, fault.detail)


def _headers(draft: Draft) -> Iterator[str]:
    for name, _, boxes in _boxes(draft):
        if boxes:
            yield mailbox_header(name, boxes)
        elif name == "To":
            yield "To: undisclosed-recipients:;"  # RFC 5322 §3.4: an empty group, not no field
    yield text_header("Subject", draft.subject)
    yield f"Date: {format_datetime(draft.date)}"
    yield f"Message-ID: {draft.message_id}"
    # RFC 3834 §5: keeps out-of-office replies from answering a machine. A caller who writes for
    # a person says `Auto-Submitted: no`.
    if not any(name.lower() == "auto-submitted" for name, _ in draft.headers):
        yield "Auto-Submitted: auto-generated"
    for name, value in draft.headers:
        yield draft_header(name, value)
    yield "MIME-Version: 1.0"


def _content(draft: Draft) -> _Part:
    """Files listed around files shown around html beside text (RFC 2046 §5.1, RFC 2387)."""
    shown = [a for a in draft.attachments if a.content_id is not None and draft.html is not None]
    listed = [a for a in draft.attachments if a not in shown] if draft.attachments else []
    content = _text_part("plain", draft.text)
    seed = hashlib.blake2b(draft.message_id.encode("ascii"), digest_size=12).hexdigest()
    if draft.html is not None:
        html = _text_part("html", draft.html)
        if shown:
            html = _multipart("related", f"=_r_{seed}", [html.nested(), *map(file_part, shown)])
        content = _multipart("alternative", f"=_a_{seed}", [content.nested(), html.nested()])
    if listed:
        content = _multipart("mixed", f"=_m_{seed}", [content.nested(), *map(file_part, listed)])
    return content


def _multipart(subtype: str, boundary: str, parts: list[bytes]) -> _Part:
    mark = b"--" + boundary.encode("ascii")
    body = b"".join(mark + b"\r\n" + part + b"\r\n" for part in parts) + mark + b"--\r\n"
    return _Part((f'Content-Type: multipart/{subtype}; boundary="{boundary}"',), body)


def _text_part(subtype: str, text: str) -> _Part:
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    raw = text.encode("utf-8").replace(b"\n", b"\r\n")
    if raw.isascii() and not _is_fragile(raw + b"\r\n"):
        encoding = "7bit"
    else:
        encoding, raw = "quoted-printable", quoted_printable(raw)
    kind = f"Content-Type: text/{subtype}; charset=utf-8"
    return _Part((kind, f"Content-Transfer-Encoding: {encoding}"), raw)


def _is_fragile(raw: bytes) -> bool:
    """Whether 7bit could carry this, but some hop on the way may change it.

    Blanks at line ends get cut, "From " gets a ">" in an mbox, long lines get broken. "=_" is
    ours: no body may hold it unencoded, because boundaries begin with it.
    """
    return (
        b"=_" in raw
        or b" \r\n" in raw
        or b"\t\r\n" in raw
        or b"\nFrom " in raw
        or raw.startswith(b"From ")
        or len(raw.translate(None, _CONTROLS)) != len(raw)
        or max(map(len, raw.split(b"\r\n"))) > _SAFE_COLUMNS
    )


def quoted_printable(raw: bytes) -> bytes:
    """`raw`, whose line ends are all CRLF, in RFC 2045 §6.7 form with lines of at most 76."""
    # Without a first CRLF `b2a_qp` would write bare LFs, so the text always gets one.
    encoded = binascii.b2a_qp(raw + b"\r\n")[:-2]
    if b"From " in encoded:
        encoded = re.sub(rb"(?:\A|(?<=\n))From ", b"=46rom =\r\n", encoded)
    return encoded
