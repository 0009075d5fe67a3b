"""`.env.example`, made from the sections: `python -m notifier.settings.example > .env.example`."""

import sys
import textwrap
from collections.abc import Iterator
from itertools import groupby
from typing import Any, Final

from notifier.settings.catalogue import ANY, FILE_SUFFIX, SMTP_URL, Known, catalogue
from notifier.settings.sections import Section, Settings

_WIDTH: Final = 100
_CHOSEN: Final = {"relays": "MAIN", "keys": "SHOP"}
_HEAD: Final = """\
# Every setting of Notifier with its default. Remove the # from a line to change it.
#
# `notifier dev` reads this file under the name .env from the working directory; a variable of the
# environment wins over it. Outside dev only the environment is read. An empty value means "not
# set", lists are separated by commas (or are JSON), `_s` is seconds. A secret can also stand in a
# file: SETTING_FILE=/run/secrets/name (of SECRET_KEY, one key a line).
"""


def env_example() -> str:
    """The text of `.env.example`."""
    parts = [_HEAD]
    for section, settings in groupby(catalogue().values(), key=lambda known: known.section):
        lines = [f"# --- {_title(section)}", *(line for s in settings for line in _lines(s))]
        parts.append("\n".join(lines) + "\n")
        if section.__name__ == "RelaySettings":
            note = "one relay, by the name that many hosts set; outside dev, if no other is named"
            parts[-1] += f"# {note}\n#{SMTP_URL}=\n"
    return "\n".join(parts)


def _title(section: type[Section]) -> str:
    text = "The whole." if section is Settings else (section.__doc__ or "").partition("\n")[0]
    return text.strip()


def _lines(known: Known) -> Iterator[str]:
    said = known.field.description or ""
    if known.is_secret:
        said += f" (or {known.path[-1].upper()}{FILE_SUFFIX})"
    yield from textwrap.wrap(said, _WIDTH, initial_indent="# ", subsequent_indent="#   ")
    chosen = _CHOSEN[known.path[0]] if ANY in known.path else ""
    examples = known.field.examples
    yield f"#{known.env_name(chosen)}={examples[0] if examples else _text(_default(known))}"


def _default(known: Known) -> Any:
    return known.field.get_default(call_default_factory=True, validated_data={})


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return str(value)


if __name__ == "__main__":
    sys.stdout.write(env_example())
