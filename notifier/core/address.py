"""Mail addresses: strict on what comes in, ready for a header and an envelope when it is out."""

import re
import unicodedata
from dataclasses import dataclass

import idna
from email_validator import EmailNotValidError, validate_email

from notifier.core.text import header_fault, name_fault

_ADDRESS_BYTES = 254  # RFC 5321 §4.5.3.1.3 less the angle brackets, RFC 3696 erratum 1690
_LOCAL_BYTES = 64  # RFC 5321 §4.5.3.1.1
_DOMAIN_BYTES = 253  # RFC 1035 §2.3.4 as text
_TEXT_CHARS = 1000  # nothing longer can be a name and an address; bounds the work below

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_DOMAIN = rf"(?:{_LABEL}\.)+(?=[^.]*[A-Za-z]){_LABEL}"
_PLAIN = re.compile(rf"{_ATOM}(?:\.{_ATOM})*@{_DOMAIN}")
_HOST = re.compile(rf"{_DOMAIN}|localhost")
_RESERVED_LABEL = re.compile(r"(?:^|\.)(?!xn--)..--")  # RFC 5890 §2.3.1
_NAMED = re.compile(r'(?:"(?P<quoted>(?:[^"\\]|\\.)*+)"|(?P<bare>[^"<>]*+)) *<(?P<address>.+)>')
_NEEDS_QUOTES = re.compile(r"[,;:@\\]")


class AddressError(ValueError):
    """Not an address that mail can be sent to; `code` is stable, `detail` says what to do.

    Neither repeats the input.
    """

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Mailbox:
    """An RFC 5322 mailbox. Made by `parse_mailbox`, `address` is normalised.

    `address` is the addr-spec: domain in lower case and as IDNA A-labels, local part as given
    (NFC, the least quoting possible). `name` is decoded text, never an encoded-word.
    """

    address: str
    name: str | None = None

    @property
    def domain(self) -> str:
        """What stands behind the last `@`."""
        return self.address.rpartition("@")[2]

    @property
    def needs_smtputf8(self) -> bool:
        """Whether the local part is not ASCII, so that only RFC 6531 can carry it."""
        return not self.address.isascii()


def parse_mailbox(text: str) -> Mailbox:
    """`a@example.org` or `Name <a@example.org>`, the name bare or in double quotes.

    Raises `AddressError`. Nothing is mended silently: blanks around it, comments, groups and
    address literals are refused.
    """
    if len(text) > _TEXT_CHARS:
        raise AddressError("too_long", "Shorten this; it is longer than any address.")
    if not text.endswith(">"):
        return Mailbox(_parse_address(text))
    match = _NAMED.fullmatch(text)
    if match is None:
        raise AddressError("bad_syntax", "Write it as a@example.org or Name <a@example.org>.")
    bare = match["bare"]
    name = bare if bare is not None else re.sub(r"\\(.)", r"\1", match["quoted"])
    mailbox = parse_mailbox_parts(match["address"], name)
    if bare is not None and _NEEDS_QUOTES.search(bare):
        raise AddressError(
            "name_needs_quotes",
            "Give one address; put a name with punctuation in double quotes,"
            " or send an object with email and name.",
        )
    return mailbox


def parse_mailbox_parts(email: str, name: str | None) -> Mailbox:
    """A mailbox from its two parts; a blank name is no name. Raises `AddressError`."""
    name = name.strip(" ") if name else None
    if name and (fault := name_fault(name)):
        raise AddressError(fault.code, fault.detail)
    return Mailbox(_parse_address(email), name or None)


def _parse_address(text: str) -> str:
    if text != text.strip():
        raise AddressError("surrounding_blanks", "Remove the blanks around the address.")
    if fault := header_fault(text):
        raise AddressError(fault.code, fault.detail)
    local, at, domain = text.rpartition("@")
    if not at or not local or not domain:
        raise AddressError("bad_syntax", "An address has text before and after its @.")
    if not (_PLAIN.fullmatch(text) and "--" not in domain):
        local, domain = _odd_local(local), _odd_domain(domain)
    address = f"{local}@{domain.lower()}"
    _check_lengths(local, domain, address)
    return address


def _check_lengths(local: str, domain: str, address: str) -> None:
    if len(local.encode()) > _LOCAL_BYTES:
        raise AddressError("too_long", f"At most {_LOCAL_BYTES} bytes may stand before the @.")
    if len(domain) > _DOMAIN_BYTES or len(address.encode()) > _ADDRESS_BYTES:
        raise AddressError("too_long", f"An address has at most {_ADDRESS_BYTES} bytes.")


def _odd_local(local: str) -> str:
    """The local part in its normal form: quoted strings and non-ASCII (RFC 5321, RFC 6531)."""
    try:
        found = validate_email(
            f"{local}@example.org",
            allow_quoted_local=True,
            check_deliverability=False,
            strict=True,
        )
    except EmailNotValidError as error:
        raise AddressError("bad_local_part", "Mend the part before the @.") from error
    return str(found.local_part)


def _odd_domain(domain: str) -> str:
    """The domain as A-labels (RFC 5891, UTS #46).

    The address validator is not asked: it refuses the reserved names (`.test`, `.local`,
    `localhost`), which the inboxes of developers and of closed networks live under.
    """
    if domain.startswith("["):
        raise AddressError("address_literal", "Use a domain name, not an IP address in brackets.")
    if len(domain) > _DOMAIN_BYTES or any(unicodedata.category(c)[0] in "CZ" for c in domain):
        raise AddressError("bad_domain", "Mend the part after the @.")
    try:
        mapped = idna.uts46_remap(domain, std3_rules=False, transitional=False)
        ascii_domain = ".".join(idna.alabel(label).decode("ascii") for label in mapped.split("."))
    except UnicodeError as error:
        raise AddressError("bad_domain", "Mend the part after the @.") from error
    if _RESERVED_LABEL.search(ascii_domain) or not _HOST.fullmatch(ascii_domain):
        detail = "Mend the part after the @; it should be a domain name with a dot."
        raise AddressError("bad_domain", detail)
    return ascii_domain
