"""Readers beside writers: nobody waits for the other's connection, nobody holds a snapshot."""

import asyncio
import threading
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from notifier.core.errors import Unavailable
from notifier.settings.sections import DatabaseSettings
from notifier.store.engine import CHECKPOINT_BYTES, database_url, standalone
from notifier.store.schema import message
from tests.store.conftest import Opener
from tests.store.world import World
from tests.store.writes import PATIENCE_S, foreign_lock

pytestmark = pytest.mark.anyio


async def test_readers_that_are_all_busy_leave_writers_their_connections(
    open_world: Opener,
) -> None:
    world, go = open_world(readers=3, writers=3), threading.Event()

    def wait(connection: Connection) -> bool:
        connection.exec_driver_sql("SELECT 1")
        return go.wait(PATIENCE_S)

    busy = [asyncio.create_task(world.store.read(wait)) for _ in range(6)]
    await asyncio.gather(*(world.accept(world.acceptance()) for _ in range(20)))
    go.set()
    assert await asyncio.gather(*busy) == [True] * 6


async def test_a_read_sees_what_was_committed_before_it(world: World) -> None:
    for written in range(1, 20):
        await world.accept(world.acceptance())
        assert await world.count(message.c.id) == written


async def test_readers_that_rest_hold_no_snapshot_that_lets_the_wal_grow(
    open_sqlite: Opener,
) -> None:
    world = open_sqlite()
    await asyncio.gather(*(world.count(message.c.id) for _ in range(20)))
    for _ in range(12):
        await world.accept(world.acceptance(body=b"x" * (CHECKPOINT_BYTES // 4)))
        await asyncio.gather(*(world.count(message.c.id) for _ in range(4)))
    path = world.store.database.path
    assert path is not None
    assert path.with_name("notifier.db-wal").stat().st_size < 2 * CHECKPOINT_BYTES


async def test_a_locked_sqlite_is_read_all_the_same(open_sqlite: Opener) -> None:
    world = open_sqlite(lock_timeout_s=0.05)
    with foreign_lock(world.store):
        assert await world.count(message.c.id) == 0


async def test_a_statement_that_is_wrong_is_not_called_a_store_that_is_away(
    open_postgres: Opener,
) -> None:
    world = open_postgres()
    with pytest.raises(DBAPIError, match="nothing_of_the_kind"):
        await world.store.read(
            lambda connection: connection.exec_driver_sql("SELECT nothing_of_the_kind")
        )
    await world.store.ping()


async def test_a_statement_cut_short_by_the_server_is_unavailable(open_postgres: Opener) -> None:
    def slow(connection: Connection) -> None:
        connection.exec_driver_sql("SET LOCAL statement_timeout = 20")
        connection.exec_driver_sql("SELECT pg_sleep(30)")

    world = open_postgres()
    with pytest.raises(Unavailable):
        await world.store.read(slow)


async def test_what_a_url_says_to_postgresql_is_kept_beside_our_own(open_postgres: Opener) -> None:
    url = open_postgres().store.database.engine.url
    given = url.update_query_dict({"options": "-c statement_timeout=4321", "connect_timeout": "7"})
    settings = DatabaseSettings(url=SecretStr(given.render_as_string(hide_password=False)))
    asked = ("statement_timeout", "synchronous_commit")
    with (
        standalone(database_url(settings, Path()), settings) as database,
        database.engine.connect() as connection,
    ):
        said = [connection.exec_driver_sql(f"SHOW {one}").scalar_one() for one in asked]
    assert said == ["4321ms", "on"]
