"""Commands with many options: they travel as one value."""

import inspect
from collections.abc import Callable
from typing import Any, TypeVar, get_type_hints

Options = TypeVar("Options")


def taking(kind: type[Options]) -> Callable[[Callable[[Options], None]], Callable[..., None]]:
    """Makes a function of one dataclass a command whose options are the dataclass's fields."""

    def decorate(function: Callable[[Options], None]) -> Callable[..., None]:
        def command(**options: Any) -> None:
            function(kind(**options))

        # What Typer reads to know the options.
        command.__name__ = function.__name__
        command.__doc__ = function.__doc__
        command.__annotations__ = get_type_hints(kind, include_extras=True)
        command.__signature__ = inspect.signature(kind)  # type: ignore[attr-defined]
        return command

    return decorate
