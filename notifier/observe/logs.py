"""Log lines made of facts: JSON for machines, coloured text for a terminal.

Written on the standard library alone: facts are structured already, and importing structlog draws
in rich, 180 ms of start for every role.
"""

import asyncio
import json
import logging
import re
import threading
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, TextIO

from notifier.core.clock import Clock
from notifier.observe.context import REQUEST_ID
from notifier.observe.facts import Fact, Level, Observer, masked_text
from notifier.settings.sections import LogSettings

_RANK: Final[dict[Level, int]] = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}
_COLOURS: Final[dict[str, str]] = {
    "debug": "\x1b[2m",
    "info": "\x1b[32m",
    "warning": "\x1b[33m",
    "error": "\x1b[31m",
}
_PLAIN: Final = "\x1b[0m"

_FOREIGN_LEVELS: Final = {
    # A migration is a fact of our own; this one tells of its dialect and of what it can compare.
    "alembic": logging.WARNING,
    # These would write whole SMTP dialogues, AUTH included, and SQL with its values.
    "mail.log": logging.WARNING,
    "mail.error": logging.WARNING,
    "mail.debug": logging.WARNING,
    "sqlalchemy": logging.WARNING,
    # Its warnings are one line for each stray byte of a port scanner.
    "uvicorn": logging.ERROR,
    "uvicorn.error": logging.ERROR,
    "uvicorn.access": logging.CRITICAL,
    "asyncio": logging.WARNING,
}

_UNPRINTABLE: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff]"
)
"""Control and bidi characters, line separators, lone surrogates: they could forge a line."""

_COMPACT: Final = json.JSONEncoder(default=str, separators=(",", ":"))

Record = Mapping[str, Any]
Renderer = Callable[[Record], str]


@dataclass(frozen=True, slots=True)
class LogWriter:
    """Writes records of at least `threshold` to a stream, one at a time, and never raises."""

    stream: TextIO
    render: Renderer
    threshold: int
    max_field_chars: int
    now: Clock
    lock: threading.Lock

    def observe(self, fact: Fact) -> None:
        """An `Observer`. Safe in any thread."""
        if _RANK[fact.level] >= self.threshold:
            # A dataclass's fields in their order; `fields()` would cost more than all the rest.
            names: tuple[str, ...] = fact.__match_args__
            values = {name: getattr(fact, name) for name in names}
            self.write(fact.level, fact.event, values)

    def write(self, level: Level, event: str, values: Record) -> None:
        """One line. A stream that is closed or full costs the line, not the caller's work."""
        record: dict[str, object] = {
            "at": self.now().isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": level,
            "event": event,
        }
        if (request_id := REQUEST_ID.get()) is not None:
            record["request_id"] = request_id
        for name, value in values.items():
            if value is not None:
                record[name] = self._shown(value) if isinstance(value, str) else value
        line = self.render(record)
        try:
            with self.lock:
                self.stream.write(line + "\n")
                self.stream.flush()
        except (OSError, ValueError):
            return

    def _shown(self, text: str) -> str:
        """What a relay says and what a traceback quotes may hold addresses, whoever wrote it."""
        return shortened(masked_text(text), self.max_field_chars)


class ForeignLines(logging.Handler):
    """Turns what libraries log into lines of ours, with the event `library`."""

    def __init__(self, writer: LogWriter) -> None:
        super().__init__()
        self._writer = writer

    def emit(self, record: logging.LogRecord) -> None:
        """One line; a record whose arguments do not fit its text is shown without them."""
        if record.exc_info and isinstance(record.exc_info[1], asyncio.CancelledError):
            return  # a request cut off at the end of the grace time: uvicorn calls it an error
        try:
            text = record.getMessage()
        except (TypeError, ValueError):
            text = str(record.msg)
        trace = "".join(traceback.format_exception(*record.exc_info)) if record.exc_info else None
        values = {"logger": record.name, "text": text.strip(), "traceback": trace}
        self._writer.write(_level_of(record.levelno), "library", values)


def configure(
    log: LogSettings, stream: TextIO, *, colours: bool = True, now: Clock | None = None
) -> Observer:
    """Makes `stream` the place of all log lines of this process and returns what feeds it.

    `colours` are used on a terminal only; pass False for `NO_COLOR`. Takes over the root logger:
    a handler of an earlier call is replaced, others are left alone.
    """
    writer = LogWriter(
        stream,
        _renderer(log, stream, colours=colours),
        _RANK[log.level],
        log.max_field_chars,
        now or _utc_now,
        threading.Lock(),
    )
    root = logging.getLogger()
    for old in [h for h in root.handlers if isinstance(h, ForeignLines)]:
        root.removeHandler(old)
    root.addHandler(ForeignLines(writer))
    root.setLevel(max(logging.WARNING, writer.threshold))
    for name, level in _FOREIGN_LEVELS.items():
        logging.getLogger(name).setLevel(max(level, writer.threshold))
    logging.captureWarnings(capture=True)
    return writer.observe


def json_line(record: Record) -> str:
    """One JSON object, ASCII only: whatever a value holds, it stays on its line."""
    return _COMPACT.encode(record)


def console_line(record: Record, *, colours: bool = False) -> str:
    """`12:30:01 info    http.served  method=GET …`; a traceback follows on lines of its own."""
    level, clock = str(record["level"]), str(record["at"])[11:19]
    shade, plain = (_COLOURS[level], _PLAIN) if colours else ("", "")
    pairs = "".join(
        f" {key}={printable(str(value))}"
        for key, value in record.items()
        if key not in ("at", "level", "event", "traceback")
    )
    head = f"{clock} {shade}{level:<7}{plain} {record['event']}{pairs}"
    trace = str(record.get("traceback", "")).rstrip().splitlines()
    return "\n".join([head, *(f"    {printable(line)}" for line in trace)])


def printable(text: str) -> str:
    r"""`text` with everything that moves a cursor or turns the writing direction as `\x1b`."""
    return _UNPRINTABLE.sub(_escaped, text)


def shortened(value: str, limit: int) -> str:
    """A text over `limit` characters with its middle cut out; a shorter one as it is."""
    if len(value) <= limit:
        return value
    head, tail = limit // 3, limit - limit // 3
    return f"{value[:head]}…[{len(value) - limit} characters cut]…{value[-tail:]}"


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def _renderer(log: LogSettings, stream: TextIO, *, colours: bool) -> Renderer:
    terminal = stream.isatty()
    if log.format == "json" or (log.format == "auto" and not terminal):
        return json_line
    encoding = getattr(stream, "encoding", None) or "utf-8"

    def render(record: Record) -> str:
        line = console_line(record, colours=colours and terminal)
        return line.encode(encoding, "backslashreplace").decode(encoding)

    return render


def _level_of(number: int) -> Level:
    reached: list[Level] = [name for name, rank in _RANK.items() if number >= rank]
    return reached[-1] if reached else "debug"


def _utc_now() -> datetime:
    return datetime.now(UTC)
