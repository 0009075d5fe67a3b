"""The mailbox as a whole: opened in order, closed in reverse."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import APIRouter

from notifier.core.clock import Clock
from notifier.core.errors import Unavailable
from notifier.core.ids import IdSource
from notifier.mailbox.api import create_api
from notifier.mailbox.desk import Desk
from notifier.mailbox.pages import create_pages
from notifier.mailbox.records import Limits
from notifier.mailbox.server import CaptureServer
from notifier.mailbox.store import Source, Store
from notifier.observe.door_facts import CaptureRefused, MailboxPruned
from notifier.observe.facts import Observer
from notifier.settings.sections import MailboxSettings

DEFAULT_SMTP_PORT = 1025
PRUNE_EVERY_S = 60.0


def create_router(desk: Desk) -> APIRouter:
    """Every route of the mailbox: pages under `/mailbox`, JSON under `/mailbox/api`."""
    router = APIRouter()
    # Not included but taken over: finished routes with whole paths, matched once.
    router.routes.extend([*create_api(desk).routes, *create_pages(desk).routes])
    return router


class House:
    """An open mailbox. Made by `open_mailbox`."""

    def __init__(
        self, store: Store, settings: MailboxSettings, now: Clock, observe: Observer
    ) -> None:
        self.store = store
        self._desk = Desk(store, now, (settings.smtp_host, settings.smtp_port or DEFAULT_SMTP_PORT))
        self._server = CaptureServer(store, settings, observe)
        self.tasks = (
            asyncio.ensure_future(store.feed.run()),
            asyncio.ensure_future(_prune(store, observe)),
        )
        self.router = create_router(self._desk)

    @property
    def banner(self) -> str | None:
        """One sentence shown on every page, or None."""
        return self._desk.banner

    @banner.setter
    def banner(self, sentence: str | None) -> None:
        self._desk.banner = sentence

    async def listen(self, where: socket.socket | tuple[str, int]) -> int:
        """Takes mail on a bound socket or (host, port), once; returns the port.

        Raises `OSError` when the address cannot be had.
        """
        self._desk.smtp_address = await self._server.start(where)
        return self._desk.smtp_address[1]

    def end_streams(self) -> None:
        """Ends open event streams and waits, so that an HTTP server can stop at once."""
        self.store.feed.close()

    async def watch(self, stop: asyncio.Event) -> None:
        """Until `stop` is set, then end open streams. Raises what ended the feed or the pruning.

        Without it an inbox would go on that is not live any more, and nobody would know.
        """
        stopping = asyncio.ensure_future(stop.wait())
        await asyncio.wait({stopping, *self.tasks}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        self.end_streams()
        for task in self.tasks:
            if task.done():
                task.result()

    async def stop_listening(self) -> None:
        """Takes no more mail; one whose commit is under way still gets its answer."""
        await self._server.close()


@asynccontextmanager
async def open_mailbox(
    settings: MailboxSettings,
    data_dir: Path,
    *,
    now: Clock,
    new_id: IdSource,
    observe: Observer,
) -> AsyncIterator[House]:
    """An open mailbox: store, feed and janitor running, and closed quickly at the end.

    Raises `Misconfigured` when the folder or the file cannot be used.
    """
    source = Source(now, new_id, lambda count: observe(MailboxPruned(count)))
    limits = Limits(settings.max_messages, settings.max_total_bytes, settings.max_age_s)
    store = await Store.open(data_dir, source, limits, ephemeral=settings.ephemeral)
    house = House(store, settings, now, observe)
    try:
        yield house
    finally:
        house.end_streams()
        await house.stop_listening()
        for task in house.tasks:
            task.cancel()
        await asyncio.gather(*house.tasks, return_exceptions=True)
        await store.close()


async def _prune(store: Store, observe: Observer) -> None:
    while True:
        try:
            await store.prune_expired()
        except Unavailable as error:
            observe(CaptureRefused(error.code, error.detail))
        await asyncio.sleep(PRUNE_EVERY_S)
