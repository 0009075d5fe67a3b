"""What a relay's EHLO reply offers, and how a mail is put to a relay that offers it."""

from dataclasses import dataclass

from notifier.core.reply import LinkFailure, LinkFault, Phase
from notifier.smtp.client import Client
from notifier.smtp.parcel import Parcel


@dataclass(frozen=True, slots=True)
class Offers:
    """The extensions that matter. `size_max` is 0 where there is no fixed limit."""

    pipelining: bool
    size: bool
    size_max: int
    eight_bit: bool
    utf8: bool

    def unfit(self, parcel: Parcel) -> LinkFailure | None:
        """Why this relay cannot be offered this mail; known before MAIL."""
        if parcel.fault is not None:
            return LinkFailure(Phase.MAIL, LinkFault.UNSENDABLE, parcel.fault)
        if parcel.utf8 and not self.utf8:
            return LinkFailure(Phase.MAIL, LinkFault.SMTPUTF8, "the relay does not offer SMTPUTF8")
        if 0 < self.size_max < parcel.size_bytes:
            detail = f"{parcel.size_bytes} bytes, the relay takes {self.size_max}"
            return LinkFailure(Phase.MAIL, LinkFault.SIZE, detail)
        return None

    def commands(self, parcel: Parcel) -> tuple[bytes, bytes, bytes]:
        """MAIL, RCPT and DATA."""
        size = b" SIZE=%d" % parcel.size_bytes if self.size else b""
        mail = b"MAIL FROM:<%b>%b%b%b\r\n" % (
            parcel.sender,
            size,
            b" BODY=8BITMIME" if parcel.eight_bit and self.eight_bit else b"",
            b" SMTPUTF8" if parcel.utf8 else b"",
        )
        return mail, b"RCPT TO:<%b>\r\n" % parcel.recipient, b"DATA\r\n"


def offers_of(client: Client) -> Offers:
    """What was offered in the last EHLO reply and may be used by the settings."""
    limit = client.esmtp_extensions.get("size", "")
    # RFC 1870 §4: no number or 0 is no fixed limit; it has 20 digits at most.
    known = limit.isdecimal() and len(limit) <= 20
    return Offers(
        pipelining=client.target.limits.pipelining and client.offers("pipelining"),
        size=client.offers("size"),
        size_max=int(limit) if known else 0,
        eight_bit=client.offers("8bitmime"),
        utf8=client.offers("smtputf8"),
    )
