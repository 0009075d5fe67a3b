"""An opened store with a clock that tests move, on each database."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from notifier.core.ids import IdSource
from notifier.settings.sections import DatabaseSettings
from notifier.store.migrate import migrate
from notifier.store.seal import Seal
from notifier.store.store import Store
from tests.store.world import World
from tests.support.postgres import fresh_database

SECRET = b"0123456789abcdef0123456789abcdef"


Opener = Callable[..., World]


@asynccontextmanager
async def opener(database: DatabaseSettings, folder: Path) -> AsyncIterator[Opener]:
    """Opens stores on one migrated database; keywords change its settings."""
    migrate(database, folder)
    start = datetime(2026, 1, 1, 12, tzinfo=UTC)
    opened: list[Store] = []

    def open_one(**changed: float) -> World:
        settings = database.model_copy(update=changed)
        opened.append(Store.open(settings, folder, Seal([SECRET])))
        return World(opened[-1], IdSource(lambda: start, os.urandom), start, timedelta(hours=24))

    yield open_one
    for store in opened:
        await asyncio.to_thread(store.close)


@pytest.fixture
async def open_world(database: DatabaseSettings, tmp_path: Path) -> AsyncIterator[Opener]:
    """Opens stores on each of the two databases."""
    async with opener(database, tmp_path) as opens:
        yield opens


@pytest.fixture
async def open_sqlite(tmp_path: Path) -> AsyncIterator[Opener]:
    """The same for what only SQLite does."""
    async with opener(DatabaseSettings(), tmp_path) as opens:
        yield opens


@pytest.fixture
async def open_postgres(postgres_url: str, tmp_path: Path) -> AsyncIterator[Opener]:
    """The same for what only PostgreSQL does."""
    with fresh_database(postgres_url) as url:
        async with opener(DatabaseSettings(url=SecretStr(url)), tmp_path) as opens:
            yield opens


@pytest.fixture
def world(open_world: Opener) -> World:
    """A migrated, opened store and everything to make rows with."""
    return open_world()
