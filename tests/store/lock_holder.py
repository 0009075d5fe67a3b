"""A process that holds a SQLite store's write lock for some seconds: says `held`, then `gone`.

python -m tests.store.lock_holder <database file> sqlite|flock <seconds>
"""

import fcntl
import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def sqlite(file: Path) -> Iterator[None]:
    """As a stranger does, who knows nothing of our lock file: a copy, a repair by hand."""
    stranger = sqlite3.connect(file, isolation_level=None)
    stranger.execute("BEGIN IMMEDIATE")
    yield
    stranger.close()


@contextmanager
def flock(file: Path) -> Iterator[None]:
    """As another Notifier does."""
    with file.with_name(file.name + ".lock").open("rb+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    with {"sqlite": sqlite, "flock": flock}[sys.argv[2]](Path(sys.argv[1])):
        print("held", flush=True)  # noqa: T201 - it is what the test waits for
        time.sleep(float(sys.argv[3]))
    print("gone", flush=True)  # noqa: T201 - as above
