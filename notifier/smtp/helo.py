"""What we are called in EHLO, without asking a resolver."""

import re
import socket
from typing import Final

from notifier.core.errors import Misconfigured

_NAME: Final = re.compile(r"(?=.{1,253}\Z)[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63})*")
_LITERAL: Final = re.compile(r"\[[A-Za-z0-9:.]{2,60}\]")


def checked_name(name: str) -> str:
    """A configured name in the form in which it is sent. Raises Misconfigured."""
    try:
        ascii_name = name.strip().encode("idna").decode() if not name.isascii() else name.strip()
    except UnicodeError:
        ascii_name = ""
    if _NAME.fullmatch(ascii_name) or _LITERAL.fullmatch(ascii_name):
        return ascii_name
    raise Misconfigured("NOTIFIER_MAIL__HELO_NAME is neither a host name nor [an address]")


def own_name(sockname: tuple[str, int]) -> str:
    """The machine's name when it is a full one, else our end of the connection.

    RFC 5321 §4.1.4 wants an address literal (§4.1.3) where there is no meaningful name.
    """
    name = socket.gethostname()
    if "." in name and _NAME.fullmatch(name):
        return name
    host = sockname[0].partition("%")[0]
    return f"[IPv6:{host}]" if ":" in host else f"[{host}]"
