"""How a command ends that cannot go on: sentences on stderr and an exit code, no traceback."""

from collections.abc import Iterator
from typing import Final

from notifier.cli.terminal import say
from notifier.core.errors import Misconfigured, NotifierError, Refused

FAILED: Final = 1
UNUSABLE: Final = 2
"""The call or the settings have to change before the same command can work."""

INTERRUPTED: Final = 130
"""128 + SIGINT, as shells report it."""


def end(error: NotifierError | BaseExceptionGroup[NotifierError]) -> int:
    """Say what is wrong; returns the exit code."""
    leaves = list(_leaves(error))
    for leaf in leaves:
        if isinstance(leaf, Misconfigured) and leaf.problems != (leaf.detail,):
            complain(leaf.detail, leaf.problems)
            continue
        say(f"notifier: {_on_one_line(leaf.detail)}")
        if isinstance(leaf, Refused):
            for one in leaf.errors:
                say(f"  {one.pointer}: {one.detail}")
    return UNUSABLE if any(isinstance(leaf, Misconfigured) for leaf in leaves) else FAILED


def complain(heading: str, problems: tuple[str, ...]) -> None:
    """A heading and one line for each problem."""
    say(heading)
    for problem in problems:
        say(f"  - {_on_one_line(problem)}")


def _on_one_line(text: str) -> str:
    """A database driver's own words can have several."""
    return " ".join(text.split())


def _leaves(error: BaseException) -> Iterator[NotifierError]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    elif isinstance(error, NotifierError):
        yield error
