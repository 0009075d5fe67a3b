"""A hundred thousand mails that wait: for a relay that is down, and before a confirmation code."""

import asyncio
import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, func, select

from notifier.core.ids import IdSource
from notifier.dispatch.lane import Pace
from notifier.settings.sections import DatabaseSettings
from notifier.store.schema import outbox
from notifier.store.seal import Seal
from notifier.store.store import Store
from tests.dispatch.wing import LEASE_S, QUICK, wing_of, working
from tests.e2e.process import started
from tests.overload.conftest import Settings
from tests.proof import sink as sinks
from tests.proof.sink import Manner, Session, Sink, Wait
from tests.store.bulk import due_bulk
from tests.store.world import World
from tests.support.office import open_office
from tests.support.scripted_smtp import Drop, ScriptedSmtp, Step

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]

MANY = 100_000
SEATS = 50
LIFE = timedelta(days=1)
BULK = "b@example.org"
HOUR_IN_RESTS = 60
"""A relay rests for a minute at most; here for a sixtieth part of a second, by the same rules."""


def waiting(connection: Connection) -> dict[str, Any]:
    """What is in the queue: how many, and the most that any of them has used up."""
    columns = (func.count(), func.max(outbox.c.attempt), func.min(outbox.c.attempt))
    many, most, least = connection.execute(select(*columns)).one()
    return {"many": many, "attempts": {most, least}}


async def probed(server: ScriptedSmtp, times: int) -> None:
    """Return when it was asked more often than that."""
    await server.until(lambda: len(server.connections) > times)


def claims_of_waiting(connection: Connection) -> int:
    return int(connection.execute(select(func.sum(outbox.c.claims))).scalar_one())


async def test_a_relay_down_for_an_hour_costs_a_hundred_thousand_mails_no_attempt(
    database: DatabaseSettings, tmp_path: Path
) -> None:
    """And it is asked by one probe at a time, then gets them all, each once."""
    async with open_office(database, tmp_path) as office, ScriptedSmtp() as server:
        store = office.desk.store
        due_bulk(World(store, office.desk.new_id, office.clock(), LIFE), "shop", MANY)
        server.on(Step.CONNECT, Drop())
        target = server.target(**{**QUICK, "rest_s": 1 / HOUR_IN_RESTS})
        pace = Pace(SEATS, LEASE_S, 60, 0, urgent_seats=5)
        async with working(wing_of(office, target, pace=pace)) as wing:
            await wing.told("relay.resting")
            for probes in range(HOUR_IN_RESTS):
                await probed(server, probes)
                wing.pass_time(60)
            claims = await store.read(claims_of_waiting)
            assert claims < SEATS + 2 * len(server.connections), "one mail for each probe"
            assert await store.read(waiting) == {"many": MANY, "attempts": {0}}
            server.rules.clear()
            failed = len(server.connections)
            await server.until(lambda: bool(server.accepted))
            assert len(server.connections) <= failed + 2, "one probe, not all seats at once"
            await server.until(lambda: len(server.accepted) >= 2000)
        assert len(server.accepted) + (await store.read(waiting))["many"] >= MANY


def slow_bulk(step: sinks.Step, session: Session) -> Manner:
    """It takes 50 ms for each bulk mail."""
    return Wait(0.05) if step is sinks.Step.DOT and session.rcpt_to == BULK else None


async def test_a_confirmation_code_behind_a_hundred_thousand_bulk_mails_is_there_within_5_s(
    database: DatabaseSettings, settings: Settings, sink: Sink, tmp_path: Path
) -> None:
    assert database.url is not None
    chosen = {**settings, "DATABASE__URL": database.url.get_secret_value()}
    await asyncio.to_thread(queue_bulk, database, tmp_path)
    sink.manners = slow_bulk
    async with started(tmp_path, "serve", **chosen) as service:
        await sink.until(lambda: len(sink.journal) > 20)
        began = time.monotonic()
        await service.post("/v1/registrations", email="ann@example.org")
        await sink.until(lambda: bool(sink.taken_by("ann@example.org")))
        (code,) = sink.taken_by("ann@example.org")
        assert code.at - began < 5
        assert len(sink.taken_by(BULK)) < MANY / 10, "the bulk still waits"


def queue_bulk(database: DatabaseSettings, folder: Path) -> None:
    """Into an empty database, while no process works on it."""
    store = Store.open(database, folder, Seal([b"k" * 32]))
    now = datetime.now(UTC)
    try:
        due_bulk(World(store, IdSource(lambda: now, os.urandom), now, LIFE), "shop", MANY)
    finally:
        store.close()
