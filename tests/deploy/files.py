"""What is under `deploy/` and in compose.yaml, read as its tools read it."""

import configparser
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from notifier.cli.program import COMMANDS, loaded
from notifier.settings.catalogue import FILE_SUFFIX, find

ROOT = Path(__file__).resolve().parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))
DEPLOY = ROOT / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
DRAINS_S = 12
"""Both graces of the settings (side by side) and the 2 s that a stop may take beyond them."""

SCALE: dict[str, dict[str, Any]] = {
    name: service
    for name, service in COMPOSE["services"].items()
    if service.get("profiles") == ["scale"]
}


def manifests() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every object with its file's name, in the order of the files."""
    for path in sorted(KUBERNETES.glob("*.yaml")):
        for found in yaml.safe_load_all(path.read_text("utf-8")):
            yield path.name, found


def of_kind(*kinds: str) -> dict[str, dict[str, Any]]:
    """Kubernetes objects of these kinds, by name."""
    return {found["metadata"]["name"]: found for _, found in manifests() if found["kind"] in kinds}


def unit() -> configparser.ConfigParser:
    """The systemd unit; of a key that stands twice the last."""
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # its documented switch
    parser.read_string((DEPLOY / "systemd" / "notifier.service").read_text("utf-8"))
    return parser


def unknown(names: Mapping[str, object]) -> list[str]:
    """Variables that no setting has, nor a secret's file."""
    return [name for name in names if not (find(name) or _is_file_of_a_secret(name))]


def bare_secrets(names: Mapping[str, object]) -> list[str]:
    """Secrets whose text stands in the environment itself."""
    return [name for name in names if (known := find(name)) and known.is_secret]


def is_command(words: Sequence[str]) -> bool:
    """Whether `notifier` has this command, with options that it knows."""
    name, *options = words
    if name not in COMMANDS:
        return False
    known = {one for option in loaded(name).params for one in _spellings(option)}
    return set(options) <= known


def _spellings(option: Any) -> list[str]:
    return [*option.opts, *option.secondary_opts]


def _is_file_of_a_secret(name: str) -> bool:
    known = find(name.removesuffix(FILE_SUFFIX)) if name.endswith(FILE_SUFFIX) else None
    return known is not None and known.is_secret
