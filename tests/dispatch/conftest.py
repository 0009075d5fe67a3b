"""An office on SQLite, and one on each database; a scripted relay."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from notifier.settings.sections import DatabaseSettings
from tests.support.office import Office, open_office
from tests.support.scripted_smtp import ScriptedSmtp


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    """Its store gives up on a write after a moment."""
    url = SecretStr(f"sqlite:///{tmp_path}/notifier.db")
    database = DatabaseSettings(url=url, write_timeout_s=0.1)
    async with open_office(database, tmp_path) as opened:
        yield opened


@pytest.fixture
async def each(database: DatabaseSettings, tmp_path: Path) -> AsyncIterator[Office]:
    async with open_office(database, tmp_path) as opened:
        yield opened


@pytest.fixture
async def server() -> AsyncIterator[ScriptedSmtp]:
    async with ScriptedSmtp() as running:
        yield running
