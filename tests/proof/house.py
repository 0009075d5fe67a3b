"""One installation that dies at set points and is started again; its books are checked each time.

Everything that was ever posted in it stays in the books, so that a later death cannot undo an
earlier mail without being seen.
"""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

import httpx2
from sqlalchemy import update

from notifier.settings.sections import DatabaseSettings
from notifier.store.engine import database_url, standalone, writing
from notifier.store.schema import event, idempotency, registration
from notifier.store.types import EPOCH
from tests.e2e.process import run
from tests.proof.books import Books, Ledger, Post, audit
from tests.proof.clients import Callers
from tests.proof.fleet import Fleet, Instance, fleet, settings_for
from tests.proof.sink import Manner, Session, Sink, Step, well
from tests.support.office import parsed, text_of, token_in

TRAPDOORS = ("-m", "tests.proof.failpoints")
PATIENCE_S = 60.0
AT_ONCE: dict[str, object] = {"RETENTION__BYTES_S": 0, "RETENTION__NOTIFICATIONS_S": 0}
"""Retention forgets everything that is final; it runs at the start."""


class House:
    """`process` is the only one; it runs the program with trapdoors."""

    def __init__(
        self, database: DatabaseSettings, folder: Path, sink: Sink, running: Fleet
    ) -> None:
        self.sink = sink
        self.ledger = Ledger()
        self.process = running.instances[0]
        self.welcomed: set[str] = set()
        self._database = database
        self._folder = folder
        self._books = Books(database, folder)
        self._callers = Callers(running, self.ledger, sink, Random(1))
        self._tasks: list[asyncio.Task[Any]] = []
        self._numbers = count(1)
        self._trapdoor = folder / "failpoint"
        self._point = ""

    # What callers do; each goes on until it is answered, also across a death

    async def post(self) -> Post:
        """One with a key and its twin, one without; returns that with the key."""
        number = next(self._numbers)
        post = self.ledger.open([f"k{number}@example.org"], key=f"key-{number}")
        plain = self.ledger.open([f"n{number}@example.org"])
        self._go(self._callers.until_taken(post))
        self._go(self._callers.until_taken(post))
        self._go(self._callers.call(self.process, plain))
        return post

    async def register(self) -> str:
        """A sign-up; returns the address, to which a mail is on its way."""
        address = f"person{next(self._numbers)}@example.org"
        self.ledger.people.add(address)
        self._go(self._until("/v1/registrations", {"email": address}))
        return address

    async def confirm(self) -> None:
        """A whole sign-up, confirmed by the link."""
        address = await self.register()
        await self.sink.until(lambda: address in self.sink.bodies)
        token = token_in(text_of(parsed(self.sink.bodies[address])))
        self.welcomed.add(address)
        self._go(self._until("/v1/registrations/confirm", {"token": token}))

    def age(self) -> None:
        """Make what retention looks at old: sign-ups that wait, keys, events of no notification."""
        url = database_url(self._database, self._folder)
        with standalone(url, self._database) as database, writing(database) as connection:
            pending = registration.c.status == "pending"
            connection.execute(update(registration).where(pending).values(expires_at=EPOCH))
            connection.execute(update(idempotency).values(created_at=EPOCH))
            loose = event.c.notification_id.is_(None)
            connection.execute(update(event).where(loose).values(at=EPOCH))

    # Death and recovery

    async def ready(self) -> None:
        """See to it that it runs, without a point set."""
        if not self.process.is_running:
            await self.process.start()

    async def restart(self, between: Callable[[], None] = lambda: None, **extra: object) -> None:
        """Stop it in peace, then begin anew with other settings; not waited for.

        A point that is set holds for the new process only. `between` is done while none runs.
        """
        self._trapdoor.unlink(missing_ok=True)
        if self.process.is_running:
            assert await self.process.terminate() == 0, self.process.words()
        await asyncio.to_thread(between)
        self.set_point(self._point)
        await self.process.begin(**extra)

    def set_point(self, point: str) -> None:
        """It is to die when it next passes this point."""
        self._point = point
        self._trapdoor.with_suffix(".reached").unlink(missing_ok=True)
        self._trapdoor.write_text(point)

    async def died_at(self, point: str) -> None:
        """Wait for its death; by our hand, at that point and no other."""
        assert await self.process.ended() == -signal.SIGKILL, self.process.words()
        assert self._trapdoor.with_suffix(".reached").read_text() == point

    def kill_at(self, step: Step) -> "asyncio.Event":
        """It is to die when its relay next sees this step. The event: it has."""
        struck = asyncio.Event()

        def manners(now: Step, _session: Session) -> Manner:
            if now is step and not struck.is_set():
                struck.set()
                self.process.strike()
            return None

        self.sink.manners = manners
        return struck

    async def recover(self) -> None:
        """Start it again and return when every caller has his answer and the queue is empty."""
        self.sink.manners = well
        self._trapdoor.unlink(missing_ok=True)
        await self.ready()
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.gather(*self._tasks)
            self._tasks.clear()
            while await asyncio.to_thread(self._books.waiting):  # noqa: ASYNC110 - seen from outside
                await asyncio.sleep(0.05)

    async def violations(self) -> list[str]:
        """What does not hold in the books, and who was not welcomed exactly once."""
        book = await asyncio.to_thread(self._books.read)
        found = [*audit(self.ledger, self.sink.journal, book).violations]
        for address in self.ledger.people:
            mine = [row for row in book.messages if row.rcpt_to == address]
            welcomes = sum(row.template == "welcome" for row in mine)
            if welcomes != (address in self.welcomed):
                found.append(f"welcome: {address} has {welcomes} welcome messages")
        return found

    def _go(self, work: Coroutine[Any, Any, Any]) -> None:
        self._tasks.append(asyncio.create_task(work))

    async def _until(self, path: str, body: dict[str, str]) -> None:
        """Repeat a call until it has succeeded."""
        while True:
            await self.process.up.wait()
            try:
                answer = await self.process.web.post(path, json=body)
            except (httpx2.TransportError, RuntimeError):
                continue
            if answer.status_code in {200, 202}:
                return
            assert answer.status_code == 503, answer.text


@asynccontextmanager
async def house(database: DatabaseSettings, folder: Path, **more: object) -> AsyncIterator[House]:
    """One on an empty database, running."""
    async with AsyncExitStack() as stack:
        sink = await stack.enter_async_context(Sink())
        if database.url is not None:
            more["DATABASE__URL"] = database.url.get_secret_value()
        settings = settings_for(
            sink.url,
            folder,
            DISPATCH__LEASE_S=1.5,
            DISPATCH__GRACE_S=0.3,
            RELAYS__MAIN__RATE_PER_S=1000,
            TEST_FAILPOINT_FILE=folder / "failpoint",
            **more,
        )
        code, said = await run(folder, "migrate", **settings)
        assert code == 0, said
        await asyncio.to_thread(Books(database, folder).copy_what_is_deleted)
        process = Instance(folder, ("serve",), settings, TRAPDOORS)
        running = await stack.enter_async_context(fleet([process]))
        made = House(database, folder, sink, running)
        await made.ready()
        yield made
