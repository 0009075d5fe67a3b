"""`notifier config`: what is in force and why, whether it is enough, and all that there is."""

import os
from typing import Any

import typer

from notifier.cli.endings import UNUSABLE, complain
from notifier.cli.settings import AsJson, Dev, load_here
from notifier.cli.terminal import HELP_OPTIONS, example, put, put_json, put_table, say
from notifier.core.errors import Misconfigured
from notifier.settings.effective import effective
from notifier.settings.example import env_example
from notifier.settings.load import DOTENV, load

app = typer.Typer(
    help="Show and check the settings.",
    context_settings=HELP_OPTIONS,
    epilog=example("notifier config show --dev", "notifier config check && notifier serve"),
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
)


@app.command(epilog=example("notifier config show", "notifier config show --dev --json"))
def show(*, dev: Dev = False, as_json: AsJson = False) -> None:
    """Print every setting, its value and its source.

    Secrets are masked.
    """
    rows = list(effective(load_here(is_dev=dev, purpose="manage")))
    if as_json:
        put_json([{"name": r.name, "value": r.value, "source": r.source} for r in rows])
        return
    put_table(("SETTING", "SOURCE"), [(f"{r.name}={_text(r.value)}", r.source) for r in rows])


@app.command(epilog=example("notifier config check", "notifier config check --dev --json"))
def check(*, dev: Dev = False, as_json: AsJson = False) -> None:
    """Say what would keep Notifier from starting.

    The exit code is 2 if there is anything.
    """
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    try:
        warnings = load(os.environ, is_dev=dev, dotenv=DOTENV).warnings
    except Misconfigured as error:
        problems = error.problems
    if as_json:
        put_json({"ok": not problems, "problems": problems, "warnings": warnings})
    else:
        _tell(problems, warnings)
    raise typer.Exit(UNUSABLE if problems else 0)


@app.command("example", epilog=example("notifier config example > .env"))
def print_example() -> None:
    """Print every setting with its default.

    With descriptions, as `.env.example` has them.
    """
    for line in env_example().splitlines():
        put(line)


def _tell(problems: tuple[str, ...], warnings: tuple[str, ...]) -> None:
    for warning in warnings:
        say(f"Warning: {warning}")
    if problems:
        complain("Notifier would not start:", problems)
    else:
        say("The settings fit.")


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
