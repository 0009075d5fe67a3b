"""Operators' orders in a process that delivers, and what it says of itself."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from notifier.assembly.delivery import open_delivery
from notifier.assembly.orders import Orders
from notifier.assembly.presence import Presence, introduced, noticing, routes_of
from notifier.observe.facts import Fact
from notifier.settings.sections import DatabaseSettings
from notifier.smtp.relays import Relays
from notifier.store.engine import writing
from notifier.store.relay_commands import RelayCommand, command_relay
from notifier.store.workers import REPORT, workers
from tests.dispatch.wing import QUICK, store_away
from tests.support.office import Office, open_office
from tests.support.scripted_smtp import ScriptedSmtp

pytestmark = pytest.mark.anyio
OWNER = "own_" + "0" * 32


def order(office: Office, relay: str, *, paused: bool, reason: str = "moving") -> None:
    office.clock.move(1)
    with writing(office.desk.store.database) as connection:
        command_relay(connection, RelayCommand(relay, paused, office.clock(), reason))


def states(relays: Relays) -> list[str]:
    return [health.state for health in relays.health()]


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    database = DatabaseSettings(url=SecretStr(f"sqlite:///{tmp_path}/notifier.db"))
    async with open_office(database, tmp_path) as opened:
        yield opened


@pytest.fixture
async def relays(office: Office) -> Relays:
    async with ScriptedSmtp() as server:
        targets = [server.target("main", **QUICK), server.target("other", **QUICK)]
    return Relays(targets, helo_name=None, observe=office.facts.append, clock=office.clock)


async def test_an_order_from_before_the_start_is_obeyed_before_anything_is_sent(
    office: Office, relays: Relays
) -> None:
    order(office, "main", paused=True)
    orders = Orders(office.desk.store, relays, lambda: None)
    await orders.first(asyncio.Event())
    assert states(relays) == ["paused", "up"]


async def test_an_order_is_obeyed_once_and_its_end_too(office: Office, relays: Relays) -> None:
    obeyed: list[None] = []
    orders = Orders(office.desk.store, relays, lambda: obeyed.append(None))
    await orders.look()
    order(office, "other", paused=True)
    await orders.look()
    await orders.look()
    assert states(relays) == ["up", "paused"]
    order(office, "other", paused=False)
    await orders.look()
    assert states(relays) == ["up", "up"]
    assert len(obeyed) == 3


async def test_an_order_about_a_relay_that_is_elsewhere_harms_nobody(
    office: Office, relays: Relays
) -> None:
    order(office, "third", paused=True)
    await Orders(office.desk.store, relays, lambda: None).look()
    assert states(relays) == ["up", "up"]


async def test_a_store_that_is_away_leaves_the_last_orders_standing(
    office: Office, relays: Relays, tmp_path: Path
) -> None:
    order(office, "main", paused=True)
    orders = Orders(office.desk.store, relays, lambda: None)
    await orders.look()
    stop = asyncio.Event()
    with store_away(tmp_path):
        running = asyncio.create_task(orders.run(stop))
        stop.set()
        await running
    assert states(relays) == ["paused", "up"]


async def test_a_change_of_a_relays_state_is_reported_at_once(
    office: Office, relays: Relays
) -> None:
    store, changed, stop = office.desk.store, asyncio.Event(), asyncio.Event()
    presence = Presence(
        store=store,
        relays=relays,
        now=office.clock,
        routes={"main": ("live",)},
        seats=lambda: (50, 2),
        changed=changed,
        started=introduced(OWNER, "worker", office.clock),
    )
    running = asyncio.create_task(presence.run(stop))
    relays.hold({"main": "moving"})
    changed.set()
    async with asyncio.timeout(5):
        found = await store.read(workers)
        while not found or found[0].relays[0].state != "paused":
            await asyncio.sleep(0.01)
            found = await store.read(workers)
    (row,), main = found, found[0].relays[0]
    assert (row.owner, row.role, row.seats, row.busy) == (OWNER, "worker", 50, 2)
    assert (main.by_operator, main.reason, main.routes) == (True, "moving", ("live",))
    stop.set()
    await running
    await presence.leave()
    assert list(await store.read(workers)) == []


async def test_an_observer_notices_relays_and_nothing_else(office: Office) -> None:
    changed, facts = asyncio.Event(), list[Fact]()
    observe = noticing(facts.append, changed)
    async with ScriptedSmtp() as server:
        relays = Relays([server.target(**QUICK)], helo_name=None, observe=observe)
    relays.hold({relays.health()[0].name: "moving"})
    assert changed.is_set()
    assert [fact.event for fact in facts] == ["relay.paused"]


async def test_the_capture_server_takes_live_mail_only_where_nothing_else_does() -> None:
    async with ScriptedSmtp() as server:
        real, capture = server.target("main"), server.target("capture", captures=True)
    assert routes_of([capture]) == {"capture": ("live", "test")}
    assert routes_of([real, capture]) == {"main": ("live",), "capture": ("test",)}


async def test_a_dead_process_has_no_say_once_another_has_started(office: Office) -> None:
    desk = office.desk
    dead = introduced(OWNER, "serve", office.clock)
    desk.store.owners.announce(OWNER)
    await desk.store.write(REPORT, dead)
    desk.store.owners._mine.pop(OWNER).close()  # as `kill -9` does: the file stays
    async with open_delivery(desk, ()):
        assert await desk.store.read(workers) == []
