"""The bell between processes: what one accepts, another sends at once, not at its next look."""

import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.fleet import Settings, one, operators
from tests.support.postgres import fresh_database
from tests.support.scripted_smtp import ScriptedSmtp

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]

HOURLY = {"DISPATCH__POLL_S": 3600}
"""Whoever waits for the next look waits for ever."""


@pytest.fixture
async def relay() -> AsyncIterator[ScriptedSmtp]:
    async with ScriptedSmtp() as running:
        yield running


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        file = tmp_path / "notifier.db"
        file.write_bytes(request.getfixturevalue("migrated_sqlite").read_bytes())
        yield f"sqlite:///{file}"
        return
    template = request.getfixturevalue("migrated_postgres")
    with fresh_database(request.getfixturevalue("postgres_url"), template) as fresh:
        yield fresh


def took_so_many(relay: ScriptedSmtp, number: int) -> Callable[[], bool]:
    return lambda: len(relay.accepted) >= number


async def test_what_the_api_accepts_a_worker_sends_at_once(
    url: str, relay: ScriptedSmtp, tmp_path: Path
) -> None:
    settings: Settings = {**operators(url, relay, tmp_path), **HOURLY}
    took = []
    async with (
        one(tmp_path, "serve", "--no-dispatch", **settings) as api,
        one(tmp_path, "worker", **settings),
    ):
        for number in range(1, 11):
            began = time.monotonic()
            await api.send(f"p{number}@example.org")
            async with asyncio.timeout(15):
                await relay.until(took_so_many(relay, number))
            took.append(time.monotonic() - began)
    assert statistics.median(took) < 1
