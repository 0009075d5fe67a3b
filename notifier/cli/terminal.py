"""Where a command's words and data go."""

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, TextIO

HELP_OPTIONS: Final = {"help_option_names": ["-h", "--help"]}


def say(sentence: str) -> None:
    """A line of words, on stderr."""
    _write(sys.stderr, printable(sentence))


def put(line: str) -> None:
    """A line of data, on stdout."""
    _write(sys.stdout, printable(line))


def put_json(value: Any) -> None:
    """JSON on stdout, in ASCII whatever the terminal's encoding is."""
    _write(sys.stdout, json.dumps(value, indent=2, default=str))


def put_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Columns on stdout, each as wide as its longest entry; the head is for eyes, not for pipes."""
    shown = [tuple(map(printable, row)) for row in rows]
    if sys.stdout.isatty():
        shown.insert(0, tuple(head))
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    for row in shown:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        _write(sys.stdout, "  ".join(cells).rstrip())


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


def _write(stream: TextIO, text: str) -> None:
    # A terminal that knows only ASCII shows escapes; it must not end the command.
    encoding = stream.encoding or "utf-8"
    stream.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")
    stream.flush()
