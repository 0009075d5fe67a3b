"""Numbers and times as a person reads them, and as he types them."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

import typer

_SPAN: Final = re.compile(r"([1-9][0-9]{0,5})([smhdw])")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


def count(number: int, thing: str) -> str:
    """`1 mail`, `4,210 mails`."""
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"


def span(length: timedelta) -> str:
    """About how long: `45 s`, `12 min`, `5 h`, `3 days`."""
    seconds = max(length.total_seconds(), 0)
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 2 * 3600:
        return f"{seconds / 60:.0f} min"
    if seconds < 48 * 3600:
        return f"{seconds / 3600:.0f} h"
    return f"{seconds / 86400:.0f} days"


def moment(at: datetime, now: datetime) -> str:
    """A time in UTC, with its date where that is not today's."""
    form = "%H:%M:%S" if at.date() == now.date() else "%Y-%m-%d %H:%M"
    return at.astimezone(UTC).strftime(form)


def long_moment(at: datetime) -> str:
    """Date and time in UTC, and that it is UTC."""
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def time_text(at: datetime | None) -> str | None:
    """RFC 3339 in UTC with milliseconds, as everywhere in JSON."""
    if at is None:
        return None
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def length_of(text: str) -> timedelta | None:
    """`90d` and the like; None: not in that form."""
    match = _SPAN.fullmatch(text.strip())
    return None if match is None else timedelta(seconds=int(match[1]) * _SECONDS[match[2]])


def time_given(text: str | None, now: datetime, option: str) -> datetime | None:
    """The time that `--since` and the like mean: so long ago, or RFC 3339.

    Raises BadParameter.
    """
    if text is None:
        return None
    ago = length_of(text)
    try:
        found = datetime.fromisoformat(text) if ago is None else now - ago
    except (ValueError, OverflowError):
        found = None
    if found is None or found.tzinfo is None:
        raise typer.BadParameter(
            "write how long ago, as in 30m, 2h or 2d, or a time with its offset, as in"
            " 2026-01-31T09:30:00Z",
            param_hint=option,
        )
    return found
