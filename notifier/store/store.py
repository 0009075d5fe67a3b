"""The handle that flows and dispatch hold: writes in groups, reads in threads."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from notifier.core.errors import Unavailable
from notifier.observe.facts import Observer, unobserved
from notifier.settings.sections import DatabaseSettings
from notifier.store.clock import StoreClock
from notifier.store.engine import Database, database_url, is_passing, open_database
from notifier.store.group_commit import GroupCommit
from notifier.store.owners import Owners
from notifier.store.seal import Seal
from notifier.store.write_queue import Write

P = ParamSpec("P")
Item = TypeVar("Item")
Result = TypeVar("Result")

_CORRECT_EVERY_S = 60.0


class Store:
    """An opened store. Make it with `Store.open`, end it with `close`.

    `seal` encrypts the bytes of mails with secrets. `owners` says which lease holders live.
    `now` is the clock that all processes on this database agree on.
    """

    def __init__(
        self, database: Database, settings: DatabaseSettings, seal: Seal, observe: Observer
    ) -> None:
        self.database = database
        self.seal = seal
        self.owners = Owners(database.path)
        self.now = StoreClock()
        self._timeout_s = settings.write_timeout_s
        self._closing = False
        self._readers = ThreadPoolExecutor(settings.readers, thread_name_prefix="store-reader")
        self._writers = GroupCommit(
            database,
            threads=1 if database.is_sqlite else settings.writers,
            group_max=settings.group_max,
            queue_max=settings.queue_max,
            observe=observe,
        )

    @classmethod
    def open(
        cls,
        settings: DatabaseSettings,
        data_dir: Path,
        seal: Seal,
        observe: Observer = unobserved,
    ) -> "Store":
        """Open the configured database, whose schema must be current, and start its threads."""
        database = open_database(database_url(settings, data_dir), settings)
        store = cls(database, settings, seal, observe)
        store._writers.start()
        return store

    async def write(self, write: Write[Item, Result], item: Item) -> Result:
        """Commit `item` and return its result. See `GroupCommit.write`."""
        return await self._writers.write(write, item, timeout_s=self._timeout_s)

    def end_within(self, seconds: float) -> None:
        """Take no more writes after this time, and wait no longer for a database that is away.

        To be called in the event loop, when the process stops.
        """
        asyncio.get_running_loop().call_later(seconds, self._writers.last_call)

    async def read(
        self,
        query: Callable[Concatenate[Connection, P], Result],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Result:
        """Run `query(connection, …)` in a read transaction. Raises Unavailable."""

        def run() -> Result:
            with (
                self.database.engine.connect().execution_options(reads=True) as connection,
                connection.begin(),
            ):
                return query(connection, *args, **kwargs)

        if self._closing:
            raise Unavailable("the service is stopping", code="stopping", retry_after_s=5)
        try:
            return await asyncio.get_running_loop().run_in_executor(self._readers, run)
        except DBAPIError as error:
            if not is_passing(error):
                raise
            raise Unavailable("the store cannot be read now", code="store_away") from error

    async def ping(self) -> None:
        """Raises Unavailable when the database does not answer."""
        await self.read(lambda connection: connection.execute(text("SELECT 1")).scalar())

    async def keep_time(self, stop: asyncio.Event) -> None:
        """Keep `now` in step with the database until `stop` is set."""
        while not stop.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(_CORRECT_EVERY_S):
                    await stop.wait()
                    return
            with suppress(Unavailable):
                await self.read(self.now.correct)

    @property
    def writes_waiting(self) -> int:
        """Writes that wait for a commit."""
        return self._writers.depth

    def close(self) -> None:
        """Commit what waits and close. Blocks for as long as that takes. Once; again is nothing."""
        if self._closing:
            return
        self._closing = True
        self._writers.close()
        self._readers.shutdown()
        self.owners.close()
        self.database.close()
