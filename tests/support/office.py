"""A desk on a real store, with a clock that tests move: flows, dispatch and API stand on it."""

import os
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from sqlalchemy import Connection, Table, func, select

from notifier.compose.catalogue import Catalogue
from notifier.core.address import Mailbox, parse_mailbox
from notifier.core.ids import IdSource
from notifier.flows.desk import Client, Desk
from notifier.flows.intake import (
    Accepted,
    InlineWords,
    MailRequest,
    Once,
    TemplateWords,
    accept,
)
from notifier.flows.registration import SignUp, register
from notifier.observe.facts import Fact
from notifier.settings import Settings
from notifier.settings.sections import BrandSettings, DatabaseSettings
from notifier.store import notifications
from notifier.store.events import Event, StoryPart, story
from notifier.store.migrate import migrate
from notifier.store.notifications import NotificationView
from notifier.store.registrations import Registration
from notifier.store.schema import content, message, metadata
from notifier.store.seal import Seal
from notifier.store.store import Store

START = datetime(2030, 1, 31, 9, 30, tzinfo=UTC)
SECRET = b"0123456789abcdef0123456789abcdef"
LIVE = Client("default", "live")
PUBLIC_URL = "https://notify.example.org"
ANN = parse_mailbox("ann@example.org")


class MovableClock:
    """A `Clock` that stands still until it is moved."""

    def __init__(self) -> None:
        self.at = START

    def __call__(self) -> datetime:
        return self.at

    def move(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


@dataclass
class Office:
    """A desk, and what a test asks about what was done at it."""

    desk: Desk
    clock: MovableClock
    facts: list[Fact] = field(default_factory=list)

    async def accept(
        self, request: MailRequest | None = None, *, client: Client = LIVE, once: Once | None = None
    ) -> Accepted:
        """Accept a notification; the answer is its id."""
        return await accept(self.desk, client, request or mail(), lambda view: view.id, once)

    async def register(
        self, email: str = "ann@example.org", *, client: Client = LIVE, **more: Any
    ) -> Registration:
        return await register(self.desk, client, SignUp(parse_mailbox(email), **more))

    async def view(self, notification_id: str, project: str = "default") -> NotificationView:
        found = await self.desk.store.read(
            notifications.find, project, notification_id, self.clock()
        )
        assert found is not None
        return found

    async def status(self, notification_id: str) -> str:
        return (await self.view(notification_id)).messages[0].status.value

    async def story(self, notification_id: str) -> list[Event]:
        part = StoryPart("default", notification_id)
        return [*await self.desk.store.read(story, part)]

    async def counts(self) -> dict[str, int]:
        """Rows of every table that has any."""

        def read(connection: Connection) -> dict[str, int]:
            found = {name: _count(connection, table) for name, table in metadata.tables.items()}
            return {name: count for name, count in found.items() if count}

        return await self.desk.store.read(read)

    async def bodies(self) -> list[bytes]:
        """Every stored body as it lies in the database, oldest first."""

        def read(connection: Connection) -> list[bytes]:
            rows = connection.execute(select(content.c.body).order_by(content.c.id))
            return [bytes(row.body) for row in rows if row.body is not None]

        return await self.desk.store.read(read)

    async def mails_to(self, email: str) -> list[EmailMessage]:
        """The stored mails to an address, oldest first; sealed ones opened."""

        def read(connection: Connection) -> list[Any]:
            query = (
                select(content.c.body, content.c.sealed)
                .join(message, message.c.content_id == content.c.id)
                .where(message.c.rcpt_to == email)
                .order_by(message.c.id)
            )
            return [*connection.execute(query)]

        rows = await self.desk.store.read(read)
        unseal = self.desk.store.seal.unseal
        return [parsed(unseal(row.body) if row.sealed else row.body) for row in rows]

    async def secrets_of(self, email: str) -> tuple[str, str]:
        """Token and code of the last confirmation mail to an address."""
        text = text_of((await self.mails_to(email))[-1])
        return token_in(text), code_in(text)


def mail(**changes: Any) -> MailRequest:
    """A plain request, with some fields other."""
    words = InlineWords("Hello", None, "It works.")
    return MailRequest(**{"to": (ANN,), "words": words, **changes})


def templated(variables: Mapping[str, object], name: str = "notification", **more: Any) -> Any:
    return mail(words=TemplateWords(name, variables), **more)


def parsed(raw: bytes) -> EmailMessage:
    found = message_from_bytes(raw, policy=policy.default)
    assert isinstance(found, EmailMessage)
    return found


def text_of(found: EmailMessage) -> str:
    """The plain text of a mail."""
    part = found.get_body(("plain",))
    assert part is not None
    return str(part.get_content())


def token_in(text: str) -> str:
    found = re.search(r"[?&=/](?:t=|token=)?([A-Za-z0-9_-]{43})\b", text)
    assert found is not None
    return found[1]


def code_in(text: str) -> str:
    found = re.search(r"\b(\d{3}) ?(\d{3})\b", text)
    assert found is not None
    return found[1] + found[2]


def boxes(*addresses: str) -> tuple[Mailbox, ...]:
    return tuple(map(parse_mailbox, addresses))


@cache
def shipped_catalogue() -> Catalogue:
    """The shipped templates; loaded once, for they never change."""
    return Catalogue.load((), BrandSettings(), public_url=PUBLIC_URL)


@asynccontextmanager
async def open_office(
    database: DatabaseSettings, folder: Path, **settings: Any
) -> AsyncIterator[Office]:
    """An office on an empty, migrated store. `settings` are sections by name."""
    migrate(database, folder)
    store = Store.open(database, folder, Seal([SECRET]))
    clock = MovableClock()
    facts: list[Fact] = []
    chosen = {"secret_key": (SecretStr(SECRET.decode()),), "public_url": PUBLIC_URL, **settings}
    desk = Desk(
        store=store,
        catalogue=shipped_catalogue(),
        settings=Settings.model_validate({**chosen, "database": database, "data_dir": folder}),
        sender=parse_mailbox("Shop <shop@example.com>"),
        return_path="bounces@example.com",
        public_url=PUBLIC_URL,
        secret_keys=(SECRET,),
        now=clock,
        new_id=IdSource(clock, os.urandom),
        entropy=os.urandom,
        observe=facts.append,
    )
    try:
        yield Office(desk, clock, facts)
    finally:
        store.close()


def _count(connection: Connection, table: Table) -> int:
    return int(connection.execute(select(func.count()).select_from(table)).scalar_one())
