"""A real mailbox on free ports: its own SQLite file, real SMTP, real HTTP."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiosmtplib
import uvicorn
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError

from notifier.api.problems import on_notifier_error, on_validation_error
from notifier.core.errors import NotifierError
from notifier.core.ids import IdSource
from notifier.mailbox.house import House, open_mailbox
from notifier.mailbox.records import Captured
from notifier.mailbox.search import parse_query
from notifier.observe.facts import Fact
from notifier.settings.sections import MailboxSettings


class MovableClock:
    """Real time, plus what a test moved it by."""

    def __init__(self) -> None:
        self.offset = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.offset

    def move(self, seconds: float) -> None:
        self.offset += timedelta(seconds=seconds)


@dataclass
class Mailbox:
    """What a test holds of a running mailbox."""

    house: House
    smtp_port: int
    clock: MovableClock
    facts: list[Fact] = field(default_factory=list)

    async def send(
        self, raw: bytes, sender: str = "app@example.com", to: str | list[str] = "ada@example.com"
    ) -> str:
        """Sends over real SMTP; returns the text of the 250."""
        async with aiosmtplib.SMTP(hostname="127.0.0.1", port=self.smtp_port) as client:
            _, text = await client.sendmail(sender, to, raw)
        return text

    async def all(self, query: str = "") -> list[Captured]:
        return await self.house.store.page(parse_query(query), 500)

    async def newest(self) -> Captured:
        return (await self.all())[0]


OpenMailbox = Callable[..., AbstractAsyncContextManager[Mailbox]]


@asynccontextmanager
async def serving(house: House) -> AsyncIterator[str]:
    """The house's routes on a real HTTP port; gives the base address."""
    app = FastAPI()
    app.include_router(house.router)
    app.add_exception_handler(NotifierError, on_notifier_error)
    app.add_exception_handler(RequestValidationError, on_validation_error)
    # No logging of its own: that would stay for the tests that follow.
    config = uvicorn.Config(
        app, host="127.0.0.1", port=0, log_config=None, timeout_graceful_shutdown=5
    )
    server = uvicorn.Server(config)
    # Signals stay with pytest.
    sockets = [config.bind_socket()]
    sockets[0].listen()
    serving_task = asyncio.ensure_future(server._serve(sockets))
    try:
        yield f"http://127.0.0.1:{sockets[0].getsockname()[1]}"
    finally:
        house.end_streams()
        server.should_exit = True
        await serving_task


def opener(folder: Path) -> OpenMailbox:
    """Opens mailboxes on one data folder, with settings by name."""
    clock = MovableClock()

    @asynccontextmanager
    async def opened(**settings: object) -> AsyncIterator[Mailbox]:
        facts: list[Fact] = []
        async with open_mailbox(
            MailboxSettings.model_validate(settings),
            folder,
            now=clock,
            new_id=IdSource(clock, os.urandom),
            observe=facts.append,
        ) as house:
            port = await house.listen(("127.0.0.1", 0))
            yield Mailbox(house, port, clock, facts)

    return opened
