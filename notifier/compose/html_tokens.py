"""HTML cut into tags, text and comments as a browser would, in one pass and linear time.

Not `html.parser`: on the interpreters in use it is quadratic on hostile input (CVE-2025-6069).
Here whatever does not end (a tag, a comment, a `<style>`) ends the document, as HTML's "eof in …"
rules say, so nothing is scanned twice.
"""

import re
from collections.abc import Iterator
from typing import Literal, NamedTuple

from notifier.core.references import unescape

Kind = Literal["text", "start", "end", "comment", "raw"]

# Elements without an end tag (HTML §13.1.2).
VOID = re.compile("area|base|br|col|embed|hr|img|input|link|meta|source|track|wbr")
_RAW = frozenset({"style", "script", "title", "textarea", "xmp", "iframe", "noembed", "noframes"})

_TAG = re.compile(
    r"""<(?P<close>/?)(?P<name>[a-zA-Z][^\s/>]*+)"""
    r"""(?P<attributes>(?:[^>"'=]++|=\s*+"[^"]*+"|=\s*+'[^']*+'|[="'])*+)>"""
)
_ATTRIBUTE = re.compile(
    r"""(?P<name>[^\s/>=]++)(?:\s*+=\s*+(?:"(?P<double>[^"]*+)"|'(?P<single>[^']*+)'|(?P<bare>[^\s>]*+)))?+"""
)


class Token(NamedTuple):
    """One piece. `value` is the source of text and comments, else the tag's name in lower case.

    `raw` is what stands inside an element that holds no tags (`<style>`, `<title>`), and its
    `value` that element's name. `start` and `end` are offsets into the document; `attributes` is
    the tag's source behind its name.
    """

    kind: Kind
    value: str
    start: int
    end: int
    attributes: str = ""


class Attribute(NamedTuple):
    """`name` in lower case, `value` as written, `quoted` whether it stands in quotes."""

    name: str
    value: str
    quoted: bool
    start: int

    @property
    def text(self) -> str:
        """The value with its character references resolved."""
        return unescape(self.value)


def tokens(html: str) -> Iterator[Token]:
    """The pieces of `html` in order; never raises, never more work than its length."""
    at = 0
    while at < len(html):
        begin = html.find("<", at)
        if begin < 0:
            begin = len(html)
        if begin > at:
            yield Token("text", html[at:begin], at, begin)
        if begin == len(html):
            return
        token = _markup(html, begin)
        if token is None:
            return
        yield token
        at = token.end
        if token.kind == "start" and token.value in _RAW:
            raw = _raw_text(html, at, token.value)
            yield raw
            at = raw.end


def attributes(token: Token) -> Iterator[Attribute]:
    """The attributes of a start tag, in order, repeated ones too."""
    offset = token.end - 1 - len(token.attributes)
    for match in _ATTRIBUTE.finditer(token.attributes):
        group = match.lastgroup or "name"
        value = "" if group == "name" else match[group]
        quoted = group in ("double", "single")
        start = offset + (match.start(group) if group != "name" else match.end())
        yield Attribute(match["name"].lower(), value, quoted, start)


def _markup(html: str, begin: int) -> Token | None:
    """What the `<` at `begin` opens; None when it never ends."""
    if match := _TAG.match(html, begin):
        kind: Kind = "end" if match["close"] else "start"
        return Token(kind, match["name"].lower(), begin, match.end(), match["attributes"])
    following = html[begin + 1 : begin + 2]
    if html.startswith("<!--", begin):
        # `<!-->` and `<!--->` are whole comments (HTML §13.2.5.43).
        stop = html.find("-->", begin + 2)
        return None if stop < 0 else Token("comment", html[begin : stop + 3], begin, stop + 3)
    if following in ("!", "?", "/"):
        stop = html.find(">", begin)
        return None if stop < 0 else Token("comment", html[begin : stop + 1], begin, stop + 1)
    if following.isalpha() and following.isascii():
        return None
    return Token("text", "<", begin, begin + 1)


def _raw_text(html: str, at: int, name: str) -> Token:
    closing = re.compile(rf"</{name}(?=[\s/>])", re.IGNORECASE).search(html, at)
    stop = closing.start() if closing else len(html)
    return Token("raw", name, at, stop)
