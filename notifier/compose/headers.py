"""Which text may become a header, how it is written down, and the proof that it stayed one.

Three walls, because user text in headers is how mail gets hijacked: the text is checked before
(`check_header_text`), header names come from an allow-list (`check_headers`), and the finished
block is split again and compared with what was meant (`verify_block`).
"""

import base64
import itertools
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

from notifier.core.address import Mailbox
from notifier.core.errors import FieldError, Invalid
from notifier.core.text import header_fault, name_fault

LINE_OCTETS = 998  # RFC 5322 §2.1.1, without the CRLF
FOLD_COLUMNS = 78
_ENCODED_OVERHEAD = len("=?utf-8?q??=")
_ENCODED_COLUMNS = 75  # RFC 2047 §2
_TOKEN_CHARS = 900  # a longer run without a blank cannot be folded under LINE_OCTETS
_VALUE_CHARS = 8000

ALLOWED_HEADERS = frozenset(
    name.lower()
    for name in (
        "Auto-Submitted",
        "Comments",
        "Feedback-ID",
        "Importance",
        "In-Reply-To",
        "Keywords",
        "List-Archive",
        "List-Help",
        "List-Id",
        "List-Owner",
        "List-Post",
        "List-Subscribe",
        "List-Unsubscribe",
        "List-Unsubscribe-Post",
        "Organization",
        "Precedence",
        "Priority",
        "References",
        "X-Auto-Response-Suppress",
        "X-Entity-Ref-ID",
        "X-Priority",
    )
)
"""What a caller may set, in lower case. A setting may add names, but never the ones below."""

_FREE_TEXT = frozenset({"comments", "keywords", "organization", "subject"})
# Ours, a trace of transport, or a relay's remote control: no setting opens these.
_NEVER = re.compile(
    r"(?:from|sender|reply-to|to|cc|bcc|subject|date|message-id|mime-version|return-path"
    r"|received(?:-.*)?|delivered-to|content-.*|resent-.*|dkim-.*|domainkey-.*|arc-.*|authentication-results"
    r"|x-smtpapi|x-mc-.*|x-ses-.*|x-mailgun-.*|x-pm-.*|x-postmark-.*|x-msys-.*|x-sib-.*"
    r"|x-mailin-.*|x-mj-.*|x-sg-.*|x-original-to|x-envelope-.*)",
    re.IGNORECASE,
)
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,75}")
_ONE_ADDRESS = re.compile(
    r'(?:"(?:[^"\\]|\\.)*+"|[^\s"<>(),:;\[\]\\@]++)@[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?'
)
_BLOCK_NAME = re.compile(rb"([!-9;-~]+): ?")
_ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+/=^_`{|}~-]+(?: [A-Za-z0-9!#$%&'*+/=^_`{|}~-]+)*")
_Q_PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!*+-/")
_Q = tuple(
    chr(byte) if byte in _Q_PLAIN else "_" if byte == 0x20 else f"={byte:02X}"
    for byte in range(256)
)


class HeaderUnsafe(Invalid):
    """A header came out other than it was meant; nothing was built."""

    code = "header_unsafe"


def check_header_text(text: str, pointer: str) -> FieldError | None:
    """Why `text` must not become a header's value, or None."""
    fault = header_fault(text)
    return FieldError(pointer, fault.code, fault.detail) if fault else None


def check_headers(
    headers: Mapping[str, str], *, extra: Collection[str] = (), pointer: str = "/headers"
) -> tuple[FieldError, ...]:
    """All that is wrong with a caller's own headers; empty when they may be used as they are.

    `extra` holds names that a setting adds to the allow-list, in any case.
    """
    allowed = ALLOWED_HEADERS | {name.lower() for name in extra}
    seen: set[str] = set()
    errors: list[FieldError] = []
    for index, (name, value) in enumerate(headers.items()):
        # A name that is not a header name is named by its position: never echo it.
        sound = _NAME.fullmatch(name) is not None
        at = f"{pointer}/{name if sound else index}"
        if not sound or name.lower() not in allowed or _NEVER.fullmatch(name):
            errors.append(FieldError(at, "header_not_allowed", "This header cannot be set."))
        elif name.lower() in seen:
            errors.append(FieldError(at, "duplicate", "Give each header once."))
        else:
            errors.extend(_check_value(name, value, at))
        seen.add(name.lower())
    return tuple(errors)


def _check_value(name: str, value: str, pointer: str) -> Iterable[FieldError]:
    if error := check_header_text(value, pointer):
        yield error
    elif not value.strip():
        yield FieldError(pointer, "blank", "Give the header a value or leave it out.")
    elif len(value) > _VALUE_CHARS:
        yield FieldError(pointer, "too_long", f"Shorten it to {_VALUE_CHARS} characters.")
    elif name.lower() not in _FREE_TEXT:
        if not value.isascii():
            yield FieldError(pointer, "not_ascii", "Only ASCII is possible in this header.")
        elif _longest_token(value) > _TOKEN_CHARS:
            detail = f"No part without a blank may be longer than {_TOKEN_CHARS} characters."
            yield FieldError(pointer, "too_long", detail)


def check_draft_header(name: str, value: str) -> FieldError | None:
    """The part of `check_headers` that no setting can change, for `compose`."""
    if _NAME.fullmatch(name) is None or _NEVER.fullmatch(name):
        return FieldError("/headers", "header_not_allowed", "This header cannot be set.")
    return next(iter(_check_value(name, value, f"/headers/{name}")), None)


def text_header(name: str, value: str) -> str:
    """`Name: value` as unstructured text (RFC 5322 §2.2.1), folded and without the last CRLF.

    What ASCII lines cannot carry unchanged (other scripts, blanks at the ends, `=?`, runs too
    long to fold) becomes encoded-words (RFC 2047), which read back as exactly `value`.
    """
    if len(name) + len(value) + 2 <= FOLD_COLUMNS and _is_plain(value):
        return f"{name}: {value}"
    if not _is_plain(value) or _longest_token(value) > _TOKEN_CHARS:
        return f"{name}: " + "\r\n ".join(_encoded_words(value, FOLD_COLUMNS - len(name) - 2))
    return _fold(name, value)


def draft_header(name: str, value: str) -> str:
    """`Name: value` for a header that `check_draft_header` let pass.

    A structured one is ASCII and folded at its blanks, never encoded: a long URL stays whole.
    """
    return text_header(name, value) if name.lower() in _FREE_TEXT else _fold(name, value)


def mailbox_header(name: str, mailboxes: Iterable[Mailbox]) -> str:
    """`Name: mailbox, mailbox` (RFC 5322 §3.4), folded between mailboxes and encoded-words."""
    lines = [f"{name}:"]
    pieces = [_mailbox_pieces(mailbox) for mailbox in mailboxes]
    for group in pieces[:-1]:
        group[-1] += ","
    for index, piece in enumerate(itertools.chain.from_iterable(pieces)):
        if index and len(lines[-1]) + 1 + len(piece) > FOLD_COLUMNS:
            lines.append("")
        lines[-1] += f" {piece}"
    return "\r\n".join(lines)


def _mailbox_pieces(mailbox: Mailbox) -> list[str]:
    """What must not be torn apart: a plain mailbox, or each encoded-word and the address."""
    name = mailbox.name
    if not name:
        return [mailbox.address]
    if not _is_plain(name):
        room = FOLD_COLUMNS - len("Reply-To: ")
        return [*_encoded_words(name, room), f"<{mailbox.address}>"]
    if not _ATOMS.fullmatch(name):
        name = '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return [f"{name} <{mailbox.address}>"]


def check_mailbox(mailbox: Mailbox, pointer: str) -> FieldError | None:
    """Whether a mailbox that did not come from `parse_mailbox` is safe in a header."""
    fault = (name_fault(mailbox.name) if mailbox.name else None) or header_fault(mailbox.address)
    if fault:
        return FieldError(pointer, fault.code, fault.detail)
    if not _ONE_ADDRESS.fullmatch(mailbox.address):
        return FieldError(pointer, "bad_syntax", "Give one plain address.")
    return None


def verify_block(block: bytes, names: list[str]) -> None:
    """Raises `HeaderUnsafe` unless `block` holds exactly the headers `names`, in this order.

    The block is split as a receiver splits it: at every line break of any kind, a line that
    begins with a blank belongs to the one before. Lines keep to 998 octets.
    """
    found: list[str] = []
    for line in block.split(b"\r\n"):
        if not line or len(line) > LINE_OCTETS or b"\r" in line or b"\n" in line or b"\0" in line:
            raise HeaderUnsafe("A header would not arrive as it was sent.")
        if line[0] in b" \t":
            if not found or line.isspace():
                raise HeaderUnsafe("A header would not arrive as it was sent.")
        elif match := _BLOCK_NAME.match(line):
            found.append(match[1].decode("ascii"))
        else:
            raise HeaderUnsafe("A header would not arrive as it was sent.")
    if found != names:
        raise HeaderUnsafe("The headers are not the ones that were meant.")


def _is_plain(value: str) -> bool:
    return value.isascii() and "=?" not in value and value[:1] != " " and value[-1:] != " "


def _longest_token(value: str) -> int:
    """The longest stretch that folding cannot break: a word and the blanks before it."""
    return max((len(piece) for piece in _words(value)), default=0)


def _words(value: str) -> list[str]:
    """Each word with the blanks before it; blanks at the end belong to none."""
    # Without them each match begins where the last ended: a long run is read once, not n times.
    return re.findall(r" *[^ ]+", value.rstrip(" "))


def _fold(name: str, value: str) -> str:
    lines = [f"{name}:"]
    for index, piece in enumerate(_words(" " + value)):
        if index and len(lines[-1]) + len(piece) > FOLD_COLUMNS:
            lines.append(piece)
        else:
            lines[-1] += piece
    return "\r\n".join(lines)


def _encoded_words(value: str, first_columns: int) -> list[str]:
    """`value` as encoded-words in UTF-8, none breaking a character (RFC 2047 §5, §6.2)."""
    first = min(_ENCODED_COLUMNS, first_columns) - _ENCODED_OVERHEAD
    rest = _ENCODED_COLUMNS - _ENCODED_OVERHEAD
    raw = value.encode()
    quoted = "".join([_Q[byte] for byte in raw])
    if len(quoted) <= len(raw) * 4 / 3:
        if len(quoted) <= first:
            return [f"=?utf-8?q?{quoted}?="]
        chunks = _chunks(value, first, rest, lambda char: sum(len(_Q[byte]) for byte in char))
        return [f"=?utf-8?q?{''.join(_Q[byte] for byte in chunk)}?=" for chunk in chunks]
    chunks = _chunks(value, first // 4 * 3, rest // 4 * 3, len)
    return [f"=?utf-8?b?{base64.b64encode(chunk).decode()}?=" for chunk in chunks]


def _chunks(value: str, first: int, rest: int, size: Callable[[bytes], int]) -> Iterator[bytes]:
    """`value` in UTF-8, cut between characters into chunks of at most `first`, then `rest`."""
    chunk, used, room = b"", 0, first
    for char in value:
        raw = char.encode()
        cost = size(raw)
        if used + cost > room and chunk:
            yield chunk
            chunk, used, room = b"", 0, rest
        chunk += raw
        used += cost
    yield chunk
