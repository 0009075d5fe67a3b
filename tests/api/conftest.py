"""The API on SQLite, and on each database where the store has a say in the claim."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from notifier.settings.sections import DatabaseSettings
from tests.api.house import House, open_house


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    url = SecretStr(f"sqlite:///{tmp_path}/notifier.db")
    async with open_house(DatabaseSettings(url=url), tmp_path) as opened:
        yield opened


@pytest.fixture
async def each_house(database: DatabaseSettings, tmp_path: Path) -> AsyncIterator[House]:
    async with open_house(database, tmp_path) as opened:
        yield opened
