"""What came over the wire, as the values of `notifier.core.reply`."""

import re
import socket
import ssl
from typing import Final

from aiosmtplib import SMTPException, SMTPResponse, SMTPResponseException, SMTPTimeoutError

from notifier.core.reply import LinkFailure, LinkFault, Outcome, Phase, Reply

LINK_ERRORS: Final = (SMTPException, OSError, UnicodeError)
"""Everything that a relay, the network or a resolver can bring about. UnicodeError: a host name
that is no host name (its IDNA form cannot be made)."""

MAX_TEXT: Final = 1000
MAX_QUEUE_ID: Final = 200
MAX_DETAIL: Final = 300

_ENHANCED: Final = re.compile(r"([245]\.\d{1,3}\.\d{1,3})(?:\s+|\Z)")
_UNPRINTABLE: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff]+")
_QUEUE_ID: Final = re.compile(
    r"(?:queued as|queued with id|queue id|message[- ]id|\bid)[ =:]+<?([^\s<>;,]+)"  # most of them
    r"|^(?:ok:? )?queued[.:]? (?!as\b|with\b|mail\b|for\b)<?([^\s<>;,]+)"
    r"|^(\S+) message accepted for delivery"  # Sendmail
    r"|^ok\s+(?:\d{9,10}\s+)?((?=\S*\d)[^\s<>;,=]{8,})",  # Amazon SES, Gmail
    re.IGNORECASE,
)


def reply_of(phase: Phase, response: SMTPResponse) -> Outcome:
    """A reply as a value; what no server may say at that point is a `GARBAGE` failure."""
    if response.code < 200 or (response.code < 400 and phase is not Phase.DOT):
        return LinkFailure(phase, LinkFault.GARBAGE, _detail(f"unexpected reply {response.code}"))
    enhanced, text = _split(response.message)
    return Reply(phase, response.code, enhanced, text)


def outcome_of(phase: Phase, code: int, text: bytes) -> Outcome:
    """As `reply_of`, of a reply as it came over the wire."""
    return reply_of(phase, SMTPResponse(code, text.decode("utf-8", "surrogateescape")))


def failure_of(phase: Phase, error: BaseException, *, garbled: bool = False) -> Outcome:
    """What an exception of `LINK_ERRORS` says about the link."""
    if isinstance(error, SMTPResponseException):
        if error.code < 0:
            return LinkFailure(phase, LinkFault.GARBAGE, _detail(error.message))
        return reply_of(phase, SMTPResponse(error.code, error.message))
    if garbled:
        return LinkFailure(phase, LinkFault.GARBAGE, "the relay spoke out of turn")
    return LinkFailure(phase, _fault_of(phase, error), _detail(_describe(error)))


def queue_id_of(outcome: Outcome) -> str | None:
    """The relay's own name for a mail that it took, where its text has one."""
    if not isinstance(outcome, Reply) or not outcome.ok:
        return None
    match = _QUEUE_ID.search(outcome.text)
    if match is None:
        return None
    found = next(group for group in match.groups() if group is not None)
    return found.rstrip(".)]")[:MAX_QUEUE_ID] or None


def _fault_of(phase: Phase, error: BaseException) -> LinkFault:
    match error:
        case SMTPTimeoutError() | TimeoutError():
            return LinkFault.TIMEOUT
        case ssl.SSLCertVerificationError():
            return LinkFault.CERTIFICATE
        case ssl.SSLError():
            return LinkFault.TLS
        case socket.gaierror() | UnicodeError():
            return LinkFault.DNS
        case _ if phase is Phase.CONNECT and not isinstance(error, ConnectionResetError):
            return LinkFault.REFUSED
        case _:
            return LinkFault.DROPPED


def _describe(error: BaseException) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return getattr(error, "verify_message", None) or str(error)
    return str(error) or type(error).__name__


def _split(message: str) -> tuple[str | None, str]:
    """The enhanced code of the first line, and the text without the code's repetitions."""
    lines = message.split("\n")
    match = _ENHANCED.match(lines[0])
    if match is None:
        return None, _printable(" ".join(lines))[:MAX_TEXT]
    code = match[1]
    texts = [line.removeprefix(code).strip() for line in lines]
    return code, _printable(" ".join(text for text in texts if text))[:MAX_TEXT]


def _detail(text: str) -> str:
    return _printable(text)[:MAX_DETAIL]


def _printable(text: str) -> str:
    return _UNPRINTABLE.sub("?", text)
