"""Several processes on one database with a relay and the books: what single crash cases use."""

import asyncio
import fcntl
import signal
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

from notifier.settings.sections import DatabaseSettings
from notifier.store.engine import database_url
from tests.e2e.process import run
from tests.proof.books import Audit, Books, Ledger, Post, audit
from tests.proof.clients import Callers
from tests.proof.fleet import Fleet, Instance, fleet, settings_for
from tests.proof.sink import Sink

DRAIN_S = 60.0


@dataclass
class Installation:
    """The processes are not started. `lock`: the file that writers on SQLite hold in turn."""

    sink: Sink
    books: Books
    ledger: Ledger
    fleet: Fleet
    callers: Callers
    lock: Path | None = None

    @property
    def processes(self) -> list[Instance]:
        """In the order of the roles."""
        return self.fleet.instances

    async def freeze(self, process: Instance) -> None:
        """Stop it where it stands, but not within a commit: on one file that would stop all."""
        process.strike(signal.SIGSTOP)
        while self.lock is not None and is_held(self.lock):
            process.strike(signal.SIGCONT)
            await asyncio.sleep(0.01)
            process.strike(signal.SIGSTOP)

    async def post(self, *recipients: str, door: int = 0) -> Post:
        """One post, acknowledged."""
        post = self.ledger.open(recipients, key=f"key-{len(self.ledger.posts)}")
        assert await self.callers.call(self.processes[door], post)
        return post

    async def status(self, post: Post, door: int = 0) -> str:
        """What the API calls the notification now."""
        (one,) = post.ids
        answer = await self.processes[door].web.get(f"/v1/notifications/{one}")
        return str(answer.json()["status"])

    async def drained(self) -> Audit:
        """Wait until the queue is empty, then compare the books."""
        ends = time.monotonic() + DRAIN_S
        while left := await asyncio.to_thread(self.books.waiting):
            assert time.monotonic() < ends, f"{left} are still in the queue"
            await asyncio.sleep(0.05)
        return audit(self.ledger, self.sink.journal, await asyncio.to_thread(self.books.read))


@asynccontextmanager
async def installation(
    database: DatabaseSettings, folder: Path, *roles: Sequence[str], **more: object
) -> AsyncIterator[Installation]:
    """On an empty database, with `more` settings; one process for each role."""
    async with AsyncExitStack() as stack:
        sink = await stack.enter_async_context(Sink())
        if database.url is not None:
            more["DATABASE__URL"] = database.url.get_secret_value()
        settings = settings_for(sink.url, folder, **more)
        code, said = await run(folder, "migrate", **settings)
        assert code == 0, said
        books = Books(database, folder)
        await asyncio.to_thread(books.copy_what_is_deleted)
        ledger = Ledger()
        places = [Instance(folder, role, settings) for role in roles]
        running = await stack.enter_async_context(fleet(places))
        callers = Callers(running, ledger, sink, Random(1))
        url = database_url(database, folder)
        lock = Path(f"{url.database}.lock") if url.get_backend_name() == "sqlite" else None
        yield Installation(sink, books, ledger, running, callers, lock)


def is_held(lock: Path) -> bool:
    """Whether some process is within a commit."""
    with lock.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
