"""Any number of processes on one database: each mail once, and nothing needs a hand."""

import asyncio
import os
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.e2e.fleet import (
    API,
    Callers,
    Settings,
    all_are,
    is_flagged,
    migrate,
    one,
    operators,
)
from tests.e2e.process import Service
from tests.support.postgres import fresh_database
from tests.support.postgres_crash import crashing_server
from tests.support.scripted_smtp import Hold, ScriptedSmtp, Step

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(240)]

OUTAGE_S = 8.0
GRACE_S = 4
WRITE_TIMEOUT_S = 10
"""Each write of a running process waits so long for a database that is away."""

MANY = 1000


@pytest.fixture
async def relay() -> AsyncIterator[ScriptedSmtp]:
    async with ScriptedSmtp() as running:
        yield running


@pytest.fixture
async def settings(
    postgres_url: str, migrated_postgres: str, relay: ScriptedSmtp, tmp_path: Path
) -> AsyncIterator[Settings]:
    """What every process is told, on a migrated PostgreSQL."""
    with fresh_database(postgres_url, migrated_postgres) as url:
        yield operators(url, relay, tmp_path)


async def test_a_database_outage_loses_nothing_and_needs_no_hand(
    relay: ScriptedSmtp, tmp_path: Path
) -> None:
    with crashing_server() as database:
        settings = operators(database.url, relay, tmp_path)
        await migrate(tmp_path, settings)
        async with AsyncExitStack() as stack:
            apis, workers = [
                [await stack.enter_async_context(one(tmp_path, *role, **settings)) for _ in "ab"]
                for role in (API, ("worker",))
            ]
            callers = Callers(apis)
            async with callers.posting():
                await callers.more(20)
                database.crash()
                await all_are("unavailable", [*apis, *workers])
                before = len(callers.accepted)
                await asyncio.sleep(OUTAGE_S)  # longer than two leases
                assert len(callers.accepted) == before
                database.start()
                await all_are("ready", [*apis, *workers])
                await callers.more(20)
            assert [s.process.returncode for s in (*apis, *workers)] == [None] * 4
            await callers.check(relay, apis[0])
    assert callers.refused
    assert all(int(answer.headers["retry-after"]) > 0 for answer in callers.refused)
    codes = {answer.json()["code"] for answer in callers.refused}
    assert codes <= {"store_away", "store_unwritable", "store_busy"}


async def test_processes_stop_in_time_while_the_database_is_away(
    relay: ScriptedSmtp, tmp_path: Path
) -> None:
    with crashing_server() as database:
        settings = operators(database.url, relay, tmp_path)
        grace = {"HTTP__GRACE_S": GRACE_S, "DISPATCH__GRACE_S": GRACE_S}
        await migrate(tmp_path, settings)
        async with (
            one(tmp_path, *API, **settings, **grace) as api,
            one(tmp_path, "worker", **settings, **grace) as worker,
        ):
            callers = Callers([api])
            posting = asyncio.create_task(callers.keep_posting("caller", asyncio.Event()))
            await callers.more(5)
            database.crash()
            await all_are("unavailable", [api, worker])
            began = time.monotonic()
            ends = [process.terminate() for process in (api, worker)]
            assert await asyncio.gather(*ends) == [0, 0]
            assert time.monotonic() - began < WRITE_TIMEOUT_S
            posting.cancel()


async def test_four_workers_send_a_thousand_mails_once_each(
    settings: Settings, relay: ScriptedSmtp, tmp_path: Path
) -> None:
    names = [f"w{number}.example.com" for number in range(4)]
    everybody_works = asyncio.Event()
    relay.on(Step.BODY, Hold(everybody_works))
    async with AsyncExitStack() as stack:
        api = await stack.enter_async_context(one(tmp_path, *API, **settings))
        addresses = [f"p{number}@example.org" for number in range(MANY)]
        told = [await api.send(addresses[at : at + 50]) for at in range(0, MANY, 50)]
        for name in names:
            named = {**settings, "MAIL__HELO_NAME": name}
            await stack.enter_async_context(one(tmp_path, "worker", **named))
        await relay.until(lambda: greeted(relay) == set(names))
        everybody_works.set()
        await relay.until(lambda: len(relay.accepted) >= MANY)
        for notification in told:
            await api.until(notification, "sent")
    assert Counter(mail.rcpt_to for mail in relay.accepted) == Counter(addresses)


def greeted(relay: ScriptedSmtp) -> set[str]:
    """The names of those who said EHLO."""
    said = [connection.commands[0] for connection in relay.connections if connection.commands]
    return {line.removeprefix("EHLO ") for line in said}


async def test_mails_of_a_killed_worker_are_sent_by_another_after_the_lease(
    settings: Settings, relay: ScriptedSmtp, tmp_path: Path
) -> None:
    held = relay.on(Step.DOT, Hold(asyncio.Event()), connection=1)
    async with one(tmp_path, *API, **settings) as api, one(tmp_path, "worker", **settings) as first:
        told = await api.send("ann@example.org")
        await relay.until(lambda: held.hits == 1)
        async with one(tmp_path, "worker", **settings) as other:
            os.kill(first.process.pid, signal.SIGKILL)
            await first.process.wait()
            done = await api.until(told, "sent")
            assert other.process.returncode is None
        assert done["messages"][0]["queue_id"] == "S0001"
        assert await is_flagged(api, told)
    ours, again = relay.accepted
    assert (ours.acknowledged, again.acknowledged) == (False, True)
    assert ours.content == again.content


async def test_a_rolling_restart_loses_no_accepted_mail(
    settings: Settings, relay: ScriptedSmtp, tmp_path: Path
) -> None:
    async with AsyncExitStack() as stack:

        async def start(*role: str) -> Service:
            return await stack.enter_async_context(one(tmp_path, *role, **settings))

        callers = Callers([await start(*API) for _ in "ab"])
        workers = [await start("worker") for _ in "ab"]
        codes = []
        async with callers.posting():
            await callers.more(10)
            for place in range(2):
                codes.append(await callers.doors[place].terminate())
                callers.doors[place] = await start(*API)
                codes.append(await workers[place].terminate())
                workers[place] = await start("worker")
                await callers.more(10)
        assert codes == [0, 0, 0, 0]
        await callers.check(relay, callers.doors[0])
    assert len(relay.accepted) == len(callers.accepted)


async def test_two_services_on_one_sqlite_file_send_each_mail_once(
    relay: ScriptedSmtp, tmp_path: Path
) -> None:
    settings = operators(f"sqlite:///{tmp_path}/notifier.db", relay, tmp_path)
    addresses = [f"p{number}@example.org" for number in range(200)]
    async with (
        one(tmp_path, "serve", **settings) as first,
        one(tmp_path, "serve", **settings) as other,
    ):
        callers = Callers([first, other])
        async with asyncio.TaskGroup() as group:
            for address in addresses:
                group.create_task(callers.post(address))
        await callers.check(relay, other)
    assert Counter(mail.rcpt_to for mail in relay.accepted) == Counter(addresses)
    assert callers.refused == []
