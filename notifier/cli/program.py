"""The program: which commands there are, and how it ends."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Annotated, Any, Final

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from notifier import __version__
from notifier.cli.endings import INTERRUPTED, end
from notifier.cli.terminal import HELP_OPTIONS, example
from notifier.core.errors import NotifierError


@dataclass(frozen=True, slots=True)
class Entry:
    """A command that is not loaded yet: the module whose `app` has it, and its first sentence."""

    module: str
    help: str


COMMANDS: Final = {
    "dev": Entry("notifier.cli.roles", "Everything in one process, on this machine only."),
    "serve": Entry("notifier.cli.roles", "The API, and the delivery of what it accepts."),
    "worker": Entry("notifier.cli.roles", "The delivery alone, beside any number of others."),
    "mailbox": Entry("notifier.cli.roles", "The capture server and its inbox alone."),
    "migrate": Entry("notifier.cli.schema", "Bring the database's schema up to date."),
    "send": Entry("notifier.cli.send", "Send a mail through a running Notifier."),
    "status": Entry(
        "notifier.cli.status", "What waits and why, how the relays are, and who delivers."
    ),
    "why": Entry(
        "notifier.cli.why", "The last mail's story in plain sentences, and who has to act."
    ),
    "retry": Entry(
        "notifier.cli.operations", "Put mail that ended, or is held, back into the queue."
    ),
    "cancel": Entry(
        "notifier.cli.operations", "End mail that waits, or is held, without sending it."
    ),
    "relays": Entry("notifier.cli.relays", "Show the relays, pause them and let them go on."),
    "doctor": Entry(
        "notifier.cli.doctor", "Look at all that Notifier stands on, and say what to do about it."
    ),
    "keys": Entry("notifier.cli.keys", "Create, list and revoke API keys."),
    "config": Entry("notifier.cli.config", "Show and check the settings."),
}


class LazyGroup(TyperGroup):
    """Knows the names and first sentences of its commands, and loads a command when it is called.

    The import by name is what keeps `notifier --help` and `notifier send` from paying for the
    whole service (0.7 s). Each name is checked by a test.
    """

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """The command that `args` begin with, loaded."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, loaded(name) if name in COMMANDS else command, rest


def loaded(name: str) -> Any:
    """The command itself: one of several in its module's `app`, or the `app` as a whole."""
    command = get_command(import_module(COMMANDS[name].module).app)
    command = getattr(command, "commands", {}).get(name, command)
    command.name = name
    return command


def program() -> LazyGroup:
    """`notifier`, with no command loaded."""
    app = typer.Typer(
        cls=LazyGroup,
        context_settings=HELP_OPTIONS,
        epilog=example("notifier dev", "notifier COMMAND --help"),
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        # Plain text: rich would cost a start half its time and draw boxes into a pipe.
        rich_markup_mode=None,
    )
    app.callback()(_notifier)
    group = get_command(app)
    assert isinstance(group, LazyGroup)
    for name, entry in COMMANDS.items():
        group.add_command(TyperCommand(name, help=entry.help))
    return group


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command, that of this process's arguments if None; returns or exits with its code."""
    try:
        program().main(arguments, prog_name="notifier")
    except NotifierError as error:
        return end(error)
    except BaseExceptionGroup as group:
        known, unknown = group.split(NotifierError)
        if known is None or unknown is not None:
            raise
        return end(known)
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


def _print_version(wanted: bool) -> None:  # noqa: FBT001 - as typer calls it
    if wanted:
        sys.stdout.write(f"notifier {__version__}\n")
        raise typer.Exit


def _notifier(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    """Mail from templates, delivered durably through your relay, or captured while you develop."""
