"""Advisory locks on files (`flock`), between processes and between objects of one process."""

import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class FileLock:
    """One lock file. `hold()` waits; `try_hold()` does not.

    SQLite below 3.51.3 can corrupt a WAL when one connection checkpoints while another resets
    it; holding this lock round every commit, checkpoint and close keeps that from happening
    between the processes that share a database file. The kernel frees it when a process dies.
    `flock` belongs to the opened file and would let two threads pass, hence the mutex.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._mutex = threading.Lock()
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Wait for the lock and keep it for the block. Not reentrant."""
        with self._mutex:
            fcntl.flock(self._fd, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.flock(self._fd, fcntl.LOCK_UN)

    def try_hold(self) -> bool:
        """Take the lock if nobody has it; it is kept until `close`."""
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def close(self) -> None:
        """Give it back. The file stays: removing a lock file invites two holders."""
        os.close(self._fd)
