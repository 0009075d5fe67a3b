"""Group commit: what arrives while a commit is under way goes into the next one.

A synced commit costs the same for one row as for two hundred. Callers hand over an item and a
`Write`; a writer thread takes all that wait, runs each `Write` once for all of its items in one
transaction, commits, and only then answers them.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Sequence

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from notifier.core.errors import Unavailable
from notifier.observe.facts import GroupCommitted, Observer, unobserved
from notifier.store.engine import Database, is_lost, is_passing
from notifier.store.write_queue import Item, Member, Result, Write, WriteQueue

_RECONNECT_FIRST_S = 0.1
_RECONNECT_MAX_S = 2.0


class GroupCommit:
    """Writer threads in front of one database: one on SQLite, a few on PostgreSQL."""

    def __init__(
        self,
        database: Database,
        *,
        threads: int,
        group_max: int,
        queue_max: int,
        observe: Observer = unobserved,
    ) -> None:
        self._database = database
        self._observe = observe
        self._group_max = group_max
        self._queue = WriteQueue(queue_max)
        self._threads = [
            threading.Thread(target=self._work, name=f"store-writer-{n}", daemon=True)
            for n in range(threads)
        ]

    def start(self) -> None:
        """Start the writers."""
        for thread in self._threads:
            thread.start()

    def last_call(self) -> None:
        """Take no more writes. What waits is committed, or refused if the database is away."""
        self._queue.close()

    def close(self) -> None:
        """Commit what waits, then stop. Blocks; call it from a thread that may."""
        self.last_call()
        for thread in self._threads:
            thread.join()

    @property
    def depth(self) -> int:
        """Writes that wait for a group."""
        return len(self._queue.waiting)

    async def write(self, write: Write[Item, Result], item: Item, *, timeout_s: float) -> Result:
        """Run `write` for `item` in the next group and return its result after the commit.

        Raises Unavailable if its group had not begun within `timeout_s`; then it never will.
        Once begun it is waited for, however long: its outcome is not guessed. A caller who is
        cancelled takes nothing back: what he handed over is written all the same.
        """
        loop = asyncio.get_running_loop()
        member = Member(write, item, loop.create_future())
        self._queue.put(member)
        timer = loop.call_later(timeout_s, self._give_up, member)
        try:
            return await member.future  # type: ignore[no-any-return]
        finally:
            timer.cancel()

    def _give_up(self, member: Member) -> None:
        if self._queue.withdraw(member) and not member.future.done():
            member.future.set_exception(
                Unavailable("the store did not take the write in time", code="store_busy")
            )

    def _work(self) -> None:
        writer = _Writer(self._database, self._queue)
        while self._queue.wait():
            connection = writer.connection()
            if connection is None:
                break
            self._commit_next(writer, connection)
        self._refuse_rest()
        writer.close()

    def _commit_next(self, writer: "_Writer", connection: Connection) -> None:
        began = time.perf_counter()
        group, error = self._transact(connection, lambda: self._queue.begin(self._group_max))
        if error is None:
            writer.works()
            ms = (time.perf_counter() - began) * 1000
            self._observe(GroupCommitted(len(group), round(ms, 2)))
        elif not group:
            # BEGIN failed: locked, or the database is away. They wait on, and may withdraw.
            writer.pause()
        else:
            for member in group:
                self._commit_alone(writer, member, in_doubt=is_lost(error))
        _answer(group)

    def _commit_alone(self, writer: "_Writer", member: Member, *, in_doubt: bool) -> None:
        """Its group failed: by itself, so that one bad row harms nobody else.

        `in_doubt`: the group may have been committed. Then only a run that ends knows the result.
        """
        while (connection := writer.connection()) is not None:
            _, error = self._transact(connection, lambda: [member])
            if error is None:
                return
            in_doubt = in_doubt or is_lost(error)
            if not (in_doubt and is_passing(error)):
                member.error = _as_refusal(error)
                return
            if self._queue.closing:
                break
            writer.pause()
        member.error = Unavailable(
            "the database went away during the commit; whether it took effect is not known",
            code="outcome_unknown",
        )

    def _transact(
        self, connection: Connection, take: Callable[[], list[Member]]
    ) -> tuple[list[Member], Exception | None]:
        """One transaction for the members that `take` gives once BEGIN has succeeded."""
        group: list[Member] = []
        try:
            with self._database.write_lock():
                with connection.begin():
                    group = take()
                    _run(connection, group)
                self._database.after_commit(connection)
        except Exception as error:  # noqa: BLE001 - it belongs to the caller; the thread must live
            return group, error
        return group, None

    def _refuse_rest(self) -> None:
        rest = self._queue.begin(self._queue.limit)
        for member in rest:
            member.error = Unavailable("the store is closed", code="stopping")
        _answer(rest)


class _Writer:
    """One writer's connection, made again with growing pauses while the database is away."""

    def __init__(self, database: Database, queue: WriteQueue) -> None:
        self._database = database
        self._queue = queue
        self._connection: Connection | None = None
        self._pause_s = _RECONNECT_FIRST_S

    def connection(self) -> Connection | None:
        """One that worked when last used. None: closing, and the database is away."""
        while self._connection is None or self._connection.invalidated:
            self.close()
            try:
                self._connection = self._database.engine.connect()
            except (DBAPIError, OSError):
                if self._queue.closing:
                    return None
                self.pause()
        return self._connection

    def works(self) -> None:
        """It made a commit: the next pause is a short one again."""
        self._pause_s = _RECONNECT_FIRST_S

    def pause(self) -> None:
        """Wait a little, longer each time until something works, or until closing begins."""
        if self._queue.closing:
            time.sleep(_RECONNECT_FIRST_S)
        else:
            self._queue.wait_for_close(self._pause_s)
        self._pause_s = min(self._pause_s * 2, _RECONNECT_MAX_S)

    def close(self) -> None:
        """Give the connection back."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def _run(connection: Connection, group: Sequence[Member]) -> None:
    """Run each distinct Write once, with all of its items."""
    by_write: dict[str, list[Member]] = {}
    for member in group:
        by_write.setdefault(member.write.name, []).append(member)
    for members in sorted(by_write.values(), key=lambda members: members[0].write.rank):
        write = members[0].write
        members.sort(key=lambda member: write.key(member.item))
        results = write.run(connection, [member.item for member in members])
        for member, result in zip(members, results, strict=True):
            member.result = result


def _as_refusal(error: Exception) -> Exception:
    """What a caller is told about a transaction that was rolled back."""
    if not is_passing(error):
        return error
    refusal = Unavailable("the store cannot write now", code="store_unwritable")
    refusal.__cause__ = error
    return refusal


def _answer(group: Sequence[Member]) -> None:
    """Hand results to the event loop, once for the group."""
    for loop in {member.future.get_loop() for member in group}:
        mine = [member for member in group if member.future.get_loop() is loop]
        try:
            loop.call_soon_threadsafe(_resolve, mine)
        except RuntimeError:
            # The loop is closed: nobody waits any more, and the commit stands.
            continue


def _resolve(members: Sequence[Member]) -> None:
    for member in members:
        if member.future.done():
            continue
        if member.error is not None:
            member.future.set_exception(member.error)
        else:
            member.future.set_result(member.result)
