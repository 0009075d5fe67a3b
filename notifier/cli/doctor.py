"""`notifier doctor`."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Annotated, Final

import typer

from notifier.assembly.doctor.check import Check
from notifier.assembly.doctor.examine import examine, of_settings
from notifier.cli.endings import FAILED
from notifier.cli.settings import AsJson
from notifier.cli.terminal import (
    HELP_OPTIONS,
    Colour,
    Painted,
    example,
    put,
    put_json,
    put_prose,
    working,
)
from notifier.core.errors import Misconfigured
from notifier.settings.load import DOTENV, load

app = typer.Typer(context_settings=HELP_OPTIONS, rich_markup_mode=None, add_completion=False)

_MARKS: Final[Mapping[str, tuple[str, Colour]]] = {
    "ok": ("✓", "green"),
    "warning": ("!", "yellow"),
    "failed": ("✗", "red"),
}


@app.command(epilog=example("notifier doctor", "notifier doctor --dev", "notifier doctor --json"))
def doctor(
    *,
    dev: Annotated[
        bool, typer.Option("--dev", help="For `notifier dev`, with .env and dev's defaults.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Look at all that Notifier stands on, and say what to do about it.

    Interpreter, disk, database, settings, templates, ports, and each relay: connection,
    certificate, login and sender, without sending mail. The exit code is 1 if anything has failed.
    """
    found: list[Check] = []
    with working("Looking ..."):
        found += _checks(is_dev=dev)
    if as_json:
        ok = not any(check.mark == "failed" for check in found)
        put_json({"ok": ok, "checks": [asdict(check) for check in found]})
    else:
        _tell(found)
    if any(check.mark == "failed" for check in found):
        raise typer.Exit(FAILED)


def _checks(*, is_dev: bool) -> Iterator[Check]:
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    try:
        warnings = load(os.environ, is_dev=is_dev, dotenv=DOTENV).warnings
    except Misconfigured as error:
        problems = error.problems
    yield from of_settings(problems, warnings)
    try:
        settings = load(os.environ, is_dev=is_dev, dotenv=DOTENV, purpose="manage").settings
    except Misconfigured:
        return  # nothing can be looked at with settings that cannot be read
    yield from examine(settings)


def _tell(found: list[Check]) -> None:
    for check in found:
        mark, colour = _MARKS[check.mark]
        put_prose(_ended(check.says), first=Painted(f"{mark} ", colour))
        if check.remedy:
            put_prose(_ended(check.remedy), indent="    ", first=Painted("  → ", "bold"))
    counts = {mark: sum(check.mark == mark for check in found) for mark in _MARKS}
    put()
    put(
        f"{counts['ok']} ok, {counts['warning']} to look at, ",
        Painted(f"{counts['failed']} failed", "red" if counts["failed"] else "dim"),
    )


def _ended(sentence: str) -> str:
    sentence = sentence[:1].upper() + sentence[1:]
    return sentence if sentence.endswith((".", "?")) else f"{sentence}."
