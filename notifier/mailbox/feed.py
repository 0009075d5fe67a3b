"""The feed of changes, fanned out: one reader of the store, any number of listeners."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from notifier.core.errors import Unavailable
from notifier.mailbox.records import Change

ReadChanges = Callable[[int, int], Awaitable[list[Change]]]

BACKLOG_MAX = 1000
PAGE = 500
POLL_S = 1.0  # another process on the same file rings no bell here


class Subscription:
    """What one listener has not read yet. `dropped` once it was too slow to keep."""

    def __init__(self) -> None:
        self._waiting: deque[Change] = deque()
        self._bell = asyncio.Event()
        self.dropped = False
        self.closed = False

    def offer(self, changes: list[Change]) -> None:
        """Adds changes; a listener with too many unread is dropped instead."""
        if len(self._waiting) + len(changes) > BACKLOG_MAX:
            self.dropped = True
            self._waiting.clear()
        elif not self.dropped:
            self._waiting.extend(changes)
        self._bell.set()

    def over(self) -> bool:
        """Whether nothing more will come: closed, or dropped."""
        return self.closed or self.dropped

    def end(self) -> None:
        """No more will come."""
        self.closed = True
        self._bell.set()

    async def next(self, timeout_s: float) -> list[Change]:
        """What came since the last call; empty after `timeout_s`, or when dropped or closed."""
        if not self._waiting and not self.over():
            try:
                async with asyncio.timeout(timeout_s):
                    await self._bell.wait()
            except TimeoutError:
                return []
        self._bell.clear()
        changes = list(self._waiting)
        self._waiting.clear()
        return changes


class Feed:
    """Publishes every change once and in order, also those of other processes.

    Commits are serial in one file, so ids never appear out of order and `id > n` loses nothing.
    """

    def __init__(self, read: ReadChanges, position: int) -> None:
        self._read = read
        self._loop = asyncio.get_running_loop()
        self._bell = asyncio.Event()
        self._listeners: set[Subscription] = set()
        self._closed = False
        self.position = position

    def ring(self) -> None:
        """Something was committed. Safe to call from any thread, also after the loop is gone."""
        try:
            self._loop.call_soon_threadsafe(self._bell.set)
        except RuntimeError:
            return

    @contextmanager
    def subscribe(self) -> Iterator[Subscription]:
        """Listens from now on."""
        subscription = Subscription()
        if self._closed:
            subscription.end()
        self._listeners.add(subscription)
        try:
            yield subscription
        finally:
            self._listeners.discard(subscription)

    def close(self) -> None:
        """Ends every listener at once, so that no open stream holds a shutdown up."""
        self._closed = True
        for subscription in self._listeners:
            subscription.end()

    async def run(self) -> None:
        """Reads and publishes until cancelled."""
        while True:
            try:
                async with asyncio.timeout(POLL_S):
                    await self._bell.wait()
            except TimeoutError:
                pass
            self._bell.clear()
            await self._publish()

    async def _publish(self) -> None:
        try:
            while changes := await self._read(self.position, PAGE):
                self.position = changes[-1].id
                for subscription in self._listeners:
                    subscription.offer(changes)
        except Unavailable:
            return  # the next bell or poll reads the same place again
