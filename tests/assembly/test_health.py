"""What `/readyz` says of a process."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from notifier.api.frame import Health
from notifier.assembly.health import Condition
from notifier.assembly.watch import Watch
from notifier.observe.alarms import Alarms
from notifier.settings.relay import RelayTarget
from notifier.settings.sections import DatabaseSettings
from notifier.smtp.relays import Relays
from notifier.store.store import Store
from tests.smtp.desk import PATIENT, desk
from tests.support.office import open_office
from tests.support.scripted_smtp import ScriptedSmtp

pytestmark = pytest.mark.anyio


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    url = SecretStr(f"sqlite:///{tmp_path}/notifier.db")
    async with open_office(DatabaseSettings(url=url), tmp_path) as office:
        yield office.desk.store


def relays(*targets: RelayTarget) -> Relays:
    return Relays(targets, helo_name="client.test", observe=lambda _: None)


def condition(store: Store, relays: Relays | None = None, **more: Any) -> Condition:
    given = {"watch": Watch(store, store.now), "alarms": Alarms(), "stop": asyncio.Event(), **more}
    return Condition(store=store, relays=relays, **given)


async def test_a_working_store_with_a_relay_is_ready(store: Store) -> None:
    async with ScriptedSmtp() as server:
        found = await condition(store, relays(server.target()))()
    assert found == Health("ready")


async def test_mail_that_waits_for_a_relay_to_be_configured_is_told_of(store: Store) -> None:
    found = await condition(store, relays())()
    assert (found.status, len(found.reasons)) == ("degraded", 1)
    assert "NOTIFIER_RELAYS__MAIN__URL" in found.reasons[0]


async def test_where_workers_deliver_their_relays_are_no_concern(store: Store) -> None:
    assert await condition(store)() == Health("ready")


async def test_a_sick_relay_is_named_with_its_reason(store: Store) -> None:
    async with ScriptedSmtp() as server, desk(server.target("main", **PATIENT)) as sender:
        await server.close()
        await sender.send()
        found = await condition(store, sender.relays)()
    assert found.status == "degraded"
    assert found.reasons[0].startswith("relay main is resting: connect: refused")


async def test_a_store_that_is_closed_takes_no_work(store: Store) -> None:
    await asyncio.to_thread(store.close)
    assert (await condition(store)()).status == "unavailable"


async def test_a_process_that_stops_is_draining(store: Store) -> None:
    stop = asyncio.Event()
    stop.set()
    assert (await condition(store, stop=stop)()).status == "draining"
