"""What is in force and why: each setting, its value fit to be shown, and where it stands."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import SecretStr

from notifier.settings import defaults
from notifier.settings.catalogue import ANY, SMTP_URL, Known, catalogue, env_name
from notifier.settings.load import Loaded
from notifier.settings.relay_url import shown_url
from notifier.settings.secrets import KEY_FILE
from notifier.settings.sections import Settings

MASK: Final = "***"
DEFAULT: Final = "default"
_URLS: Final = frozenset({("relays", ANY, "url"), ("capture_url",)})


@dataclass(frozen=True, slots=True)
class Shown:
    """One setting. `value` is JSON's, None for unset, and holds no secret."""

    name: str
    value: Any
    source: str


def effective(loaded: Loaded) -> Iterator[Shown]:
    """Every setting in the order of `.env.example`; of relays and keys those that there are."""
    settings = loaded.settings
    for known in catalogue().values():
        for path in _paths(known, settings):
            name = env_name(path)
            value = _shown(known, _value(settings, path))
            yield _in_dev(settings, Shown(name, value, loaded.sources.get(name, DEFAULT)))
    if settings.smtp_url:
        yield Shown(SMTP_URL, shown_url(settings.smtp_url), loaded.sources.get(SMTP_URL, DEFAULT))


def _paths(known: Known, settings: Settings) -> Iterator[tuple[str, ...]]:
    if ANY not in known.path:
        yield known.path
        return
    group, _, *rest = known.path
    for name in sorted(getattr(settings, group)):
        yield (group, name, *rest)


def _value(settings: Settings, path: tuple[str, ...]) -> Any:
    value: Any = settings
    for part in path:
        value = value[part] if isinstance(value, dict) else getattr(value, _attribute(part))
    return value


def _attribute(part: str) -> str:
    return "from_" if part == "from" else part  # `from` is a word of Python's own


def _shown(known: Known, value: Any) -> Any:
    if isinstance(value, tuple):
        return [_shown(known, entry) for entry in value]
    if isinstance(value, SecretStr):
        return shown_url(value) if known.path in _URLS else MASK
    return str(value) if isinstance(value, Path) else value


def _in_dev(settings: Settings, shown: Shown) -> Shown:
    """Dev has defaults where others must set a value."""
    if not settings.is_dev or shown.source != DEFAULT:
        return shown
    if shown.name == "NOTIFIER_PUBLIC_URL":
        port = settings.http.port or defaults.HTTP_PORT
        return Shown(shown.name, defaults.public_url(settings, http_port=port), "default of dev")
    if shown.name == "NOTIFIER_SECRET_KEY":
        return Shown(shown.name, [MASK], f"file {settings.data_dir / KEY_FILE}")
    if shown.name == "NOTIFIER_MAIL__FROM":
        return Shown(shown.name, shown.value, "default of dev")
    return shown
