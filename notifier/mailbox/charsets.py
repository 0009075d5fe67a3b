"""Bytes of a mail into text, by the charset that it names or the likeliest one."""

import codecs

# Python's own and quadratic, or no charset at all: never what a mail means.
_NO_CHARSETS = frozenset(("idna", "punycode", "raw-unicode-escape", "unicode-escape"))


def text_of_bytes(content: bytes, charset: str | None) -> tuple[str, bool]:
    """The text, and whether it was readable in the named charset (UTF-8 when none is).

    The text holds no half of a surrogate pair: some codecs make them, and no file takes them.
    """
    try:
        text = content.decode(_codec(charset or "utf-8"))
        text.encode()
    except (LookupError, ValueError):
        pass
    else:
        return text, True
    try:
        return content.decode("utf-8"), False
    except UnicodeDecodeError:
        return content.decode("latin-1"), False


def _codec(charset: str) -> str:
    name = codecs.lookup(charset).name
    if name in _NO_CHARSETS:
        raise LookupError(name)
    return name
