"""An opened store with a clock that tests move, on each database."""

import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from notifier.core.ids import IdSource
from notifier.settings.sections import DatabaseSettings
from notifier.store.migrate import migrate
from notifier.store.seal import Seal
from notifier.store.store import Store
from tests.store.world import World

SECRET = b"0123456789abcdef0123456789abcdef"


@pytest.fixture
async def world(database: DatabaseSettings, tmp_path: Path) -> AsyncIterator[World]:
    """A migrated, opened store and everything to make rows with."""
    migrate(database, tmp_path)
    store = Store.open(database, tmp_path, Seal([SECRET]))
    start = datetime(2026, 1, 1, 12, tzinfo=UTC)
    yield World(store, IdSource(lambda: start, os.urandom), start, timedelta(hours=24))
    store.close()
