"""A mail that kills the process which sends it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.fleet import Settings, one, operators
from tests.support.scripted_smtp import Hold, Rule, ScriptedSmtp, Step

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(180)]

KILLS = 5


@pytest.fixture
async def relay() -> AsyncIterator[ScriptedSmtp]:
    async with ScriptedSmtp() as running:
        yield running


@pytest.fixture
def settings(relay: ScriptedSmtp, migrated_sqlite: Path, tmp_path: Path) -> Settings:
    file = tmp_path / "notifier.db"
    file.write_bytes(migrated_sqlite.read_bytes())
    return operators(f"sqlite:///{file}", relay, tmp_path)


def hit(rule: Rule, times: int) -> Callable[[], bool]:
    return lambda: rule.hits >= times


async def test_a_mail_that_kills_its_process_five_times_is_held_and_others_are_sent(
    settings: Settings, relay: ScriptedSmtp, tmp_path: Path
) -> None:
    deadly = relay.on(Step.RCPT, Hold(asyncio.Event()), recipient="deadly@example.org")
    told: dict[str, Any] = {}
    for kills in range(KILLS):
        async with one(tmp_path, "serve", **settings) as service:
            if not kills:
                told = await service.send("deadly@example.org")
            await relay.until(hit(deadly, kills + 1))
            await service.kill()
    async with one(tmp_path, "serve", **settings) as service:
        await service.until(told, "held")
        await service.until(await service.send("ann@example.org"), "sent")
    assert deadly.hits == KILLS
    assert [mail.rcpt_to for mail in relay.accepted] == ["ann@example.org"]
