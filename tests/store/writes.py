"""Writes that stop, break or count, and ways to take a real database away."""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import cast

from sqlalchemy import Connection, Engine, event

from notifier.store.store import Store
from notifier.store.write_queue import Write

PATIENCE_S = 30


@dataclass
class Gate:
    """A write that stands in its transaction until it is let go."""

    began: threading.Event = field(default_factory=threading.Event)
    opened: threading.Event = field(default_factory=threading.Event)

    @property
    def write(self) -> Write[str, str]:
        return Write("gate", 1, self._run, key=str)

    def _run(self, _connection: Connection, items: Sequence[str]) -> Sequence[str]:
        self.began.set()
        assert self.opened.wait(PATIENCE_S)
        return items


@asynccontextmanager
async def writer_busy(store: Store) -> AsyncIterator[Gate]:
    """The store's only writer is inside a transaction until the gate is opened."""
    gate = Gate()
    busy = asyncio.create_task(store.write(gate.write, "busy"))
    assert await asyncio.to_thread(gate.began.wait, PATIENCE_S)
    try:
        yield gate
    finally:
        gate.opened.set()
        await busy


@dataclass
class Counted:
    """A write that remembers the sizes of its groups."""

    sizes: list[int] = field(default_factory=list)

    @property
    def write(self) -> Write[str, str]:
        return Write("counted", 2, self._run, key=str)

    def _run(self, _connection: Connection, items: Sequence[str]) -> Sequence[str]:
        self.sizes.append(len(items))
        return items


def _divide(_connection: Connection, items: Sequence[int]) -> Sequence[float]:
    return [1 / item for item in items]


DIVIDE: Write[int, float] = Write("divide", 3, _divide, key=str)
"""Has a programming error for 0."""


async def queued(store: Store, members: int) -> None:
    """Lets tasks that were just made hand over their writes: so many wait then."""
    await asyncio.sleep(0)
    assert store.writes_waiting == members


@contextmanager
def foreign_lock(store: Store) -> Iterator[None]:
    """A stranger, who knows nothing of our lock file, holds SQLite's write lock."""
    assert store.database.path is not None
    stranger = sqlite3.connect(store.database.path, isolation_level=None)
    stranger.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        stranger.close()


@contextmanager
def commits(engine: Engine) -> Iterator[list[Connection]]:
    """Every commit of the engine within the block."""
    seen: list[Connection] = []

    def see(connection: Connection) -> None:
        seen.append(connection)

    event.listen(engine, "commit", see)
    try:
        yield seen
    finally:
        event.remove(engine, "commit", see)


def lose_next_commits_answer(engine: Engine, *, before: bool = False) -> None:
    """The next commit takes effect (or, with `before`, does not), and the connection breaks."""

    def cut(connection: Connection) -> None:
        driver = cast("sqlite3.Connection", connection.connection.driver_connection)
        if not before:
            driver.commit()
        driver.close()

    event.listen(engine, "commit", cut, once=True)


async def until(condition: Callable[[], bool]) -> None:
    """Returns once the condition holds; for what no event tells."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - another process or thread makes it true
            await asyncio.sleep(0.01)
