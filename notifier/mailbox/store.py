"""The mailbox's store: `mailbox.db` behind one writer thread and a few readers."""

import asyncio
import shutil
import sqlite3
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from notifier.core.clock import Clock
from notifier.core.errors import Misconfigured, NotFound, Unavailable
from notifier.core.ids import IdSource
from notifier.mailbox import edits, rows
from notifier.mailbox.apart import apart
from notifier.mailbox.feed import Feed
from notifier.mailbox.parse import Mail, parse
from notifier.mailbox.records import Arrival, Captured, Change, Deleted, Limits, Summary, Totals
from notifier.mailbox.schema import open_reader
from notifier.mailbox.search import Query
from notifier.mailbox.summary import searched_text, summarise
from notifier.mailbox.writer import Writer

T = TypeVar("T")
P = ParamSpec("P")

READERS = 3
DISK_RESERVE_BYTES = 16 * 1024 * 1024
FILE_NAME = "mailbox.db"


@dataclass(frozen=True, slots=True)
class Source:
    """Where time and ids come from, and who is told how many mails the limits removed."""

    now: Clock
    new_id: IdSource
    on_pruned: Callable[[int], None]


class Store:
    """Keeps captured mail. Made by `Store.open`, ended by `close`; methods are for one loop."""

    def __init__(self, folder: Path, source: Source, limits: Limits, *, ephemeral: bool) -> None:
        self._folder = folder
        self._ephemeral = ephemeral
        self._source = source
        self._limits = limits
        self._path = folder / FILE_NAME
        self._local = threading.local()
        self._connections: list[sqlite3.Connection] = []
        self._writer = Writer(self._path, durable=not ephemeral, on_commit=self._ring)
        self._readers = ThreadPoolExecutor(READERS, "mailbox-reader")
        self.feed: Feed

    @classmethod
    async def open(
        cls, data_dir: Path, source: Source, limits: Limits, *, ephemeral: bool = False
    ) -> "Store":
        """Opens or makes the file. Ephemeral: in a folder of its own that goes with `close`.

        Raises `Misconfigured` when the folder or the file cannot be used.
        """
        folder = Path(tempfile.mkdtemp(prefix="mailbox-")) if ephemeral else data_dir
        try:
            folder.mkdir(parents=True, exist_ok=True)
            store = await asyncio.to_thread(cls, folder, source, limits, ephemeral=ephemeral)
        except OSError as error:
            raise Misconfigured(f"The mailbox cannot write to {folder}: {error}.") from error
        _, newest = await store.feed_bounds()
        store.feed = Feed(store.changes, newest)
        return store

    async def close(self) -> None:
        """Commits what was handed in and closes the file."""
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self._readers.shutdown(wait=True)
        self._writer.close(self._close_readers)
        if self._ephemeral:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _close_readers(self) -> None:
        for connection in self._connections:
            connection.close()

    def _ring(self) -> None:
        if hasattr(self, "feed"):
            self.feed.ring()

    async def capture(self, arrival: Arrival) -> str:
        """Stores a mail; returns its id once it is on the disk and searchable.

        Raises `Unavailable` when it was not stored (`mailbox_full`, `mailbox_unwritable`).
        """
        summary, body = await apart(len(arrival.raw), _digest, arrival.raw)
        new_id, at = self._source.new_id.new("cap"), self._source.now()

        def work(connection: sqlite3.Connection) -> int:
            pruned = edits.make_room(connection, self._limits, at, len(arrival.raw))
            edits.insert(connection, new_id, at, arrival, summary, body)
            return pruned

        self._told(await self._writer.run(work, weight=len(arrival.raw)))
        return new_id

    async def check_room(self, size_bytes: int) -> None:
        """Raises `Unavailable` when a mail of this size could not be stored just now."""
        if shutil.disk_usage(self._folder).free < size_bytes + DISK_RESERVE_BYTES:
            raise Unavailable("The disk is full.", code="mailbox_unwritable")
        if await self._read(rows.used_bytes) + size_bytes <= self._limits.max_total_bytes:
            return
        self._told(
            await self._writer.run(
                lambda connection: edits.make_room(
                    connection, self._limits, self._source.now(), size_bytes
                )
            )
        )

    async def prune_expired(self) -> int:
        """Removes mail past its age, a small batch to a commit; returns how many went."""
        total = 0
        while gone := await self._writer.run(
            lambda connection: edits.prune(
                connection, self._source.now(), self._limits.max_age_s, edits.PRUNE_BATCH
            )
        ):
            total += gone
        self._told(total)
        return total

    def _told(self, pruned: int) -> None:
        if pruned:
            self._source.on_pruned(pruned)

    async def page(
        self, query: Query, limit: int, *, before: int | None = None, after: int = 0
    ) -> list[Captured]:
        """Newest first: up to `limit` matching mails with `after < seq < before`."""
        return await self._read(rows.select_page, query, limit, before, after)

    async def get(self, message_id: str) -> Captured:
        """The mail without its bytes. Raises `NotFound`."""
        found = await self._read(rows.select_one, message_id)
        if found is None:
            raise NotFound("There is no such mail in the mailbox (any more).")
        return found

    async def raw(self, message_id: str) -> bytes:
        """The bytes exactly as received. Raises `NotFound`."""
        found = await self._read(rows.select_raw, message_id)
        if found is None:
            raise NotFound("There is no such mail in the mailbox (any more).")
        return found

    async def mail(self, message_id: str) -> Mail:
        """The parsed mail. Raises `NotFound`."""
        return await self.parsed(await self.raw(message_id))

    async def mark(self, message_id: str, *, is_read: bool) -> None:
        """Sets the read flag. Raises `NotFound`."""
        found = await self._writer.run(
            lambda connection: edits.mark(connection, message_id, is_read=is_read)
        )
        if not found:
            raise NotFound("There is no such mail in the mailbox (any more).")

    async def delete_ids(self, ids: list[str]) -> Deleted:
        """Removes these; the ones that are not there are named."""
        return await self._writer.run(lambda connection: edits.delete_ids(connection, ids))

    async def delete_matching(self, query: Query) -> Deleted:
        """Removes what matches now, in small commits; mail that comes meanwhile stays."""
        _, newest = await self.feed_bounds()
        total = 0
        while gone := await self._writer.run(
            lambda connection: edits.delete_matching(connection, query, newest)
        ):
            total += gone
        return Deleted(total)

    async def delete_all(self) -> Deleted:
        """Removes everything."""
        return Deleted(await self._writer.run(edits.delete_all))

    async def totals(self) -> Totals:
        """Counts over the whole mailbox."""
        return await self._read(rows.read_totals)

    async def changes(self, after: int, limit: int) -> list[Change]:
        """The feed after this place, oldest first."""
        return await self._read(rows.select_changes, after, limit)

    async def feed_bounds(self) -> tuple[int, int]:
        """The oldest place that a replay can start after, and the newest place."""
        return await self._read(rows.feed_bounds)

    async def parsed(self, raw: bytes) -> Mail:
        """The view of these bytes; large ones are read on a thread of their own."""
        return await apart(len(raw), parse, raw)

    async def _read(
        self,
        function: Callable[Concatenate[sqlite3.Connection, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        loop = asyncio.get_running_loop()
        work = partial(self._with_reader, function, *args, **kwargs)
        try:
            return await loop.run_in_executor(self._readers, work)
        except (sqlite3.Error, RuntimeError) as error:
            raise Unavailable(f"The mailbox cannot be read ({error}).") from error

    def _with_reader(
        self,
        function: Callable[Concatenate[sqlite3.Connection, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = open_reader(self._path)
            self._connections.append(connection)
        return function(connection, *args, **kwargs)


def _digest(raw: bytes) -> tuple[Summary, str]:
    mail = parse(raw)
    return summarise(mail), searched_text(mail)
