"""What an operator last told all processes about a relay. It outlives them."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, select
from sqlalchemy.dialects.postgresql import insert

from notifier.store.schema import relay_command

MAX_REASON: Final = 300


@dataclass(frozen=True, slots=True)
class RelayCommand:
    """`paused` False: go on, and find out at once whether the relay works."""

    relay: str
    paused: bool
    at: datetime
    reason: str


_NEW = insert(relay_command)
_PUT = _NEW.on_conflict_do_update(
    index_elements=[relay_command.c.relay],
    set_={name: _NEW.excluded[name] for name in ("paused", "at", "reason")},
)


def command_relay(connection: Connection, command: RelayCommand) -> None:
    """Take the place of what was said of this relay before."""
    connection.execute(_PUT, asdict(command))


def relay_commands(connection: Connection) -> Sequence[RelayCommand]:
    """The last word about each relay that was ever spoken of, by name."""
    rows = connection.execute(select(relay_command).order_by(relay_command.c.relay))
    return [RelayCommand(row.relay, row.paused, row.at, row.reason) for row in rows]
