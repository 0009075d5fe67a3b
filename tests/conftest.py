"""Fixtures for every room."""

import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from pydantic import SecretStr

from notifier.settings.sections import DatabaseSettings
from tests.support.postgres import fresh_database, postgres_server


@pytest.fixture(scope="session", autouse=True)
def no_settings_of_the_user() -> None:
    """What the user set for his own Notifier must not reach the ones under test."""
    for name in [name for name in os.environ if name.startswith("NOTIFIER_")]:
        if not name.startswith("NOTIFIER_TEST_"):
            del os.environ[name]


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """All async tests run on asyncio."""
    return "asyncio"


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """One PostgreSQL server for the whole run, started when a test first needs it.

    Not below pytest's own folder: as root the server runs as another user, and the next pytest
    to start would shut him out of it.
    """
    with (
        TemporaryDirectory(prefix="notifier-pg-", ignore_cleanup_errors=True) as folder,
        postgres_server(Path(folder) / "data") as url,
    ):
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[DatabaseSettings]:
    """Settings for an empty database, once for each of the two."""
    if request.param == "sqlite":
        yield DatabaseSettings(url=SecretStr(f"sqlite:///{tmp_path}/notifier.db"))
        return
    server: str = request.getfixturevalue("postgres_url")
    with fresh_database(server) as url:
        yield DatabaseSettings(url=SecretStr(url))
