"""What a list and a search know of a mail, and what stands at the top when it is opened."""

import re
from dataclasses import dataclass
from itertools import islice

from notifier.mailbox.markup import End, Raw, Start, Text, names, tokens
from notifier.mailbox.parse import Mail
from notifier.mailbox.records import Summary

SNIPPET_CHARS = 180
SNIPPET_READ_CHARS = 2000
SUBJECT_CHARS = 2000
READ_CHARS = 200_000
LINKS_MAX = 500
CODES_MAX = 200
TEMPLATE_HEADERS = ("X-Notifier-Template", "X-Template")

_BLOCKS = names(
    "address article blockquote br center dd div dl dt footer h1 h2 h3 h4 h5 h6 header hr li ol p "
    "pre section table td th tr ul"
)
_INVISIBLE = re.compile("[\u200b-\u200f\u034f\u2060\ufeff\u00ad]")
_SPACE = re.compile(r"\s+")
_LINE_END = re.compile(r"(?<!\s)\s*\n\s*")  # begins at the run's first blank: linear
_CODE = re.compile(r"(?<![\w#.,:/@=+%-])(?<!\d )(\d{6}|\d{3}[ -]\d{3})(?![\w/@=%-]|[.,:]\d)")
_CODE_WORD = re.compile(r"\b(?:code|pin|otp|passcode|password|bestätigungscode)\b", re.IGNORECASE)
_CODE_REACH = 160
_ACTION = re.compile(
    r"confirm|verif|activat|reset|sign.?in|log.?in|accept|bestätig|magic|token|invite",
    re.IGNORECASE,
)
_ASIDE = re.compile(r"unsubscribe|abmelde|preferences|privacy|terms|imprint", re.IGNORECASE)
_URL = re.compile(r"https?://[^\s<>\"']{1,2000}")


@dataclass(frozen=True, slots=True)
class Link:
    """A link of the mail: where it goes, and the words one clicks on."""

    href: str
    label: str


@dataclass(frozen=True, slots=True)
class Highlights:
    """A confirmation code and the link that the mail is about, where there are any."""

    code: str | None
    link: Link | None


def summarise(mail: Mail) -> Summary:
    """The row of this mail."""
    words = _SPACE.sub(" ", _INVISIBLE.sub("", readable(mail, SNIPPET_READ_CHARS))).strip()
    template = next((value for name in TEMPLATE_HEADERS if (value := mail.header(name))), None)
    return Summary(
        sender=mail.sender,
        to=(*mail.to, *mail.cc),
        subject=mail.subject[:SUBJECT_CHARS],
        snippet=words[:SNIPPET_CHARS],
        date=mail.date,
        message_id=mail.message_id,
        template=template,
        attachments=len(mail.attachments),
        has_html=mail.html is not None,
        has_text=mail.text is not None,
        malformed=mail.problems[0] if mail.problems else None,
    )


def searched_text(mail: Mail) -> str:
    """What a plain word is looked for in, besides sender, recipients and subject."""
    from_html = text_of(mail.html) if mail.html and mail.text else ""
    names = " ".join(part.filename for part in mail.parts if part.filename)
    return _SPACE.sub(" ", f"{readable(mail)} {from_html} {names}").strip()


def readable(mail: Mail, most_chars: int = READ_CHARS) -> str:
    """The text part, or the HTML's words where there is none; about `most_chars` of it."""
    if mail.text and mail.text.strip():
        return mail.text[:most_chars]
    return text_of(mail.html or "", most_chars)


def text_of(html: str, most_chars: int = READ_CHARS) -> str:
    """The words of an HTML document, blocks on lines of their own."""
    pieces: list[str] = []
    length = 0
    for token in tokens(html[:READ_CHARS]):
        if length > most_chars:
            break
        if isinstance(token, Text):
            pieces.append(_SPACE.sub(" ", token.text))
            length += len(pieces[-1])
        elif isinstance(token, Raw) and token.element == "textarea":
            pieces.append(token.text)
        elif isinstance(token, Start | End) and token.name in _BLOCKS:
            pieces.append("\n")
    return _LINE_END.sub("\n", "".join(pieces)).strip()


def highlights(mail: Mail) -> Highlights:
    """What a developer most often opens a mail for."""
    return Highlights(_code(readable(mail)), _main_link(links(mail)))


def _code(text: str) -> str | None:
    found = list(islice(_CODE.finditer(text), CODES_MAX))
    for match in found:
        near = text[max(0, match.start() - _CODE_REACH) : match.end() + _CODE_REACH]
        if _CODE_WORD.search(near):
            return re.sub(r"\D", "", match[1])
    alone = (match for match in found if match[0] == _line(text, match).strip())
    return next((re.sub(r"\D", "", match[1]) for match in alone), None)


def _line(text: str, match: re.Match[str]) -> str:
    start = text.rfind("\n", 0, match.start()) + 1
    end = text.find("\n", match.end())
    return text[start : end if end >= 0 else len(text)]


def links(mail: Mail) -> list[Link]:
    """Web links in order: those of the HTML, or the text's where there is none."""
    if mail.html:
        return _anchors(mail.html)
    found = _URL.findall((mail.text or "")[:READ_CHARS])[:LINKS_MAX]
    return [Link(url.rstrip(".,;:!?)]"), "") for url in found]


def _anchors(html: str) -> list[Link]:
    found: list[Link] = []
    href, words = None, list[str]()
    for token in tokens(html[:READ_CHARS]):
        if isinstance(token, Start) and token.name == "a":
            href, words = token.attributes.get("href", "").strip(), []
        elif isinstance(token, Text) and href:
            words.append(token.text)
        elif isinstance(token, End) and token.name == "a" and href:
            if _URL.match(href) and len(found) < LINKS_MAX:
                found.append(Link(href, _SPACE.sub(" ", "".join(words)).strip()))
            href = None
    return found


def _main_link(found: list[Link]) -> Link | None:
    wanted = [link for link in found if not _ASIDE.search(link.label + link.href)]
    acting = (link for link in wanted if _ACTION.search(link.label + " " + link.href))
    return next(acting, wanted[0] if wanted else None)
