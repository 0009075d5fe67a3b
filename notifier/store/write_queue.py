"""Writes that wait for a group: the line, and the lock that decides who is in and who left."""

import asyncio
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection

from notifier.core.errors import Unavailable

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Write(Generic[Item, Result]):
    """A change that many callers can make in one statement.

    `run(connection, items)` gives one result per item, in order. Items come sorted by `key`, so
    that two groups on PostgreSQL touch rows in the same order and cannot deadlock. It may be run
    again with the same items after a failure, alone or with others, also when the failed commit
    did take effect: ids are made by the caller and inserts say ON CONFLICT DO NOTHING. An
    expected outcome is a result, never an exception.
    """

    name: str
    rank: int
    run: Callable[[Connection, Sequence[Item]], Sequence[Result]]
    key: Callable[[Item], str]


@dataclass(slots=True, eq=False)
class Member:
    """One caller's item; `result` or `error` is set by the writer before the future is."""

    write: Write[Any, Any]
    item: Any
    future: "asyncio.Future[Any]"
    result: Any = None
    error: Exception | None = None


@dataclass(slots=True)
class WriteQueue:
    """Members that wait, and the lock that decides whether one is withdrawn or begun."""

    limit: int
    waiting: OrderedDict[Member, None] = field(default_factory=OrderedDict)
    changed: threading.Condition = field(default_factory=threading.Condition)
    closing: bool = False

    def put(self, member: Member) -> None:
        """Stand in line. Raises Unavailable when it is too long or closing."""
        with self.changed:
            if self.closing:
                raise Unavailable("the service is stopping", code="stopping", retry_after_s=5)
            if len(self.waiting) >= self.limit:
                raise Unavailable("too many writes wait for the store", code="store_busy")
            self.waiting[member] = None
            self.changed.notify()

    def withdraw(self, member: Member) -> bool:
        """True: it had not begun and never will."""
        with self.changed:
            if member not in self.waiting:
                return False
            del self.waiting[member]
            return True

    def wait(self) -> bool:
        """Block until something waits. False: closing, and nothing does."""
        with self.changed:
            while not self.waiting and not self.closing:
                self.changed.wait()
            return bool(self.waiting)

    def wait_for_close(self, timeout_s: float) -> None:
        """Block until closing begins, or for so long."""
        with self.changed:
            self.changed.wait_for(lambda: self.closing, timeout_s)

    def begin(self, at_most: int) -> list[Member]:
        """Take members whose transaction begins now."""
        with self.changed:
            size = min(at_most, len(self.waiting))
            return [self.waiting.popitem(last=False)[0] for _ in range(size)]

    def close(self) -> None:
        """Let nobody in any more and wake the writers."""
        with self.changed:
            self.closing = True
            self.changed.notify_all()
