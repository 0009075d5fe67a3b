"""One time for all machines that share a database: the database's."""

import time
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, text

from notifier.store.types import EPOCH

_MICROSECOND = timedelta(microseconds=1)
_SERVER_TIME = text("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint")


class StoreClock:
    """This machine's clock, corrected by how far the database's was ahead when last asked.

    Leases are compared between machines, whose clocks differ. On SQLite there is one machine
    and nothing to correct. Calling it gives aware UTC.
    """

    def __init__(self) -> None:
        self._ahead = timedelta(0)

    def __call__(self) -> datetime:
        """The time that all agree on."""
        return datetime.now(UTC) + self._ahead

    @property
    def ahead(self) -> timedelta:
        """How far the database's clock was ahead of this machine's."""
        return self._ahead

    def correct(self, connection: Connection) -> None:
        """Ask the database for its time; does nothing on SQLite.

        The answer was true at some moment of the round trip, taken to be its middle.
        """
        if connection.dialect.name != "postgresql":
            return
        began = time.monotonic()
        asked_at = datetime.now(UTC)
        server = EPOCH + int(connection.execute(_SERVER_TIME).scalar_one()) * _MICROSECOND
        half = timedelta(seconds=(time.monotonic() - began) / 2)
        self._ahead = server - (asked_at + half)
