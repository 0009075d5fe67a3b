"""One mail made ready for the wire: its commands' parts and its dot-stuffed bytes."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from notifier.core.envelope import Envelope

END_OF_DATA: Final = b".\r\n"

# What ends or extends a path on a command line (RFC 5321 §4.1.2) is refused outside of a quoted
# local part; control characters and halves of surrogate pairs are refused everywhere.
_PATH: Final = re.compile(
    r'(?:"(?:[^"\\\x00-\x1f\x7f\ud800-\udfff]|\\[^\x00-\x1f\x7f\ud800-\udfff])*")?'
    r'[^\s<>"\x00-\x1f\x7f\ud800-\udfff]*'
)
# A dot at the beginning of a line. Twice as fast as `in` for two bytes.
_AFTER_LF: Final = re.compile(rb"\n\.")
_AFTER_CR: Final = re.compile(rb"\r\.")


@dataclass(slots=True, eq=False)
class Parcel:
    """A mail ready to be sent to any relay; not changed any more.

    `body` is the content dot-stuffed (RFC 5321 §4.5.2) and ended with CRLF, without the final
    dot; `size_bytes` is the content's size as RFC 1870 §3 counts it. `sender` and `recipient` are
    the paths as they go on the wire. `fault` says why it must not be sent at all. `abort` is asked
    right before the final dot.
    """

    envelope: Envelope
    sender: bytes
    recipient: bytes
    body: bytes
    size_bytes: int
    eight_bit: bool
    utf8: bool
    fault: str | None
    abort: Callable[[], bool] | None


def pack(envelope: Envelope, content: bytes, abort: Callable[[], bool] | None = None) -> Parcel:
    """Make `content` (CRLF lines) ready; all but the dots and a missing last CRLF stays as is."""
    if not content.endswith(b"\r\n"):
        content += b"\r\n"
    mail_from, rcpt_to = envelope.mail_from, envelope.rcpt_to
    utf8 = not (mail_from.isascii() and rcpt_to.isascii())
    body, fault = content, None
    # Nearly no mail has a line that begins with a dot: one look finds out.
    if _AFTER_LF.search(content) or _AFTER_CR.search(content) or content[:1] == b".":
        body = _stuffed(content)
        fault = _smuggling(body)
    if _PATH.fullmatch(mail_from) is None or _PATH.fullmatch(rcpt_to) is None:
        fault = "an address that cannot stand on an SMTP command line"
    return Parcel(
        envelope,
        mail_from.encode("utf-8", "replace"),
        rcpt_to.encode("utf-8", "replace"),
        body,
        len(content),
        not content.isascii(),
        utf8 or envelope.smtputf8,
        fault,
        abort,
    )


def _stuffed(content: bytes) -> bytes:
    body = content.replace(b"\r\n.", b"\r\n..")
    return b"." + body if body.startswith(b".") else body


def _smuggling(body: bytes) -> str | None:
    # After dot-stuffing a dot alone on its line can only follow a lone CR or LF. Relays that
    # take those for line ends would take it for the end of the mail, and what follows for
    # commands of ours ("SMTP smuggling").
    if any(end in body for end in (b"\n.\r", b"\n.\n", b"\r.\r", b"\r.\n")):
        return "a dot alone between a lone CR or LF and a line end"
    return None
