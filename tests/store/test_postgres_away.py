"""PostgreSQL sessions killed, the server crashed: nothing acknowledged is lost or written twice."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import create_engine, text
from sqlalchemy.engine import Engine

from notifier.core.errors import Unavailable
from notifier.core.message import Step
from notifier.settings.sections import DatabaseSettings
from notifier.store.schema import event, message
from tests.store.conftest import Opener, opener
from tests.store.world import World
from tests.store.writes import until
from tests.support.postgres import fresh_database
from tests.support.postgres_crash import CrashingServer, crashing_server

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def server() -> Iterator[CrashingServer]:
    with crashing_server() as running:
        yield running


@pytest.fixture
async def open_here(server: CrashingServer, tmp_path: Path) -> AsyncIterator[Opener]:
    with fresh_database(server.url) as url:
        async with opener(DatabaseSettings(url=SecretStr(url)), tmp_path) as opens:
            yield opens


class Posts:
    """Mails accepted as fast as it goes, until told to stop; `acked` are those answered."""

    def __init__(self, world: World) -> None:
        self.world, self.acked, self.stop = world, set[str](), False
        self.tasks = [asyncio.create_task(self._run()) for _ in range(20)]

    async def _run(self) -> None:
        while not self.stop:
            item = self.world.acceptance()
            assert await self.world.accept(item) is None
            self.acked.add(item.notification.id)

    async def more(self, count: int) -> None:
        """Returns when so many more were answered."""
        goal = len(self.acked) + count
        await until(lambda: len(self.acked) >= goal or any(task.done() for task in self.tasks))

    async def end(self) -> None:
        self.stop = True
        await asyncio.gather(*self.tasks)


async def is_all_there(world: World, posts: Posts) -> bool:
    """Every answered mail has its rows, and there is none beside them."""
    counts = [
        await world.count(message.c.notification_id.distinct()),
        await world.count(event.c.id),
    ]
    return counts == [len(posts.acked)] * 2


def kill_sessions(engine: Engine) -> int:
    """Ends every other session of this database; returns how many there were."""
    admin = create_engine(engine.url, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        killed = connection.execute(
            text(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        ).scalar_one()
    admin.dispose()
    return int(killed)


def take_writes(engine: Engine, *, may: bool) -> None:
    """Whether sessions made from now on may write."""
    admin = create_engine(engine.url, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.exec_driver_sql("SET default_transaction_read_only = off")
        connection.exec_driver_sql(
            f"ALTER DATABASE {engine.url.database}"
            f" SET default_transaction_read_only = {'off' if may else 'on'}"
        )
    admin.dispose()


async def test_sessions_killed_amid_writes_cost_nothing(open_here: Opener) -> None:
    world = open_here()
    posts = Posts(world)
    for _ in range(10):
        await posts.more(100)
        assert await asyncio.to_thread(kill_sessions, world.store.database.engine) > 0
    await posts.more(100)
    await posts.end()
    assert await is_all_there(world, posts)


async def test_a_server_that_crashes_amid_writes_costs_nothing(
    open_here: Opener, server: CrashingServer
) -> None:
    world = open_here()
    posts = Posts(world)
    for _ in range(2):
        await posts.more(200)
        await asyncio.to_thread(server.crash)
        await asyncio.to_thread(server.start)
    await posts.more(200)
    await posts.end()
    assert await is_all_there(world, posts)


async def test_a_server_that_crashes_amid_outcomes_leaves_each_message_one_of_them(
    open_here: Opener, server: CrashingServer
) -> None:
    world = open_here()
    await asyncio.gather(*(world.accept(world.acceptance()) for _ in range(200)))
    claimed = await world.claim(seats=200)
    outcomes = [asyncio.create_task(world.record(one, Step.DELIVERED)) for one in claimed]
    await asyncio.to_thread(server.crash)
    await asyncio.to_thread(server.start)
    assert await asyncio.gather(*outcomes) == [True] * 200
    assert await world.count(event.c.id) == 400


async def test_while_the_server_is_away_writes_and_reads_are_refused_in_time(
    open_here: Opener, server: CrashingServer
) -> None:
    world = open_here(write_timeout_s=3)
    await world.accept(world.acceptance())
    await asyncio.to_thread(server.crash)
    try:
        refused = await asyncio.gather(
            *(world.accept(world.acceptance()) for _ in range(5)),
            world.store.ping(),
            return_exceptions=True,
        )
    finally:
        await asyncio.to_thread(server.start)
    assert [type(one) for one in refused] == [Unavailable] * 6
    assert await world.accept(world.acceptance()) is None
    assert await world.count(message.c.id) == 2


async def test_a_server_that_only_reads_is_left_for_one_that_writes(open_here: Opener) -> None:
    world = open_here(writers=1)
    engine = world.store.database.engine
    await asyncio.to_thread(take_writes, engine, may=False)
    await asyncio.to_thread(kill_sessions, engine)
    for _ in range(2):
        with pytest.raises(Unavailable):
            await world.accept(world.acceptance())
    # Sessions of before go on reading only, as those with an old primary do.
    await asyncio.to_thread(take_writes, engine, may=True)
    assert await world.accept(world.acceptance()) is None


async def test_closing_ends_while_the_server_is_away(
    open_here: Opener, server: CrashingServer
) -> None:
    world = open_here(write_timeout_s=60)
    await world.accept(world.acceptance())
    await asyncio.to_thread(server.crash)
    try:
        waiting = asyncio.create_task(world.accept(world.acceptance()))
        await asyncio.wait_for(asyncio.to_thread(world.store.close), 20)
        with pytest.raises(Unavailable):
            await waiting
    finally:
        await asyncio.to_thread(server.start)
