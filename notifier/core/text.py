"""What text may not be, by where it goes: a header, a display name, a body, an untrusted slot."""

import re
import unicodedata
from dataclasses import dataclass

NAME_CHARS = 256
"""Longest display name: with quoting and an address it still fits one line of 998 octets."""
UNTRUSTED_CHARS = 64

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_BIDI_OVERRIDE = re.compile("[\u202a-\u202e\u2066-\u2069]")
_JOINERS = "\u200c\u200d"
# A scheme, a bare host or an IP address: all that mail clients turn into a link by themselves.
_LINK = re.compile(
    r"://|\b(?:mailto|tel|sms|data|javascript|vbscript|file):"
    r"|[^\W_]\.[^\W\d_]{2,}|\.xn--|\bwww\.|\d+\.\d+\.\d+\.\d+",
    re.IGNORECASE,
)
_OTHER_DOTS = str.maketrans(
    dict.fromkeys("\u3002\uff0e\uff61\u2024\ufe52", ".")
    | {ord(joiner): None for joiner in _JOINERS}
)


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a text does not fit, as a stable code and a sentence that says what to do."""

    code: str
    detail: str


CONTROL = Fault(
    "control_character",
    "Remove control characters and line breaks; this becomes a header.",
)
NUL = Fault("control_character", "Remove the NUL character.")
SURROGATE = Fault("lone_surrogate", "Remove the lone surrogate; it is not a character.")
ENCODED_WORD = Fault(
    "encoded_word", "Remove the =?…?= sequence; send plain text, it is encoded for you."
)
BIDI = Fault("bidi_character", "Remove the characters that override the writing direction.")
NAME_LONG = Fault("too_long", f"Shorten the name to {NAME_CHARS} characters.")
UNTRUSTED_LONG = Fault("too_long", f"Shorten the text to {UNTRUSTED_CHARS} characters.")
INVISIBLE = Fault("bidi_character", "Remove invisible and direction-changing characters.")
URL_LIKE = Fault("url_like", "Remove what looks like a link, a host name or an address.")


def header_fault(text: str) -> Fault | None:
    """Why `text` must not go into a header, or None.

    An encoded-word (RFC 2047) in user text is refused although it holds no line break: old
    `email` packages decode it and write the decoded line break into the header (CVE-2024-6923).
    """
    if not text.isascii() or not text.isprintable():
        if _SURROGATE.search(text):
            return SURROGATE
        if _CONTROL.search(text):
            return CONTROL
    start = text.find("=?")
    if start >= 0 and text.find("?=", start + 1) >= 0:
        return ENCODED_WORD
    return None


def name_fault(text: str) -> Fault | None:
    """Why `text` must not be a display name, or None."""
    if fault := header_fault(text):
        return fault
    if len(text) > NAME_CHARS:
        return NAME_LONG
    return None if text.isascii() or not _BIDI_OVERRIDE.search(text) else BIDI


def body_fault(text: str) -> Fault | None:
    """Why `text` must not go into a body, or None. Line breaks and tabs are welcome here."""
    if "\x00" in text:
        return NUL
    try:
        text.encode("utf-8")  # ten times as fast as a search, and bodies are long
    except UnicodeEncodeError:
        return SURROGATE
    return None


def untrusted_fault(text: str) -> Fault | None:
    """Why a text that a stranger typed must not appear in a mail, or None.

    Such a slot is what makes a confirmation form a spam cannon: no link, nothing hidden,
    nothing long.
    """
    if len(text) > UNTRUSTED_CHARS:
        return UNTRUSTED_LONG
    if fault := header_fault(text):
        return fault
    if any(unicodedata.category(c) == "Cf" and c not in _JOINERS for c in text):
        return INVISIBLE
    seen = unicodedata.normalize("NFKC", text.translate(_OTHER_DOTS))
    return URL_LIKE if _LINK.search(seen) else None
