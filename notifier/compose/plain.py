"""The text version of an HTML mail: what a reader without HTML gets to see."""

import re

from notifier.compose.html_tokens import VOID, Token, attributes, tokens
from notifier.core.references import unescape

_SPACED = re.compile("p|h[1-6]|ul|ol|table|blockquote|pre|hr")
_BLOCK = re.compile(
    "address|article|aside|body|center|d[dlt]|div|fieldset|figure|footer|form|header|html|li|main"
    "|nav|section|tbody|thead|tr"
)
_CELL = re.compile("td|th")
_HIDDEN = re.compile(
    r"display\s*:\s*none|visibility\s*:\s*hidden|mso-hide\s*:\s*all", re.IGNORECASE
)
_MAYBE_HIDDEN = re.compile(r"none|hidden|hide", re.IGNORECASE)
_BLANKS = re.compile(r"[ \t\r\n\f]+")
# Fillers that keep the preview line of an inbox clean; no reader should see them.
_FILLERS = dict.fromkeys(map(ord, "\u00ad\u034f\u200b\ufeff")) | {0x2007: " "}
_LINKED = ("http:", "https:", "mailto:", "tel:")


def html_to_text(html: str) -> str:
    """Readable plain text: blocks on lines of their own, list items as `- `, links as `text (url)`.

    Hidden elements, styles and scripts are left out. Linear in the length of `html`; ends with
    one line break, or is empty where there is nothing to read.
    """
    writer = _Writer()
    for token in tokens(html):
        writer.take(token)
    return writer.finished()


class _Writer:
    """Collects words and the line breaks owed before them."""

    def __init__(self) -> None:
        self._out: list[str] = []
        self._owed = 0  # line breaks before the next word
        self._gap = False  # a blank before the next word
        self._hidden: list[str] = []  # open tags since, and with, the hidden one
        self._link: tuple[str, int] | None = None  # address, and where its text began

    def take(self, token: Token) -> None:
        if self._hidden:
            self._skip(token)
        elif token.kind == "text":
            self._words(unescape(token.value))
        elif token.kind == "start":
            self._open(token)
        elif token.kind == "end":
            self._close(token.value)

    def finished(self) -> str:
        text = "".join(self._out)
        return text + "\n" if text else ""

    def _skip(self, token: Token) -> None:
        if token.kind == "start" and token.value == self._hidden[0]:
            self._hidden.append(token.value)
        elif token.kind == "end" and token.value == self._hidden[0]:
            self._hidden.pop()

    def _open(self, token: Token) -> None:
        name = token.value
        found: dict[str, str] = {}
        # Long style attributes are most of a mail; few of them hide anything.
        if name in ("a", "img") or _MAYBE_HIDDEN.search(token.attributes):
            found = {attribute.name: attribute.text for attribute in attributes(token)}
        if not VOID.fullmatch(name) and (
            "hidden" in found or _HIDDEN.search(found.get("style", ""))
        ):
            self._hidden.append(name)
            return
        self._break(name)
        if name == "a":
            self._end_link()  # links do not nest (HTML §13.2.6.4.7)
            self._link = (found.get("href", ""), len(self._out))
        elif name == "img":
            self._words(found.get("alt", ""))
        elif name == "li":
            self._words("- ")
        elif name == "hr":
            self._words("---")
            self._break(name)

    def _close(self, name: str) -> None:
        if name == "a":
            self._end_link()
        self._break(name)

    def _end_link(self) -> None:
        if self._link is None:
            return
        href, began = self._link
        self._link = None
        text = "".join(self._out[began:]).strip()
        bare = href.removeprefix("mailto:")
        if href.lower().startswith(_LINKED) and text not in (href, bare):
            self._gap = bool(text)
            self._words(f"({bare})" if text else bare)

    def _break(self, name: str) -> None:
        if name == "br":
            self._owed += 1
        elif _SPACED.fullmatch(name):
            self._owed = max(self._owed, 2)
        elif _CELL.fullmatch(name):
            self._gap = True
        elif _BLOCK.fullmatch(name):
            self._owed = max(self._owed, 1)

    def _words(self, text: str) -> None:
        text = _BLANKS.sub(" ", text.translate(_FILLERS))
        words = text.strip(" \u00a0")
        if not words:
            self._gap = self._gap or bool(text)
            return
        if self._owed and self._out:
            self._out.append("\n" * min(self._owed, 2))
        elif self._out and (self._gap or text[0] == " ") and not self._out[-1].endswith("- "):
            self._out.append(" ")
        self._owed, self._gap = 0, text[-1] == " "
        self._out.append("- " if words == "-" and text == "- " else words)
