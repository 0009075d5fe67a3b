"""The SMTP envelope (RFC 5321 §2.3.1)."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Envelope:
    """Reverse-path and one forward-path, as they stand in MAIL FROM and RCPT TO, without `<>`.

    `smtputf8` is whether the envelope or the headers need RFC 6531.
    """

    mail_from: str
    rcpt_to: str
    smtputf8: bool = False
