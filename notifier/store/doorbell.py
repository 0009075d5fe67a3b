"""The doorbell between processes that share a database: something was committed that is due."""

import sqlite3
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, cast

import psycopg
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from notifier.core.route import ROUTES, Route
from notifier.store.engine import Database

Hear = Callable[[Route | None], None]
"""Called from a thread: mail of a route was committed; None: of whichever, or nothing at all."""

_CHANNEL: Final = "notifier_due"
_RING_PAUSE_S: Final = 0.01
"""At most a hundred notifications a second: each takes a lock that all committers share."""

_LISTEN_S: Final = 0.5
_LOOK_S: Final = 0.05
_AGAIN_S: Final = 1.0


class Doorbell:
    """Rings other processes, and hears when they ring.

    On PostgreSQL by `NOTIFY`, in a transaction of its own after the mail's: within it, it would
    make all commits wait for each other. On SQLite nobody needs to ring: a look at the file tells
    a listener that somebody wrote to it. A ring can be lost; polling finds what it told of.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self._pending: set[Route] = set()
        self._changed = threading.Condition()
        self._own_pid = 0

    def ring(self, route: Route | None) -> None:
        """Mail of this route was committed; None: of whichever. Returns at once."""
        if self._database.is_sqlite or self._stop.is_set():
            return
        with self._changed:
            self._pending.update(ROUTES if route is None else (route,))
            self._changed.notify()
            if not any(thread.name == _RINGER for thread in self._threads):
                self._start(self._keep_ringing, _RINGER)

    def listen(self, hear: Hear, awaited: Callable[[], bool]) -> None:
        """Call `hear` when other processes ring, until `close`.

        `awaited()` is whether anybody would listen now; what is missed meanwhile is heard later.
        """
        watch = self._watch_file if self._database.is_sqlite else self._keep_listening
        self._start(lambda: watch(hear, awaited), "store-listener")

    def close(self) -> None:
        """Stop both. Blocks for half a second at most, unless the database hangs."""
        self._stop.set()
        with self._changed:
            self._changed.notify()
        for thread in self._threads:
            thread.join(timeout=2 * _LISTEN_S)

    def _start(self, run: Callable[[], None], name: str) -> None:
        thread = threading.Thread(target=run, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _with_connections(self, use: Callable[[Connection], None]) -> None:
        """Use one connection after the other while the database comes and goes."""
        while not self._stop.is_set():
            with suppress(DBAPIError, psycopg.Error):
                connection = self._database.engine.connect()
                try:
                    use(connection)
                except (DBAPIError, psycopg.Error):
                    connection.invalidate()
                    raise
                finally:
                    connection.close()
            self._stop.wait(_AGAIN_S)

    # PostgreSQL

    def _keep_ringing(self) -> None:
        self._with_connections(self._ring_on)

    def _ring_on(self, connection: Connection) -> None:
        driver = _psycopg(connection)
        # Nothing is stored: there is nothing that a commit would have to wait for.
        driver.execute("SET synchronous_commit TO off")
        self._own_pid = driver.info.backend_pid
        while routes := self._next_rings():
            for route in routes:
                driver.execute("SELECT pg_notify(%s, %s)", (_CHANNEL, route))
            self._stop.wait(_RING_PAUSE_S)

    def _next_rings(self) -> set[Route]:
        """Wait for rings and take all. Nothing: it is over."""
        with self._changed:
            while not self._pending and not self._stop.is_set():
                self._changed.wait()
            routes, self._pending = self._pending, set()
            return set() if self._stop.is_set() else routes

    def _keep_listening(self, hear: Hear, _awaited: Callable[[], bool]) -> None:
        self._with_connections(lambda connection: self._listen_on(connection, hear))

    def _listen_on(self, connection: Connection, hear: Hear) -> None:
        driver = _psycopg(connection)
        driver.execute(f"LISTEN {_CHANNEL}")
        hear(None)  # somebody may have rung while nobody listened
        while not self._stop.is_set():
            for note in driver.notifies(timeout=_LISTEN_S):
                if note.pid != self._own_pid and note.payload in ROUTES:
                    hear(note.payload)

    # SQLite

    def _watch_file(self, hear: Hear, awaited: Callable[[], bool]) -> None:
        self._with_connections(lambda connection: self._watch_on(connection, hear, awaited))

    def _watch_on(self, connection: Connection, hear: Hear, awaited: Callable[[], bool]) -> None:
        """Commits of this process are seen too, as one ring after its own work: a claim that
        finds nothing writes nothing, and so is not seen.
        """
        driver = cast("sqlite3.Connection", connection.connection.driver_connection)
        seen: Any = None
        while not self._stop.wait(_LOOK_S):
            if not awaited():
                continue
            with suppress(sqlite3.OperationalError):  # locked for a moment
                (version,) = driver.execute("PRAGMA data_version").fetchone()
                if version != seen:
                    seen = version
                    hear(None)


_RINGER: Final = "store-ringer"


def ring_once(connection: Connection) -> None:
    """Ring all routes with the commit of this transaction; for a command that then ends."""
    if connection.dialect.name == "postgresql":
        for route in ROUTES:
            connection.execute(
                text("SELECT pg_notify(:channel, :route)"), {"channel": _CHANNEL, "route": route}
            )


def _psycopg(connection: Connection) -> "psycopg.Connection[Any]":
    return cast("psycopg.Connection[Any]", connection.connection.driver_connection)
