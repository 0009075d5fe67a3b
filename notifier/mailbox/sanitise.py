"""A captured HTML body, written anew so that it can be shown.

The wall is the sandboxed frame and its policy. This removes what a policy does not stop (Chromium
opens a connection for a remote `<iframe>` and for resource hints even where they are blocked),
points `cid:` at the mail's own parts, and holds remote images back. Output is made of tokens on
an allow-list; text is escaped, so nothing depends on reading the input as a browser would.
"""

import html
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from notifier.mailbox.markup import Doctype, End, Raw, Start, Text, Token, names, tokens

MAX_HTML_CHARS = 2 * 1024 * 1024
MAX_DEPTH = 250  # far below where renderers overflow, far above nested layout tables

_KEPT = names(
    "html head body style meta a abbr address area article aside b bdi bdo big blockquote br "
    "caption center cite code col colgroup data dd del details dfn div dl dt em figcaption figure "
    "font footer h1 h2 h3 h4 h5 h6 header hr i img ins kbd li main map mark nav ol p pre q rp rt "
    "ruby s samp section small span strike strong sub summary sup table tbody td tfoot th thead "
    "time tr tt u ul var wbr"
)
# Gone with everything in them. Whatever is on neither list loses its tags and keeps its words:
# what stands inside a <video> or <object> is written for readers that cannot show one.
_DROPPED = names("svg math template select datalist")
# These close themselves when the next one opens, so they cannot pile up in depth.
_OPTIONAL_END = names("body caption colgroup dd dt head html li p rp rt tbody td tfoot th thead tr")
_UNCOUNTED = _OPTIONAL_END | names("area br col hr img meta wbr")
_ATTRIBUTES = names(
    "abbr align alink alt axis background bgcolor border cellpadding cellspacing cite class color "
    "cols colspan compact coords datetime dir face headers height href hspace id lang link "
    "media name noshade nowrap open reversed role rowspan rules scope shape size span src start "
    "style summary text title type usemap valign value vlink vspace width"
)
_META_NAMES = frozenset(("viewport", "color-scheme", "supported-color-schemes"))
_LINK_SCHEMES = ("http:", "https:", "mailto:", "tel:", "sms:", "#")
_IMAGE_DATA = re.compile(
    r"data:image/(?:png|gif|jpeg|jpg|webp|avif|bmp|svg\+xml)[;,]", re.IGNORECASE
)
_CSS_CID = re.compile(r"""url\(\s*+(["']?+)cid:([^"'()\s]++)\1\s*+\)""", re.IGNORECASE)
_CSS_REMOTE = re.compile(r"""url\(\s*+["']?+\s*+(?:https?:)?//""", re.IGNORECASE)
_REMOTE = re.compile(r"\s*(?:https?:)?//", re.IGNORECASE)
_BLANKS = re.compile(r"[\x00-\x20]+")


@dataclass(frozen=True, slots=True)
class Shown:
    """HTML fit for the frame, and how many remote images it holds (loaded or not)."""

    html: str
    remote_images: int


def sanitise(
    source: str, cid_url: Callable[[str], str | None], *, load_remote: bool = False
) -> Shown:
    """Rewrites `source`; `cid_url` gives the address of the part with a Content-ID, or None."""
    writer = _Writer(cid_url, load_remote=load_remote)
    for token in tokens(source[:MAX_HTML_CHARS]):
        writer.take(token)
    if len(source) > MAX_HTML_CHARS:
        writer.pieces.append("<hr><p>The rest of this mail is too long to be shown.</p>")
    return Shown("".join(writer.pieces), writer.remote_images)


class _Writer:
    def __init__(self, cid_url: Callable[[str], str | None], *, load_remote: bool) -> None:
        self.pieces: list[str] = []
        self.remote_images = 0
        self._cid_url = cid_url
        self._load_remote = load_remote
        self._open: Counter[str] = Counter()
        self._dropping: list[str] = []

    def take(self, token: Token) -> None:
        if self._dropping:
            self._skip(token)
        elif isinstance(token, Text):
            self.pieces.append(html.escape(token.text, quote=False))
        elif isinstance(token, Start):
            self._start(token)
        elif isinstance(token, End):
            self._end(token.name)
        elif isinstance(token, Raw):
            self._style(token)
        else:
            self._doctype(token)

    def _skip(self, token: Token) -> None:
        """Inside a dropped element: only its own kind nests, so one wrong tag hides no more."""
        element = self._dropping[-1]
        if isinstance(token, Start) and token.name == element:
            self._dropping.append(element)
        elif isinstance(token, End) and token.name == element:
            self._dropping.pop()

    def _doctype(self, token: Doctype) -> None:
        # Standards or quirks changes how a mail looks; nothing else of it matters.
        if not self.pieces:
            public = 'PUBLIC "-//W3C//DTD XHTML 1.0 Transitional//EN"'
            legacy = "transitional" in token.text.lower()
            self.pieces.append(f"<!doctype html {public}>" if legacy else "<!doctype html>")

    def _style(self, token: Raw) -> None:
        if token.element == "style":
            self.pieces.append(self._css(token.text).replace("</", r"<\/"))

    def _start(self, tag: Start) -> None:
        if tag.name in _DROPPED:
            self._dropping.append(tag.name)
            return
        if tag.name not in _KEPT or (tag.name == "meta" and not _harmless_meta(tag)):
            return
        if tag.name not in _UNCOUNTED:
            if self._open.total() >= MAX_DEPTH:
                return
            self._open[tag.name] += 1
        self.pieces.append(f"<{tag.name}{self._attributes(tag)}>")

    def _end(self, name: str) -> None:
        """As it stands: browsers mend wrong nesting, and mails rely on how they do."""
        if name in _OPTIONAL_END:
            self.pieces.append(f"</{name}>")
        elif self._open[name] > 0:
            self._open[name] -= 1
            self.pieces.append(f"</{name}>")

    def _attributes(self, tag: Start) -> str:
        kept = []
        for name, value in tag.attributes.items():
            if tag.name == "meta":
                allowed: str | None = value if name in {"name", "content"} else None
            else:
                allowed = self._attribute(tag.name, name, value)
            if allowed is not None:
                kept.append(f' {name}="{html.escape(allowed)}"')
        if tag.name in {"a", "area"} and "href" in tag.attributes:
            kept.append(' target="_blank" rel="noopener noreferrer"')
        return "".join(kept)

    def _attribute(self, element: str, name: str, value: str) -> str | None:
        if name == "href":
            return _link(value) if element in {"a", "area"} else None
        if name in {"src", "background"}:
            return self._image(value)
        if name == "style":
            return self._css(value)
        known = name in _ATTRIBUTES or name.startswith("aria-") or _is_data(name)
        return value if known else None

    def _image(self, value: str) -> str | None:
        address = value.strip()
        if address[:4].lower() == "cid:":
            return self._cid_url(address[4:])
        if _IMAGE_DATA.match(address):
            return address
        if not _REMOTE.match(address):
            return None
        self.remote_images += 1
        return address if self._load_remote else None

    def _css(self, css: str) -> str:
        self.remote_images += len(_CSS_REMOTE.findall(css))

        def own(found: re.Match[str]) -> str:
            return f'url("{self._cid_url(found[2]) or "about:invalid"}")'

        return _CSS_CID.sub(own, css)


def _harmless_meta(tag: Start) -> bool:
    name = tag.attributes.get("name", "").strip().lower()
    return name in _META_NAMES and "http-equiv" not in tag.attributes


def _is_data(name: str) -> bool:
    return re.fullmatch(r"data-[a-z0-9_-]+", name) is not None


def _link(value: str) -> str | None:
    address = _BLANKS.sub("", value) if _BLANKS.match(value) else value.strip()
    return address if address.lower().startswith(_LINK_SCHEMES) else None
