"""`smtps://user:pw@host:465` and `smtp://host:587?tls=…`, taken apart without mercy.

A password that was pasted without escaping often leaves something that still parses, with half of
the password as the host. So whatever is doubtful is refused, with the way to mend it.
"""

import ipaddress
import re
from dataclasses import dataclass
from typing import Final, cast
from urllib.parse import unquote

from notifier.settings.relay import Tls

_HOST: Final = re.compile(
    r"(?=.{1,253}$)[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
    r"(\.[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?)*"
)
_PLACE: Final = re.compile(r"(?P<host>\[[^\]]*\]|[^:\[\]]*)(:(?P<port>.*))?")
_ESCAPES: Final = {"@": "%40", "#": "%23", "/": "%2F", ":": "%3A", "?": "%3F", "%": "%25"}
_BARE_PERCENT: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_IMPLICIT_PORT: Final = 465  # RFC 8314 §3.3
_SUBMISSION_PORT: Final = 587  # RFC 6409 §3.1


class BadUrl(ValueError):
    """What is wrong with a URL, as the end of a sentence. It repeats no part of the URL."""


@dataclass(frozen=True, slots=True)
class SmtpUrl:
    """A URL's parts; credentials are decoded. `repr()` does not show them."""

    host: str
    port: int
    tls: Tls
    username: str | None
    password: str | None

    def __repr__(self) -> str:
        return f"SmtpUrl({self.host}:{self.port}, tls={self.tls})"

    def shown(self) -> str:
        """The URL without its credentials."""
        scheme = "smtps" if self.tls == "implicit" else "smtp"
        query = "" if self.tls in {"implicit", "required"} else f"?tls={self.tls}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme}://{'***@' if self.username else ''}{host}:{self.port}{query}"


def parse_smtp_url(text: str, *, tls: Tls = "required", port: int = _SUBMISSION_PORT) -> SmtpUrl:
    """The parts of a relay's URL. `tls` and `port` are what `smtp://` means that says neither.

    Raises `BadUrl`.
    """
    scheme, separator, rest = text.partition("://")
    scheme = scheme.lower()
    if not separator or scheme not in {"smtp", "smtps"}:
        raise BadUrl("has to begin with smtp:// or smtps://.")
    if _CONTROL.search(rest) or " " in rest:
        raise BadUrl("holds a blank or a control character: write %20 for a blank.")
    _refuse_unescaped(rest)
    credentials, _, place = rest.rpartition("@")
    place, _, query = place.partition("?")
    if scheme == "smtps":
        tls, port = "implicit", _IMPLICIT_PORT
    host, given_port = _host_and_port(place)
    return SmtpUrl(host, given_port or port, _tls(query, tls), *_credentials(credentials))


def _refuse_unescaped(rest: str) -> None:
    """Anything in front of the host that is not `user:password` with the delimiters escaped."""
    credentials = rest.rpartition("@")[0]
    password = credentials.partition(":")[2]
    found = {char for char in "@/?" if char in credentials}
    found |= {":"} & set(password)
    found |= {"#"} & set(rest)
    if _BARE_PERCENT.search(credentials):
        found.add("%")
    if found:
        mends = ", ".join(f"{_ESCAPES[char]} for {char}" for char in _ESCAPES if char in found)
        raise BadUrl(f"is broken by an unescaped character in the user name or password: {mends}.")


def _credentials(text: str) -> tuple[str | None, str | None]:
    username, _, password = text.partition(":")
    try:
        decoded = [unquote(part, errors="strict") for part in (username, password)]
    except UnicodeDecodeError:
        raise BadUrl("has %-escapes that are not UTF-8 text.") from None
    if any(_CONTROL.search(part) for part in decoded):
        raise BadUrl("has a control character in its user name or password.")
    return decoded[0] or None, decoded[1] or None


def _host_and_port(place: str) -> tuple[str, int | None]:
    match = _PLACE.fullmatch(place.removesuffix("/"))
    if match is None or "/" in place.removesuffix("/"):
        raise BadUrl("has to end after the host and port, as in smtp://host:587.")
    return _host(match["host"]), _port(match["port"])


def _host(host: str) -> str:
    if not host:
        raise BadUrl("names no host.")
    if not host.isascii():
        raise BadUrl("has a host name that is not ASCII: write it in its xn-- form.")
    # A last label of digits cannot be a name (RFC 3696 §2), so it has to be an address.
    if host.startswith("[") or host.rpartition(".")[2].isdecimal():
        try:
            return str(ipaddress.ip_address(host.removeprefix("[").removesuffix("]")))
        except ValueError:
            raise BadUrl("has a host that is no IP address.") from None
    if not _HOST.fullmatch(host):
        raise BadUrl("has a host that is no host name.")
    return host.lower()


def _port(text: str | None) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and 1 <= int(text[:6]) <= 65535):
        raise BadUrl("has a port that is no number from 1 to 65535.")
    return int(text)


def _tls(query: str, usual: Tls) -> Tls:
    if not query:
        return usual
    name, _, value = query.partition("=")
    if name != "tls" or "&" in value:
        raise BadUrl("has an argument other than ?tls=, which is the only one.")
    if usual == "implicit":
        raise BadUrl("has ?tls= beside smtps://, which is TLS from the first byte: leave it out.")
    if value not in {"required", "opportunistic", "none"}:
        raise BadUrl("has ?tls= with something other than required, opportunistic or none.")
    return cast("Tls", value)
