"""The names that settings have in the environment, read off the sections."""

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, get_args, get_origin

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from notifier.settings.sections import Section, Settings

PREFIX: Final = "NOTIFIER_"
FILE_SUFFIX: Final = "_FILE"
SMTP_URL: Final = "SMTP_URL"
"""The one name without the prefix: many hosts set it."""

ANY: Final = "<name>"
"""Stands in a path for a name that the operator chooses, such as a relay's."""

_NOT_FROM_ENVIRONMENT: Final = frozenset({"is_dev", "smtp_url"})
_CHOSEN: Final = re.compile(r"(?=.{1,64}$)[a-z0-9]+(_[a-z0-9]+)*")


@dataclass(frozen=True, slots=True)
class Known:
    """One setting. `path` leads to it through the sections, `("relays", ANY, "url")`.

    A secret can also be given as a file, whose name is in the setting's name and `_FILE`.
    """

    path: tuple[str, ...]
    field: FieldInfo
    section: type[Section]
    is_secret: bool
    is_list: bool

    def env_name(self, chosen: str = "<NAME>") -> str:
        """Its name in the environment, with `chosen` where the operator chooses."""
        return env_name(chosen if part == ANY else part for part in self.path)


def env_name(path: Iterator[str] | tuple[str, ...]) -> str:
    """`("http", "port")` as `NOTIFIER_HTTP__PORT`."""
    return PREFIX + "__".join(part.upper() for part in path)


@cache
def catalogue() -> Mapping[tuple[str, ...], Known]:
    """Every setting by its path, in the order of the sections."""
    return {known.path: known for known in _walk(Settings, ())}


def find(name: str) -> Known | None:
    """The setting that an environment variable names, or None."""
    if not name.startswith(PREFIX) or name != name.upper():
        return None
    path = tuple(name.removeprefix(PREFIX).lower().split("__"))
    if known := catalogue().get(path):
        return known
    if len(path) > 1 and _CHOSEN.fullmatch(path[1]):
        return catalogue().get((path[0], ANY, *path[2:]))
    return None


def nearest(name: str) -> str:
    """The known name that is most like an unknown one."""
    wanted = _squeezed(name)
    parts = name.upper().split("__")
    chosen = parts[1] if len(parts) > 2 and _CHOSEN.fullmatch(parts[1].lower()) else "<NAME>"
    known = {_squeezed(candidate): candidate for candidate in _candidates(chosen)}
    return known[difflib.get_close_matches(wanted, known, n=1, cutoff=0)[0]]


def _candidates(chosen: str) -> Iterator[str]:
    for known in catalogue().values():
        yield known.env_name(chosen)
        if known.is_secret:
            yield known.env_name(chosen) + FILE_SUFFIX


def _squeezed(name: str) -> str:
    """Upper case, and the number of underscores forgotten, which is what is mistyped most."""
    return re.sub("_+", "_", name.upper())


def _walk(section: type[Section], path: tuple[str, ...]) -> Iterator[Known]:
    for name, field in section.model_fields.items():
        if not path and name in _NOT_FROM_ENVIRONMENT:
            continue
        here = (*path, field.alias or name)
        kind: Any = field.annotation
        if get_origin(kind) is dict:
            here, kind = (*here, ANY), get_args(kind)[1]
        if isinstance(kind, type) and issubclass(kind, Section):
            yield from _walk(kind, here)
        else:
            is_secret = SecretStr in (kind, *get_args(kind))
            yield Known(here, field, section, is_secret, get_origin(kind) is tuple)
