"""Fixtures for every room."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from pydantic import SecretStr

from notifier.settings.sections import DatabaseSettings
from notifier.store.migrate import migrate
from tests.support.postgres import fresh_database, postgres_server

WAITING = ("proof", "e2e", "overload", "model", "browser", "deploy")
"""Folders whose tests take long, mostly in waiting for processes."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What takes long begins first, so that no process is left with it at the end."""
    tests = config.rootpath / "tests"

    def place(item: pytest.Item) -> int:
        folder = item.path.relative_to(tests).parts[0]
        return WAITING.index(folder) if folder in WAITING else len(WAITING)

    items.sort(key=place)


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """All tests run in several processes at once; files that were named run in this one."""
    everything = config.args_source is pytest.Config.ArgsSource.TESTPATHS
    return os.cpu_count() or 1 if everything else 0


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


@pytest.fixture(scope="session")
def migrated_postgres(postgres_url: str) -> Iterator[str]:
    """The name of a migrated database that others are copied from: ten times as fast."""
    with fresh_database(postgres_url) as url:
        migrate(DatabaseSettings(url=SecretStr(url)), Path())
        yield url.rpartition("/")[2].partition("?")[0]


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a migrated database."""
    file = tmp_path_factory.mktemp("migrated") / "notifier.db"
    migrate(DatabaseSettings(url=SecretStr(f"sqlite:///{file}")), file.parent)
    return file


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[DatabaseSettings]:
    """Settings for a database with the schema and no rows, once for each of the two."""
    if request.param == "sqlite":
        shutil.copyfile(request.getfixturevalue("migrated_sqlite"), tmp_path / "notifier.db")
        yield DatabaseSettings(url=SecretStr(f"sqlite:///{tmp_path}/notifier.db"))
        return
    template: str = request.getfixturevalue("migrated_postgres")
    with fresh_database(request.getfixturevalue("postgres_url"), template) as url:
        yield DatabaseSettings(url=SecretStr(url))


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[DatabaseSettings]:
    """Settings for a database without tables, once for each of the two."""
    if request.param == "sqlite":
        yield DatabaseSettings(url=SecretStr(f"sqlite:///{tmp_path}/notifier.db"))
        return
    with fresh_database(request.getfixturevalue("postgres_url")) as url:
        yield DatabaseSettings(url=SecretStr(url))
