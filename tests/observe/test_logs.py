"""Log lines: one event each, complete, and not to be forged."""

import asyncio
import io
import json
import logging
import subprocess
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar

import pytest

from notifier.observe.context import REQUEST_ID
from notifier.observe.facts import Fact, Level
from notifier.observe.logs import ForeignLines, configure, console_line, printable
from notifier.settings.sections import LogSettings

NOW = datetime(2030, 1, 31, 9, 30, 1, 250_000, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Seen(Fact):
    event: ClassVar[str] = "test.seen"

    text: str
    count: int = 1
    nothing: str | None = None


@dataclass(frozen=True, slots=True)
class Whispered(Seen):
    level: ClassVar[Level] = "debug"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def root() -> Iterator[None]:
    """Puts the root logger back."""
    logger = logging.getLogger()
    level, filters = logger.level, warnings.showwarning
    yield
    for handler in [h for h in logger.handlers if isinstance(h, ForeignLines)]:
        logger.removeHandler(handler)
    logger.setLevel(level)
    logging.captureWarnings(capture=False)
    warnings.showwarning = filters


def logged(*facts: Fact, stream: io.StringIO | None = None, **log: Any) -> str:
    stream = stream or io.StringIO()
    colours = log.pop("colours", True)
    observe = configure(LogSettings(**log), stream, colours=colours, now=lambda: NOW)
    for fact in facts:
        observe(fact)
    return stream.getvalue()


def test_a_fact_is_one_json_line() -> None:
    assert json.loads(logged(Seen("hello"))) == {
        "at": "2030-01-31T09:30:01.250Z",
        "level": "info",
        "event": "test.seen",
        "text": "hello",
        "count": 1,
    }


def test_a_line_names_the_request_it_belongs_to() -> None:
    token = REQUEST_ID.set("req_1")
    try:
        assert json.loads(logged(Seen("a")))["request_id"] == "req_1"
    finally:
        REQUEST_ID.reset(token)


@pytest.mark.parametrize("level", ["info", "warning"])
def test_a_fact_below_the_level_is_not_written(level: str) -> None:
    assert logged(Whispered("a"), level=level) == ""
    assert logged(Whispered("a"), level="debug") != ""


HOSTILE = 'a\r\n{"level":"error"}\x1b[2J\x00\x7f\x85\u2028\u202e\ud800\ufeff'


@pytest.mark.parametrize("format", ["json", "console"])
def test_no_text_can_forge_a_line_or_move_the_cursor(format: str) -> None:
    out = logged(Seen(HOSTILE), format=format)
    assert out.count("\n") == 1
    assert printable(out[:-1]) == out[:-1]
    out.encode()


def test_json_keeps_a_hostile_text_to_the_letter() -> None:
    assert json.loads(logged(Seen(HOSTILE)))["text"] == HOSTILE


def test_a_long_text_keeps_its_ends() -> None:
    text = json.loads(logged(Seen("a" * 500 + "z" * 500), max_field_chars=300))["text"]
    assert text == "a" * 100 + "…[700 characters cut]…" + "z" * 200


@pytest.mark.parametrize(
    ("stream", "format", "is_json"),
    [
        (io.StringIO, "auto", True),
        (Terminal, "auto", False),
        (io.StringIO, "console", False),
        (Terminal, "json", True),
    ],
)
def test_the_format_follows_the_terminal_unless_it_is_set(
    stream: type[io.StringIO], format: str, is_json: bool
) -> None:
    assert logged(Seen("a"), stream=stream(), format=format).startswith("{") is is_json


def test_a_console_line_is_short_and_coloured_on_a_terminal_alone() -> None:
    plain = "09:30:01 info    test.seen text=a count=1\n"
    assert logged(Seen("a"), format="console") == plain
    assert logged(Seen("a"), stream=Terminal(), colours=False) == plain
    assert "\x1b[32minfo" in logged(Seen("a"), stream=Terminal())


def test_a_traceback_stands_on_lines_of_its_own() -> None:
    line = console_line(
        {"at": NOW.isoformat(), "level": "error", "event": "e", "traceback": "A:\n  b\x1b\n"}
    )
    assert line.splitlines() == ["09:30:01 error   e", "    A:", "      b\\x1b"]


def test_a_terminal_without_the_letters_gets_escapes() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    configure(LogSettings(format="console"), stream)(Seen("ü"))
    assert b"text=\\xfc" in raw.getvalue()


class Broken(io.StringIO):
    def write(self, _: str) -> int:
        raise BrokenPipeError


def test_a_stream_that_is_gone_does_not_stop_the_work() -> None:
    configure(LogSettings(), Broken())(Seen("a"))
    closed = io.StringIO()
    observe = configure(LogSettings(), closed)
    closed.close()
    observe(Seen("a"))


@pytest.mark.parametrize(
    ("name", "level", "written"),
    [
        ("uvicorn.error", logging.ERROR, True),
        ("uvicorn.error", logging.WARNING, False),
        ("uvicorn.access", logging.ERROR, False),
        ("alembic.runtime.migration", logging.INFO, False),
        ("alembic.runtime.migration", logging.WARNING, True),
        ("asyncio", logging.WARNING, True),
        ("sqlalchemy.engine.Engine", logging.INFO, False),
        ("mail.log", logging.INFO, False),
        ("mail.log", logging.WARNING, True),
        ("somebody", logging.WARNING, True),
        ("somebody", logging.INFO, False),
    ],
)
@pytest.mark.parametrize("ours", ["debug", "info"])
def test_what_libraries_log_is_caught(name: str, level: int, written: bool, ours: Level) -> None:
    stream = io.StringIO()
    configure(LogSettings(level=ours), stream)
    logging.getLogger(name).log(level, "said %s", "x\ny")
    if not written:
        assert stream.getvalue() == ""
        return
    line = json.loads(stream.getvalue())
    assert (line["event"], line["logger"], line["text"]) == ("library", name, "said x\ny")
    assert line["level"] == logging.getLevelName(level).lower()


def test_a_library_s_exception_is_on_its_line() -> None:
    stream = io.StringIO()
    configure(LogSettings(), stream)
    try:
        raise ZeroDivisionError
    except ZeroDivisionError:
        logging.getLogger("asyncio").exception("lost")
    assert "ZeroDivisionError" in json.loads(stream.getvalue())["traceback"]


def test_a_cancelled_request_is_no_error() -> None:
    stream = io.StringIO()
    configure(LogSettings(), stream)
    logging.getLogger("uvicorn.error").error("x", exc_info=asyncio.CancelledError())
    assert stream.getvalue() == ""


def test_bad_arguments_of_a_library_do_not_raise() -> None:
    stream = io.StringIO()
    configure(LogSettings(), stream)
    (ours,) = [h for h in logging.getLogger().handlers if isinstance(h, ForeignLines)]
    ours.emit(logging.LogRecord("x", logging.ERROR, "", 1, "%d mails", ("many",), None))
    assert json.loads(stream.getvalue())["text"] == "%d mails"


def test_warnings_are_lines_too() -> None:
    stream = io.StringIO()
    configure(LogSettings(), stream)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=True)
        warnings.warn("careful", UserWarning, stacklevel=1)
    assert json.loads(stream.getvalue())["logger"] == "py.warnings"


def test_configuring_twice_writes_once() -> None:
    first, second = io.StringIO(), io.StringIO()
    configure(LogSettings(), first)
    configure(LogSettings(), second)
    logging.getLogger("x").error("once")
    assert (first.getvalue(), second.getvalue().count("\n")) == ("", 1)


def test_logging_costs_no_heavy_import() -> None:
    code = "import sys, notifier.observe.logs; print({'rich', 'structlog'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
