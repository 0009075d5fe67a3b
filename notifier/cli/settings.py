"""The settings of this process, with what the command line adds to them."""

import os
from collections.abc import Mapping
from typing import Annotated

import typer

from notifier.cli.terminal import say
from notifier.settings.load import DOTENV, Loaded, Purpose, load

Dev = Annotated[
    bool,
    typer.Option("--dev", help="As `notifier dev` sees them: with .env, and with dev's defaults."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def load_here(
    *, is_dev: bool, purpose: Purpose, options: Mapping[str, object] | None = None
) -> Loaded:
    """Settings from this process's environment and folder; warnings are said.

    `options` are settings by environment name; None leaves a setting to the environment. Raises
    `Misconfigured`.
    """
    given = {name: _text(value) for name, value in (options or {}).items() if value is not None}
    loaded = load(os.environ, is_dev=is_dev, dotenv=DOTENV, options=given, purpose=purpose)
    for warning in loaded.warnings:
        say(f"Warning: {warning}")
    return loaded


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
