"""One mail made ready for the wire: its commands' parts and its dot-stuffed bytes."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from notifier.core.envelope import Envelope

END_OF_DATA: Final = b".\r\n"

# What ends or extends a path on a command line (RFC 5321 §4.1.2) is refused outside of a quoted
# local part; control characters are refused everywhere.
_PATH: Final = re.compile(
    r'(?:"(?:[^"\\\x00-\x1f\x7f]|\\[^\x00-\x1f\x7f])*")?[^\s<>"\x00-\x1f\x7f]*'
)


@dataclass(frozen=True, slots=True)
class Parcel:
    """A mail ready to be sent to any relay.

    `body` is the content dot-stuffed (RFC 5321 §4.5.2) and ended with CRLF, without the final
    dot; `size_bytes` is the content's size as RFC 1870 §3 counts it. `fault` says why it must
    not be sent at all. `abort` is asked right before the final dot.
    """

    envelope: Envelope
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
    body = content.replace(b"\r\n.", b"\r\n..")
    if body.startswith(b"."):
        body = b"." + body
    ascii_paths = envelope.mail_from.isascii() and envelope.rcpt_to.isascii()
    return Parcel(
        envelope,
        body,
        size_bytes=len(content),
        eight_bit=not content.isascii(),
        utf8=envelope.smtputf8 or not ascii_paths,
        fault=_fault(envelope, body),
        abort=abort,
    )


def _fault(envelope: Envelope, body: bytes) -> str | None:
    for path in (envelope.mail_from, envelope.rcpt_to):
        if _PATH.fullmatch(path) is None:
            return "an address that cannot stand on an SMTP command line"
    # After dot-stuffing a dot alone on its line can only follow a lone CR or LF. Relays that
    # take those for line ends would take it for the end of the mail, and what follows for
    # commands of ours ("SMTP smuggling").
    if any(end in body for end in (b"\n.\r", b"\n.\n", b"\r.\r", b"\r.\n")):
        return "a dot alone between a lone CR or LF and a line end"
    return None
