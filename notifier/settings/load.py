"""Settings from the environment: strict, complete about what is wrong, silent about secrets."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsConfigDict

from notifier.core.errors import Misconfigured
from notifier.settings import defaults
from notifier.settings.catalogue import PREFIX, SMTP_URL, env_name
from notifier.settings.checks import faults
from notifier.settings.environment import Gathered, Value, gather
from notifier.settings.loopback import is_loopback
from notifier.settings.relay_url import exposed, relay_targets
from notifier.settings.sections import Settings

DOTENV: Final = Path(".env")
"""Where dev looks for more settings, from the working directory."""

Purpose = Literal["serve", "capture", "manage"]
"""`serve` starts Notifier, `capture` the mailbox alone, which sends nothing and asks for no relay.
`manage` works beside a running Notifier: what only a start needs is not asked for."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings that fit. `warnings` are sentences for the operator.

    `sources` says by environment name where each setting that is not a default stands.
    """

    settings: Settings
    warnings: tuple[str, ...]
    sources: Mapping[str, str] = field(default_factory=dict)


def load(
    environ: Mapping[str, str],
    *,
    is_dev: bool,
    dotenv: Path | None = None,
    options: Mapping[str, str] | None = None,
    purpose: Purpose = "serve",
) -> Loaded:
    """The settings, or `Misconfigured` with everything that is wrong, one sentence each.

    `dotenv` is read in dev only. `options` are settings from the command line, by environment
    name. No sentence repeats a secret.
    """
    found = gather(environ, dotenv if is_dev else None, options=options)
    if is_dev:
        # Hosts set it for what they run; on a developer's machine it is another program's.
        found.values.pop(SMTP_URL, None)
    settings = _validated(found, is_dev=is_dev)
    found.problems += faults(settings, found.is_given, serves=purpose != "manage")
    if purpose == "serve":
        _check_relays(settings, found)
    unread = [] if is_dev or dotenv is None else _unread(dotenv)
    if found.problems:
        problems = [*found.problems, *unread]
        raise Misconfigured("The settings cannot be used.", problems=problems)
    if purpose == "serve":
        found.warnings += _worries(settings)
    sources = {name: value.source for name, value in found.values.items()}
    return Loaded(_completed(settings), (*found.warnings, *unread), sources)


class _Environment(Settings, BaseSettings):
    """The sections as pydantic-settings wants to see them."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_nested_delimiter="__")


class _Source(EnvSettingsSource):
    """Nests what was gathered; knows comma-separated lists beside JSON."""

    def __init__(self, values: Mapping[str, Value]) -> None:
        self._values = values
        super().__init__(_Environment)

    def _load_env_vars(self) -> Mapping[str, str | None]:
        return {
            (PREFIX + name if name == SMTP_URL else name).lower(): value.text
            for name, value in self._values.items()
        }

    def decode_complex_value(self, _name: str, _field: FieldInfo | None, value: Any) -> Any:
        return _listed(value)


def _validated(found: Gathered, *, is_dev: bool) -> Settings:
    """The settings as far as they fit; what does not is left at its default, with a problem."""
    try:
        return Settings.model_validate({**_Source(found.values)(), "is_dev": is_dev})
    except ValidationError as error:
        for fault in error.errors(include_url=False, include_context=False, include_input=False):
            path, entry = _place(fault["loc"])
            name = env_name(path)
            value = found.values.pop(name, None)
            where = f" ({value.source})" if value and value.source != "environment" else ""
            found.problems.append(f"{name}{where}{entry} {_words(fault['msg'])}.")
            found.unusable.add(name)
        return Settings.model_validate({**_Source(found.values)(), "is_dev": is_dev})


def _place(loc: tuple[int | str, ...]) -> tuple[tuple[str, ...], str]:
    """The path of a setting, and which entry of a list it is about."""
    path = tuple(part for part in loc if isinstance(part, str))
    entries = [part for part in loc if isinstance(part, int)]
    return path, f": entry {entries[0] + 1}" if entries else ""


def _words(message: str) -> str:
    """Pydantic's message as the end of a sentence. None of those used here repeats the input."""
    for opening in ("Input ", "String ", "Value error, "):
        message = message.removeprefix(opening)
    return message[:1].lower() + message[1:]


def _listed(text: str) -> Any:
    """The entries of a JSON list or of a comma-separated one; broken JSON stays as it is."""
    if text.lstrip().startswith("["):
        try:
            return json.loads(text)
        except ValueError:
            return text
    return [entry.strip() for entry in text.split(",") if entry.strip()]


def _check_relays(settings: Settings, found: Gathered) -> None:
    # In dev the capture server is always there, on whatever port is free.
    capture_port = defaults.SMTP_PORT if settings.is_dev else None
    try:
        targets = relay_targets(settings, capture_port=capture_port)
    except Misconfigured as error:
        found.problems += error.problems
        return
    found.warnings += [
        f"The relay {target.name} gets its password over a connection that may be readable:"
        " use smtps://, or smtp:// without ?tls=."
        for target in exposed(targets)
    ]
    if not any(not target.captures for target in targets) and not settings.is_dev:
        found.warnings.append(
            "No relay is configured, so that mail waits: set NOTIFIER_RELAYS__MAIN__URL."
        )


def _worries(settings: Settings) -> Iterator[str]:
    """What is allowed and seldom meant."""
    if settings.is_dev and settings.dev.send_for_real:
        yield "NOTIFIER_DEV__SEND_FOR_REAL is on: mail can leave this machine."
    if settings.smtp_url and settings.relays:
        yield "SMTP_URL is not used, because NOTIFIER_RELAYS__… names relays."
    if settings.is_dev or settings.public_url is None:
        return
    url = urlsplit(settings.public_url)
    if url.scheme == "http" and not is_loopback(url.hostname or ""):
        yield "NOTIFIER_PUBLIC_URL is http://: whoever is on the way can read and use the links."


def _unread(dotenv: Path) -> list[str]:
    try:
        has_settings = PREFIX in dotenv.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return [f"The file {dotenv} was not read: only dev reads it."] if has_settings else []


def _completed(settings: Settings) -> Settings:
    changes: dict[str, Any] = {}
    if settings.public_url:
        changes["public_url"] = settings.public_url.rstrip("/")
    if settings.is_dev and settings.mail.from_ is None:
        changes["mail"] = settings.mail.model_copy(update={"from_": defaults.DEV_SENDER})
    return settings.model_copy(update=changes)
