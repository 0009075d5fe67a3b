"""Migrations: one of several starters does it, the schema is the models', and refusals say why."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from socket import create_server

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from pydantic import SecretStr
from sqlalchemy import Connection, create_engine, inspect, text

from notifier.core.errors import Misconfigured
from notifier.settings.sections import DatabaseSettings
from notifier.store import migrations
from notifier.store.engine import Database, database_url, standalone, writing
from notifier.store.migrate import HEAD, MigrationReport, migrate, wait_until_current
from notifier.store.schema import metadata
from tests.support.postgres import fresh_database

_START = """
import sys
from pathlib import Path
from pydantic import SecretStr
from notifier.settings.sections import DatabaseSettings
from notifier.store.migrate import migrate
print("ready", flush=True)
sys.stdin.readline()
print(migrate(DatabaseSettings(url=SecretStr(sys.argv[1])), Path()).changed)
"""


_WAITS = text("""
    SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'message'::regclass
""")


def first_schema(database: Database) -> None:
    config = Config()
    config.set_main_option("script_location", migrations.__path__[0])
    with writing(database) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")


@pytest.fixture
def opened(empty_database: DatabaseSettings, tmp_path: Path) -> Iterator[Database]:
    with standalone(database_url(empty_database, tmp_path), empty_database) as one:
        yield one


def execute(database: Database, *statements: str) -> None:
    with writing(database) as connection:
        for statement in statements:
            connection.execute(text(statement))


def test_an_empty_database_is_migrated_once(
    empty_database: DatabaseSettings, tmp_path: Path
) -> None:
    assert migrate(empty_database, tmp_path) == MigrationReport(None, HEAD)
    assert migrate(empty_database, tmp_path).changed is False


def test_the_newest_script_is_head() -> None:
    folder = Path(migrations.__path__[0]) / "versions"
    revisions = [
        ast.literal_eval(line.partition("=")[2].strip())
        for script in folder.glob("v*.py")
        for line in script.read_text().splitlines()
        if line.startswith("revision")
    ]
    assert max(revisions) == HEAD
    assert len(revisions) == len(set(revisions))


def test_the_migrated_schema_is_what_statements_are_written_against(
    empty_database: DatabaseSettings, tmp_path: Path, opened: Database
) -> None:
    migrate(empty_database, tmp_path)
    with opened.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_of_several_starters_one_migrates_and_all_go_on(empty_database: DatabaseSettings) -> None:
    assert empty_database.url is not None
    command = [sys.executable, "-c", _START, empty_database.url.get_secret_value()]
    root, pipe = Path(__file__).parents[2], subprocess.PIPE
    starters = [
        subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=root) for _ in range(4)
    ]
    for starter in starters:
        assert starter.stdout is not None
        assert starter.stdout.readline() == "ready\n"
    for starter in starters:
        assert starter.stdin is not None
        starter.stdin.write("\n")
        starter.stdin.flush()
    said = sorted(starter.communicate()[0].strip() for starter in starters)
    assert said == ["False", "False", "False", "True"]


@pytest.mark.parametrize("step", [migrate, wait_until_current])
def test_a_database_of_somebody_elses_is_refused_and_left_alone(
    empty_database: DatabaseSettings, tmp_path: Path, opened: Database, step: type
) -> None:
    execute(
        opened,
        "CREATE TABLE alembic_version (version_num VARCHAR(32))",
        "INSERT INTO alembic_version VALUES ('ae1027a6acf')",
        "CREATE TABLE outbox (id INTEGER)",
    )
    with pytest.raises(Misconfigured, match="give it one of its own"):
        step(empty_database, tmp_path)
    assert set(inspect(opened.engine).get_table_names()) == {"alembic_version", "outbox"}


@pytest.mark.parametrize("step", [migrate, wait_until_current])
def test_a_schema_one_release_ahead_is_worked_with_and_two_are_refused(
    empty_database: DatabaseSettings, tmp_path: Path, opened: Database, step: type
) -> None:
    migrate(empty_database, tmp_path)
    ahead, too_far = (f"{int(HEAD) + steps:04}" for steps in (1, 2))
    execute(opened, f"UPDATE alembic_version SET version_num = '{ahead}'")
    step(empty_database, tmp_path)
    execute(opened, f"UPDATE alembic_version SET version_num = '{too_far}'")
    with pytest.raises(Misconfigured, match=f"revision {too_far}.*start the newer version"):
        step(empty_database, tmp_path)


def test_a_migration_that_fails_leaves_nothing(
    empty_database: DatabaseSettings, tmp_path: Path, opened: Database
) -> None:
    # The last of our tables stands in the way; it goes before the second try.
    execute(opened, "CREATE VIEW tally AS SELECT 1 AS one")
    with pytest.raises(Misconfigured, match="tally"):
        migrate(empty_database, tmp_path)
    assert inspect(opened.engine).get_table_names() == []
    execute(opened, "DROP VIEW tally")
    assert migrate(empty_database, tmp_path).changed


def test_a_release_at_work_and_a_migration_do_not_end_each_other(
    postgres_url: str, tmp_path: Path
) -> None:
    with fresh_database(postgres_url) as url:
        settings = DatabaseSettings(url=SecretStr(url))
        with standalone(database_url(settings, tmp_path), settings) as old:
            first_schema(old)
            with ThreadPoolExecutor(1) as pool, writing(old) as writer:
                writer.execute(text("DELETE FROM message"))
                migrating = pool.submit(migrate, settings, tmp_path)
                while not writer.execute(_WAITS).scalar():
                    assert not migrating.done()
                writer.execute(text("DELETE FROM outbox"))
                writer.commit()
                assert migrating.result().before == "0001"


def test_waiting_ends_when_another_has_migrated(
    empty_database: DatabaseSettings, tmp_path: Path
) -> None:
    assert empty_database.url is not None
    command = [sys.executable, "-c", _START, empty_database.url.get_secret_value()]
    root, pipe = Path(__file__).parents[2], subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=root) as other:
        assert other.stdin is not None
        other.stdin.write("\n")
        other.stdin.flush()
        wait_until_current(empty_database, tmp_path)
        assert other.communicate()[0].endswith("True\n")


def test_waiting_in_vain_says_what_to_run(empty_database: DatabaseSettings, tmp_path: Path) -> None:
    impatient = empty_database.model_copy(update={"migrate_wait_s": 0})
    with pytest.raises(Misconfigured, match=r"revision none.*notifier migrate"):
        wait_until_current(impatient, tmp_path)


@pytest.mark.parametrize("step", [migrate, wait_until_current])
def test_a_postgresql_that_is_down_is_named_without_its_password(
    tmp_path: Path, step: type
) -> None:
    with closing(create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
    url = SecretStr(f"postgresql://user:hunter2@127.0.0.1:{port}/mail")
    with pytest.raises(Misconfigured, match=r"127\.0\.0\.1/mail cannot be used") as refused:
        step(DatabaseSettings(url=url), tmp_path)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("sqlite:///:memory:", "sqlite:///<file>"),
        ("sqlite://", "sqlite:///<file>"),
        ("sqlite:///x.db?mode=ro", "sqlite:///<file>"),
        ("mysql://u:hunter2@h/d", "sqlite:///<file>"),
        ("hunter2", "not a database URL"),
    ],
)
def test_a_url_that_cannot_be_a_store_is_refused_without_an_echo(
    tmp_path: Path, url: str, sentence: str
) -> None:
    with pytest.raises(Misconfigured, match=sentence) as refused:
        migrate(DatabaseSettings(url=SecretStr(url)), tmp_path)
    assert "hunter2" not in str(refused.value)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notifier.db").write_bytes(b"not a database" * 1000)
    with pytest.raises(Misconfigured, match=r"notifier\.db cannot be used: file is not"):
        migrate(DatabaseSettings(), tmp_path)


def test_a_locked_database_is_refused_after_its_time(tmp_path: Path) -> None:
    migrate(DatabaseSettings(), tmp_path)
    stranger = create_engine(f"sqlite:///{tmp_path}/notifier.db", isolation_level="AUTOCOMMIT")
    with stranger.connect() as connection:
        _lock(connection)
        with pytest.raises(Misconfigured, match="locked"):
            migrate(DatabaseSettings(lock_timeout_s=0.1), tmp_path)
    stranger.dispose()


def _lock(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
