"""Which addresses a mail may link to."""

import re

_LONGEST = 4000
_SAFE = re.compile(r"(?:https?://[^\s/?#@\\]+(?:[/?#][^\s\\]*)?|mailto:[^\s\\:/]+)", re.IGNORECASE)
_CONTROL = re.compile('[\x00-\x20\x7f-\xa0\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff<>"]')


def is_safe_url(text: str) -> bool:
    """Whether `text` is an absolute https, http or mailto URL that says where it leads.

    No user name before the host (`https://bank.example@evil.test`), nothing invisible, no
    backslash (browsers read it as a slash), at most 4,000 characters.
    """
    return len(text) <= _LONGEST and bool(_SAFE.fullmatch(text)) and not _CONTROL.search(text)
