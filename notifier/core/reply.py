"""What a relay said, or that it said nothing: the two outcomes of one SMTP attempt."""

from dataclasses import dataclass
from enum import StrEnum


class Phase(StrEnum):
    """How far an SMTP transaction got (RFC 5321 §3). `DOT` is after the final dot was sent."""

    CONNECT = "connect"
    BANNER = "banner"
    EHLO = "ehlo"
    STARTTLS = "starttls"
    AUTH = "auth"
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"
    BODY = "body"
    DOT = "dot"


class LinkFault(StrEnum):
    """Why no usable reply came."""

    REFUSED = "refused"
    TIMEOUT = "timeout"
    DROPPED = "dropped"
    GARBAGE = "garbage"
    TLS = "tls"
    CERTIFICATE = "certificate"
    DNS = "dns"
    SIZE = "size_exceeded"
    SMTPUTF8 = "smtputf8_not_offered"
    STARTTLS_MISSING = "starttls_not_offered"
    AUTH_MISSING = "auth_not_offered"
    UNSENDABLE = "unsendable_content"
    RESTING = "no_relay_usable"


@dataclass(frozen=True, slots=True)
class Reply:
    """A well-formed reply (RFC 5321 §4.2).

    `enhanced` is the RFC 3463 code of its first line ("5.1.1") where there is one. `text` is
    the rest with control characters replaced, at most 1,000 characters.
    """

    phase: Phase
    code: int
    enhanced: str | None
    text: str

    @property
    def ok(self) -> bool:
        """Whether this is a positive completion (2xx)."""
        return 200 <= self.code <= 299


@dataclass(frozen=True, slots=True)
class LinkFailure:
    """No usable reply in `phase`; `detail` is one line for the operator, without secrets."""

    phase: Phase
    fault: LinkFault
    detail: str


Outcome = Reply | LinkFailure
