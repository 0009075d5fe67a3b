"""The clock that all processes on one database agree on."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.engine import Connection

from notifier.store.clock import StoreClock
from tests.store.world import World

pytestmark = pytest.mark.anyio

_TOLERANCE = timedelta(seconds=1)


def _server_time(connection: Connection) -> datetime:
    if connection.dialect.name == "sqlite":
        return datetime.now(UTC)
    found: datetime = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
    return found


async def test_the_clock_agrees_with_the_database(world: World) -> None:
    await world.store.read(world.store.now.correct)
    server = await world.store.read(_server_time)
    assert abs(world.store.now() - server) < _TOLERANCE


async def test_a_machine_whose_clock_is_wrong_is_corrected(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Behind(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
            return datetime.now(UTC) - timedelta(minutes=7)

    clock = StoreClock()
    monkeypatch.setattr("notifier.store.clock.datetime", Behind)
    await world.store.read(clock.correct)
    on_postgresql = not world.store.database.is_sqlite
    expected = timedelta(minutes=7) if on_postgresql else timedelta(0)
    assert abs(clock.ahead - expected) < _TOLERANCE
