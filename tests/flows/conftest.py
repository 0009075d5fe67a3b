"""An office on SQLite, and one on each database where the store has a say in the claim."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from notifier.settings.sections import DatabaseSettings
from tests.support.office import Office, open_office

REGISTRATION = {
    "redirect_to": (
        "https://app.example.com/cb",
        "https://plain.example.com",
        "https://app.example.com:8443/",
        "myapp://done",
    ),
}


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    database = DatabaseSettings(url=SecretStr(f"sqlite:///{tmp_path}/notifier.db"))
    async with open_office(database, tmp_path, registration=REGISTRATION) as opened:
        yield opened


@pytest.fixture
async def each(database: DatabaseSettings, tmp_path: Path) -> AsyncIterator[Office]:
    async with open_office(database, tmp_path, registration=REGISTRATION) as opened:
        yield opened
