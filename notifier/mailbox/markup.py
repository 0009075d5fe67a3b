"""A tokenizer for hostile HTML: linear time, no recursion, never raises.

The standard `html.parser` is quadratic on crafted input, and a native one crashes on depth. This
one follows the tokenizer of the HTML standard (§13.2.5) closely enough to read what mail holds;
nothing relies on reading it exactly as a browser does: what is shown is written anew from the
tokens, never copied.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from notifier.core.references import unescape

MAX_ATTRIBUTES = 200


def names(words: str) -> frozenset[str]:
    """A set of names from one string with blanks."""
    return frozenset(words.split())


# Their content is text up to their own end tag, not markup (§13.2.5.2 to §13.2.5.5).
RAW_TEXT = names("script style xmp iframe noembed noframes textarea title plaintext")

_TAG_NAME = re.compile(r"[A-Za-z][^\s/>]*")
_ATTRIBUTE_NAME = re.compile(r"[\s/]*([^\s/>=][^\s/>=]*)?\s*")
_UNQUOTED = re.compile(r"[^\s>]*")
_SPACE = re.compile(r"\s*")
_REFERENCE = re.compile(r"&(?:#[0-9]{1,8};?|#[xX][0-9a-fA-F]{1,8};?|[A-Za-z][A-Za-z0-9]{1,30};)")


@dataclass(frozen=True, slots=True)
class Text:
    """Character data, references resolved."""

    text: str


@dataclass(frozen=True, slots=True)
class Start:
    """A start tag: lower-case name and attributes, the first of equal names counting."""

    name: str
    attributes: dict[str, str]


@dataclass(frozen=True, slots=True)
class Raw:
    """The content of a `RAW_TEXT` element, as it stands."""

    element: str
    text: str


@dataclass(frozen=True, slots=True)
class End:
    """An end tag."""

    name: str


@dataclass(frozen=True, slots=True)
class Doctype:
    """A document type; `text` is what stands after `<!doctype`."""

    text: str


Token = Text | Start | Raw | End | Doctype


def tokens(source: str) -> Iterator[Token]:
    """What `source` consists of, without its comments. A tag cut off by the end is dropped."""
    position = 0
    while position < len(source):
        opening = source.find("<", position)
        if opening < 0:
            yield Text(unescape(source[position:]))
            return
        if opening > position:
            yield Text(unescape(source[position:opening]))
        token, position = _at_angle(source, opening)
        if token is not None:
            yield token
        if isinstance(token, Start) and token.name in RAW_TEXT:
            content, position = _raw_text(source, position, token.name)
            yield Raw(token.name, content)


def _at_angle(source: str, at: int) -> tuple[Token | None, int]:
    following = source[at + 1 : at + 2]
    if following.isascii() and following.isalpha():
        return _start_tag(source, at + 1)
    if following == "/":
        return _end_tag(source, at + 2)
    if following in {"!", "?"}:
        return _declaration(source, at + 1)
    return Text("<"), at + 1


def _start_tag(source: str, at: int) -> tuple[Token | None, int]:
    name = _TAG_NAME.match(source, at)
    if name is None:
        return None, len(source)
    attributes: dict[str, str] = {}
    position = name.end()
    while True:
        found = _ATTRIBUTE_NAME.match(source, position)
        position = found.end() if found else len(source)
        if position >= len(source):
            return None, position
        if source[position] == ">":
            _keep(attributes, found, "")
            return Start(name.group().lower(), attributes), position + 1
        if source[position] != "=":
            _keep(attributes, found, "")
            continue
        value, position = _value(source, position + 1)
        _keep(attributes, found, value)


def _keep(attributes: dict[str, str], found: re.Match[str] | None, value: str) -> None:
    name = (found[1] or "").lower() if found else ""
    if name and name not in attributes and len(attributes) < MAX_ATTRIBUTES:
        attributes[name] = value


def _value(source: str, at: int) -> tuple[str, int]:
    space = _SPACE.match(source, at)
    at = space.end() if space else at
    quote = source[at : at + 1]
    if quote in {'"', "'"}:
        end = source.find(quote, at + 1)
        # Without its closing quote the tag runs to the end of the document and is dropped.
        return ("", len(source)) if end < 0 else (_resolved(source[at + 1 : end]), end + 1)
    found = _UNQUOTED.match(source, at)
    end = found.end() if found else at
    return _resolved(source[at:end]), end


def _resolved(value: str) -> str:
    """References without their semicolon stay, or `?a=1&copy=2` would lose its parameter."""
    return _REFERENCE.sub(lambda found: unescape(found.group()), value)


def _end_tag(source: str, at: int) -> tuple[Token | None, int]:
    name = _TAG_NAME.match(source, at)
    end = source.find(">", at)
    if end < 0:
        return None, len(source)
    return (End(name.group().lower()) if name else None), end + 1


def _declaration(source: str, at: int) -> tuple[Token | None, int]:
    if source.startswith("!--", at):
        return None, _comment_end(source, at + 3)
    end = source.find(">", at)
    if end < 0:
        return None, len(source)
    if source[at : at + 8].lower() == "!doctype":
        return Doctype(source[at + 8 : end].strip()), end + 1
    return None, end + 1


def _comment_end(source: str, at: int) -> int:
    for empty in (">", "->"):
        if source.startswith(empty, at):
            return at + len(empty)
    end = re.compile(r"--!?>").search(source, at)
    return end.end() if end else len(source)


def _raw_text(source: str, at: int, element: str) -> tuple[str, int]:
    if element == "plaintext":
        return source[at:], len(source)
    end = re.compile(rf"</{element}(?=[\s/>])", re.IGNORECASE).search(source, at)
    if end is None:
        return source[at:], len(source)
    return source[at : end.start()], end.start()
