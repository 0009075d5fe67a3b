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
from tests.proof.sink import Manner, Session, Sink, Step, Wait
from tests.store.bulk import due_bulk
from tests.store.world import World
from tests.support.office import open_office
from tests.support.scripted_smtp import ScriptedSmtp

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]

MANY = 100_000
LIFE = timedelta(days=1)
BULK = "b@example.org"
HOUR_IN_RESTS = 60
"""A relay rests for a minute at most; here for a sixtieth part of a second, by the same rules."""


def waiting(connection: Connection) -> dict[str, Any]:
    """What is in the queue: how many, and the most that any of them has used up."""
    columns = (func.count(), func.max(outbox.c.attempt), func.min(outbox.c.attempt))
    many, most, least = connection.execute(select(*columns)).one()
    return {"many": many, "attempts": {most, least}}


async def test_a_relay_down_for_an_hour_costs_a_hundred_thousand_mails_no_attempt(
    database: DatabaseSettings, tmp_path: Path
) -> None:
    """And it is asked by one probe at a time, then gets them all, each once."""
    async with open_office(database, tmp_path) as office, ScriptedSmtp() as server:
        store = office.desk.store
        due_bulk(World(store, office.desk.new_id, office.clock(), LIFE), "shop", MANY)
        await server.close()
        target = server.target(**{**QUICK, "rest_s": 1 / HOUR_IN_RESTS})
        pace = Pace(50, LEASE_S, 60, 0, urgent_seats=5)
        async with working(wing_of(office, target, pace=pace)) as wing:
            await wing.told("relay.resting")
            for _ in range(HOUR_IN_RESTS):
                wing.pass_time(60)
            assert await store.read(waiting) == {"many": MANY, "attempts": {0}}
            await server.open()
            await server.until(lambda: bool(server.accepted))
            assert len(server.connections) == 1, "one probe, not all seats at once"
            await server.until(lambda: len(server.accepted) >= 2000)
        assert len(server.accepted) + (await store.read(waiting))["many"] >= MANY


def slow_bulk(step: Step, session: Session) -> Manner:
    """It takes 50 ms for each bulk mail."""
    return Wait(0.05) if step is Step.DOT and session.rcpt_to == BULK else None


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
