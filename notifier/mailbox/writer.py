"""The one thread that writes: group commit, checkpoints, and the lock shared by processes."""

import asyncio
import fcntl
import os
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from notifier.core.errors import NotifierError, Unavailable
from notifier.mailbox.schema import open_writer

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]

GROUP_MAX = 200
QUEUE_MAX = 2000
LOCK_TIMEOUT_S = 10.0
LOCK_RETRY_S = 0.005
CHECKPOINT_BYTES = 8 * 1024 * 1024
CHECKPOINT_IDLE_S = 0.5
JOB_BYTES = 16 * 1024  # what a small job adds to the WAL, roughly: pages of five tables


class FileLock:
    """An exclusive `flock` beside the database.

    SQLite below 3.51.3 can lose a WAL reset when two connections write and checkpoint at once;
    every commit, checkpoint and close of every process holds this.
    """

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Waits for the lock up to `LOCK_TIMEOUT_S`, then raises `Unavailable`."""
        deadline = time.monotonic() + LOCK_TIMEOUT_S
        while True:
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise Unavailable("Another process holds the mailbox's file.") from None
                # flock has no timeout of its own, and a frozen holder must not freeze us.
                time.sleep(LOCK_RETRY_S)
        try:
            yield
        finally:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def close(self) -> None:
        """Gives the descriptor back."""
        os.close(self._descriptor)


@dataclass(slots=True)
class _Job:
    work: Work[Any]
    weight: int
    done: Future[Any] = field(default_factory=Future)


class Writer:
    """Runs jobs in order, many to one commit; a job's result is given out after its commit."""

    def __init__(self, path: Path, *, durable: bool, on_commit: Callable[[], None]) -> None:
        self._on_commit = on_commit
        self._jobs: queue.Queue[_Job | None] = queue.Queue(QUEUE_MAX)
        self._closed = False
        self._unchecked_bytes = 0
        self._lock = FileLock(path.with_name(path.name + ".lock"))
        with self._lock.hold():
            self._connection = open_writer(path, durable=durable)
        self._thread = threading.Thread(target=self._loop, name="mailbox-writer", daemon=True)
        self._thread.start()

    async def run(self, work: Work[T], *, weight: int = 0) -> T:
        """`work(connection)` inside a transaction; returns after the commit is on the disk.

        `work` may raise errors of our own: it alone is undone. Raises `Unavailable` when nothing
        was stored: queue full, disk full, file read-only. A caller cancelled before its group
        began has stored nothing. `weight` is roughly how many bytes it writes.
        """
        job = _Job(work, JOB_BYTES + weight)
        if self._closed:
            raise Unavailable("The mailbox is closing.")
        try:
            self._jobs.put_nowait(job)
        except queue.Full:
            raise Unavailable("The mailbox is behind with writing.") from None
        result: T = await asyncio.wrap_future(job.done)
        return result

    def close(self, readers: Callable[[], None]) -> None:
        """Commits what was handed in, then closes `readers` and itself under the lock.

        The last connection to close checkpoints, hence the order.
        """
        self._closed = True
        self._jobs.put(None)
        self._thread.join()
        with self._lock.hold():
            readers()
            self._connection.close()
        self._lock.close()

    def _loop(self) -> None:
        while (group := self._next_group()) is not None:
            if group:
                self._commit(group)
            if not group or self._unchecked_bytes >= CHECKPOINT_BYTES:
                self._checkpoint()

    def _next_group(self) -> list[_Job] | None:
        """The next jobs; empty after an idle moment with a WAL to fold in; None at the end."""
        try:
            first = self._jobs.get(timeout=CHECKPOINT_IDLE_S if self._unchecked_bytes else None)
        except queue.Empty:
            return []
        if first is None:
            return None
        group = [first]
        while len(group) < GROUP_MAX and not self._jobs.empty():
            job = self._jobs.get_nowait()
            if job is None:
                self._jobs.put(None)
                break
            group.append(job)
        return group

    def _commit(self, group: list[_Job]) -> None:
        live = [job for job in group if job.done.set_running_or_notify_cancel()]
        try:
            self._transact(live)
        except sqlite3.Error:
            # One member may be what does not fit: give each its own commit.
            for job in live:
                self._commit_alone(job)
        except NotifierError as error:
            _fail(live, error)
        self._on_commit()

    def _commit_alone(self, job: _Job) -> None:
        try:
            self._transact([job])
        except sqlite3.Error as error:
            _fail([job], _trouble(error))
        except NotifierError as error:
            _fail([job], error)

    def _transact(self, jobs: list[_Job]) -> None:
        connection = self._connection
        with self._lock.hold():
            connection.execute("BEGIN IMMEDIATE")
            try:
                outcomes = [(job, *self._member(job)) for job in jobs]
                connection.execute("COMMIT")
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
        self._unchecked_bytes += sum(job.weight for job in jobs)
        for job, result, error in outcomes:
            if error is None:
                job.done.set_result(result)
            else:
                job.done.set_exception(error)

    def _member(self, job: _Job) -> tuple[Any, Exception | None]:
        connection = self._connection
        connection.execute("SAVEPOINT member")
        try:
            outcome = (job.work(connection), None)
        except sqlite3.Error:
            raise
        except Exception as error:  # noqa: BLE001 - a fault in one job must not end the thread
            connection.execute("ROLLBACK TO member")
            return None, error
        else:
            return outcome
        finally:
            if connection.in_transaction:
                connection.execute("RELEASE member")

    def _checkpoint(self) -> None:
        """Folds the WAL in. A failure costs nothing but a longer WAL: the next one tries again."""
        self._unchecked_bytes = 0
        try:
            with self._lock.hold():
                self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
                self._connection.execute("PRAGMA incremental_vacuum(200)").fetchall()
        except (sqlite3.Error, Unavailable):
            self._unchecked_bytes = JOB_BYTES


def _fail(jobs: list[_Job], error: Exception) -> None:
    for job in jobs:
        if not job.done.done():
            job.done.set_exception(error)


def _trouble(error: sqlite3.Error) -> Unavailable:
    return Unavailable(
        f"The mailbox cannot write ({error}); nothing was stored.", code="mailbox_unwritable"
    )
