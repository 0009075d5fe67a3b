"""What `/readyz` says of a process."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import text

from notifier.api.frame import Health
from notifier.assembly.health import Condition, span
from notifier.assembly.watch import Watch
from notifier.observe.alarms import REMEMBERED_S, Alarms
from notifier.observe.facts import MessageAlarmed
from notifier.settings.relay import RelayTarget
from notifier.settings.sections import DatabaseSettings
from notifier.smtp.relays import Relays
from notifier.store.engine import writing
from notifier.store.migrate import HEAD
from notifier.store.store import Store
from tests.smtp.desk import PATIENT, desk
from tests.support.office import Office, mail, open_office
from tests.support.scripted_smtp import ScriptedSmtp

pytestmark = pytest.mark.anyio


GIB = 1024**3


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    url = SecretStr(f"sqlite:///{tmp_path}/notifier.db")
    async with open_office(DatabaseSettings(url=url), tmp_path) as opened:
        yield opened


@pytest.fixture
def store(office: Office) -> Store:
    return office.desk.store


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


async def test_an_old_backlog_is_told_with_its_lane(office: Office) -> None:
    await office.accept(mail(stream="bulk"))
    later = Watch(office.desk.store, lambda: office.clock() + timedelta(minutes=12, seconds=5))
    found = await condition(office.desk.store, watch=later)()
    assert found == Health("degraded", ("the oldest mail has waited 12 min in bulk",))


async def test_a_burst_of_some_minutes_is_no_backlog(office: Office) -> None:
    await office.accept()
    soon = Watch(office.desk.store, lambda: office.clock() + timedelta(seconds=299))
    assert await condition(office.desk.store, watch=soon)() == Health("ready")


@pytest.mark.parametrize(
    ("steps", "status", "reason"),
    [(1, "degraded", "one release ahead"), (-1, "unavailable", "notifier migrate")],
)
async def test_a_schema_of_another_release(
    office: Office, steps: int, status: str, reason: str
) -> None:
    store = office.desk.store
    with writing(store.database) as connection:
        found = f"{int(HEAD) + steps:04d}"
        connection.execute(text(f"UPDATE alembic_version SET version_num = '{found}'"))
    health = await condition(store)()
    assert health.status == status
    assert reason in health.reasons[0]


@pytest.mark.parametrize(
    ("ahead_s", "reasons"),
    [(4, ()), (6, ("6 s ahead of",)), (-7, ("7 s behind",))],
)
async def test_a_clock_that_is_off_is_told(
    store: Store, ahead_s: int, reasons: tuple[str, ...]
) -> None:
    store.now._ahead = timedelta(seconds=ahead_s)
    found = await condition(store)()
    assert len(found.reasons) == len(reasons)
    assert all(part in reason for part, reason in zip(reasons, found.reasons, strict=True))


@pytest.mark.parametrize(
    ("total", "free", "full"),
    [
        (100 * GIB, 2 * GIB, False),
        (100 * GIB, GIB - 1, True),
        (10 * GIB, GIB // 2 + 1, False),
        (10 * GIB, GIB // 2 - 1, True),
    ],
)
async def test_a_disk_that_is_nearly_full_is_told(
    store: Store, total: int, free: int, full: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(total, 0, free))
    found = await condition(store, data_dir=Path())()
    assert found.status == ("degraded" if full else "ready")
    assert all("nearly full" in reason for reason in found.reasons)


async def test_a_folder_that_is_gone_is_told(store: Store, tmp_path: Path) -> None:
    found = await condition(store, data_dir=tmp_path / "gone")()
    assert found.reasons == ("NOTIFIER_DATA_DIR cannot be read: No such file or directory",)


async def test_an_alarm_is_told_for_a_quarter_of_an_hour(store: Store) -> None:
    now = 0.0
    alarms = Alarms(lambda: now)
    alarms.observe(alarm())
    now = 10.0
    alarms.observe(alarm())
    now = 130.0
    (reason,) = (await condition(store, alarms=alarms)()).reasons
    assert reason == "relay main refused 2 mails (policy), the last one 2 min ago"
    now = 10.0 + REMEMBERED_S + 1
    assert await condition(store, alarms=alarms)() == Health("ready")
    alarms.observe(alarm())
    assert [one.count for one in alarms.recent()] == [1]


def alarm() -> MessageAlarmed:
    return MessageAlarmed("msg_1", "default", "a***@x", "rejected", "policy", 1, "main")


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0 s"), (59, "59 s"), (60, "1 min"), (7199, "119 min"), (7200, "2 h"), (172800, "2 days")],
)
def test_a_span_is_short(seconds: float, said: str) -> None:
    assert span(seconds) == said
