"""Where a command's words and data go."""

import json
import os
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, Literal, TextIO

HELP_OPTIONS: Final = {"help_option_names": ["-h", "--help"]}

Colour = Literal["red", "yellow", "green", "dim", "bold"]

_COLOURS: Final[dict[Colour, str]] = {
    "red": "31",
    "yellow": "33",
    "green": "32",
    "dim": "2",
    "bold": "1",
}
_WIDEST: Final = 100
"""Longer lines of prose are hard to read, however wide the terminal is."""


@dataclass(frozen=True, slots=True)
class Painted:
    """Text in a colour, where the terminal has colours and `NO_COLOR` is not set."""

    text: str
    colour: Colour


def say(sentence: str) -> None:
    """A line of words, on stderr."""
    _write(sys.stderr, printable(sentence))


def put(*parts: str | Painted) -> None:
    """A line of data, on stdout."""
    colours = _has_colours()
    _write(sys.stdout, "".join(_shown(part, colours=colours) for part in parts))


def put_prose(text: str, *, indent: str = "  ", first: str | Painted | None = None) -> None:
    """Sentences on stdout, wrapped to a terminal's width; a pipe gets them as one line.

    `first` stands before the first line in place of `indent`.
    """
    width = min(shutil.get_terminal_size().columns, _WIDEST) if sys.stdout.isatty() else 0
    room = max(width - len(indent), 20)
    wrapper = textwrap.TextWrapper(room, break_on_hyphens=False, break_long_words=False)
    lines = wrapper.wrap(printable(text)) if width else [printable(text)]
    for number, line in enumerate(lines):
        put(first if number == 0 and first is not None else indent, line)


def put_json(value: Any) -> None:
    """JSON on stdout, in ASCII whatever the terminal's encoding is."""
    _write(sys.stdout, json.dumps(value, indent=2, default=str))


def put_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Columns on stdout, each as wide as its longest entry; the head is for eyes, not for pipes."""
    shown = [tuple(map(printable, row)) for row in rows]
    if sys.stdout.isatty():
        shown.insert(0, tuple(head))
    for line in _columns(shown):
        _write(sys.stdout, line)


def put_figures(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table of a report: names on the left, right-aligned figures under their heads."""
    shown = [tuple(map(printable, row)) for row in (head, *rows)]
    for number, line in enumerate(_columns(shown, figures=True)):
        put("  ", Painted(line, "dim") if number == 0 else line)


def example(*lines: str) -> str:
    r"""The end of a help text. `\b` keeps the lines apart."""
    head = "Example:" if len(lines) == 1 else "Examples:"
    return "\n".join(["\b", head, *(f"  {line}" for line in lines)])


def printable(text: str) -> str:
    r"""`text` with all that moves a cursor or turns the writing direction as `\x1b`."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


@contextmanager
def working(what: str) -> Iterator[None]:
    """Shows on a terminal that something is being done. `NO_COLOR` is honoured."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console  # 100 ms, for those who look at it

    with Console(stderr=True).status(what):
        yield


@contextmanager
def counting(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal for work of `total` parts; what it gives is told how many more are
    done. `NO_COLOR` is honoured.
    """
    if not sys.stderr.isatty():
        yield lambda _more: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bars:
        bar = bars.add_task(what, total=total)
        yield lambda more: bars.advance(bar, more)


def _columns(rows: Sequence[Sequence[str]], *, figures: bool = False) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            cell.rjust(width) if figures and place else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(cells).rstrip()


def _shown(part: str | Painted, *, colours: bool) -> str:
    if isinstance(part, str):
        return printable(part)
    text = printable(part.text)
    return f"\x1b[{_COLOURS[part.colour]}m{text}\x1b[0m" if colours else text


def _has_colours() -> bool:
    # https://no-color.org: set and not empty.
    unwanted = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return sys.stdout.isatty() and not unwanted


def _write(stream: TextIO, text: str) -> None:
    # A terminal that knows only ASCII shows escapes; it must not end the command.
    encoding = stream.encoding or "utf-8"
    stream.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")
    stream.flush()
