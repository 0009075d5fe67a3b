"""Many who claim at once: each row once, and nobody waits for anybody for ever."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from notifier.core.message import Step
from notifier.core.room import Room
from notifier.store.claiming import CLAIM, ClaimRequest
from notifier.store.outbox import RENEW, Claimed, Renewal
from notifier.store.outcomes import RECORD, Outcome
from notifier.store.turns import Turns
from tests.store.bulk import due_bulk
from tests.store.conftest import Opener
from tests.store.world import MANY_BYTES, World

pytestmark = pytest.mark.anyio

MANY, PROJECTS, CLAIMERS = 1000, 10, 4
ROOM = Room(17, 17, MANY_BYTES)

_CLAIM_ALL = """
import asyncio, sys
from datetime import datetime
from pathlib import Path
from pydantic import SecretStr
from notifier.core.room import Room
from notifier.settings.sections import DatabaseSettings
from notifier.store.claiming import CLAIM, ClaimRequest
from notifier.store.seal import Seal
from notifier.store.store import Store
from notifier.store.turns import Turns

url, owner, now, until = sys.argv[1:]
times = datetime.fromisoformat(now), datetime.fromisoformat(until)

async def claim_all():
    store = Store.open(DatabaseSettings(url=SecretStr(url)), Path("."), Seal([b"k" * 32]))
    turns = Turns()
    print("ready", flush=True)
    sys.stdin.readline()
    while True:
        request = ClaimRequest(owner, "live", Room(17, 17, 2**40), *times, turns)
        found = (await store.write(CLAIM, request)).mails
        if not found:
            break
        print(*(one.claim.id for one in found), sep="\\n", flush=True)
    store.close()

asyncio.run(claim_all())
"""


@pytest.fixture
def crowded(world: World) -> World:
    """A thousand due messages of ten projects."""
    for number in range(PROJECTS):
        due_bulk(world, f"p{number}", MANY // PROJECTS)
    return world


def run_claims(world: World, together: threading.Barrier, owner: str) -> list[Claimed]:
    """A claimer in a thread, with a connection of its own, until nothing is left."""
    found: list[Claimed] = []
    turns, lease = Turns(), world.now + timedelta(seconds=30)
    together.wait()
    while True:
        request = ClaimRequest(owner, "live", ROOM, world.now, lease, turns)
        database = world.store.database
        with (
            database.engine.connect() as connection,
            database.write_lock(),
            connection.begin(),
        ):
            (catch,) = CLAIM.run(connection, [request])
        if not catch.mails:
            return found
        found += catch.mails


async def test_four_claimers_at_once_take_each_row_once(
    open_world: Opener,
) -> None:
    world = open_world(readers=CLAIMERS + 2)
    for number in range(PROJECTS):
        due_bulk(world, f"p{number}", MANY // PROJECTS)
    together = threading.Barrier(CLAIMERS)
    with ThreadPoolExecutor(CLAIMERS) as pool:
        claimers = [pool.submit(run_claims, world, together, f"own{n}") for n in range(CLAIMERS)]
        found = [one.claim.id for claimer in claimers for one in claimer.result()]
    assert len(found) == len(set(found)) == MANY


def claimed_by_two_processes(world: World) -> list[list[bytes]]:
    """What each of two processes claimed that began together."""
    url = world.store.database.engine.url.set(drivername="sqlite")
    if not world.store.database.is_sqlite:
        url = world.store.database.engine.url.set(drivername="postgresql")
    times = [world.now.isoformat(), (world.now + timedelta(seconds=30)).isoformat()]
    command = [sys.executable, "-c", _CLAIM_ALL, url.render_as_string(hide_password=False)]
    pipe, root = subprocess.PIPE, Path(__file__).parents[2]
    processes = [
        subprocess.Popen([*command, f"own{number}", *times], stdin=pipe, stdout=pipe, cwd=root)
        for number in range(2)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(b"go\n")
        process.stdin.flush()
    return [process.communicate(timeout=60)[0].split() for process in processes]


async def test_two_processes_on_one_database_take_each_row_once(crowded: World) -> None:
    one, other = await asyncio.to_thread(claimed_by_two_processes, crowded)
    assert len(one + other) == len({*one, *other}) == MANY
    assert one
    assert other


async def test_claims_renewals_and_records_of_four_at_once_never_deadlock(
    open_postgres: Opener,
) -> None:
    """Each works on what it claimed, in transactions that hold many rows; a deadlock raises."""
    world = open_postgres(readers=CLAIMERS + 2)
    due_bulk(world, "a", MANY)
    together = threading.Barrier(CLAIMERS)

    def work(owner: str) -> int:
        turns, done = Turns(), 0
        lease = world.now + timedelta(seconds=30)
        together.wait()
        while True:
            request = ClaimRequest(owner, "live", ROOM, world.now, lease, turns)
            with world.store.database.engine.begin() as connection:
                (catch,) = CLAIM.run(connection, [request])
            if not catch.mails:
                return done
            ids = tuple(one.claim.id for one in catch.mails)
            with world.store.database.engine.begin() as connection:
                (renewed,) = RENEW.run(connection, [Renewal(owner, ids, lease)])
                assert not renewed.lost
                assert all(RECORD.run(connection, outcomes(world, catch.mails)))
            done += len(ids)

    with ThreadPoolExecutor(CLAIMERS) as pool:
        done = [pool.submit(work, f"own{n}") for n in range(CLAIMERS)]
        assert sum(one.result() for one in done) == MANY
    assert await world.store.read(left) == 0


def outcomes(world: World, claimed: Sequence[Claimed]) -> list[Outcome]:
    found = sorted(claimed, key=lambda one: one.claim.id)
    return [Outcome(one.claim, world.now, Step.DELIVERED, None, 1, ()) for one in found]


def left(connection: Connection) -> int:
    return int(connection.execute(text("SELECT count(*) FROM outbox")).scalar_one())
