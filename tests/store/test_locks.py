"""What two PostgreSQL transactions do to each other, step by step in an order that hurts."""

import asyncio
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from notifier.core.message import Step
from notifier.core.room import Room
from notifier.store.acceptance import ACCEPT, FirstCall, OnceKey
from notifier.store.claiming import CLAIM, ClaimRequest
from notifier.store.engine import Database, writing
from notifier.store.outbox import RENEW, Claimed, Renewal, Renewed
from notifier.store.outcomes import RECORD, Outcome
from notifier.store.write_queue import Write
from tests.store.conftest import Opener
from tests.store.world import MANY_BYTES, World
from tests.store.writes import PATIENCE_S, until

pytestmark = pytest.mark.anyio

THREE = Room(3, 3, MANY_BYTES)


@pytest.fixture
def world(open_postgres: Opener) -> World:
    return open_postgres(writers=4)


@contextmanager
def beside(database: Database, write: Write[Any, Any], items: Sequence[Any]) -> Iterator["Other"]:
    """The write, run in a transaction of another thread; it commits with the block's end."""
    other = Other(database, write, items)
    try:
        yield other
    finally:
        other.go.set()
        other.result.result(PATIENCE_S)


class Other:
    """A transaction in a thread: it runs its write at once and commits when it may."""

    def __init__(self, database: Database, write: Write[Any, Any], items: Sequence[Any]) -> None:
        self.go, self.pid = threading.Event(), 0
        pool = ThreadPoolExecutor(1)
        self.result: Future[Any] = pool.submit(self._run, database, write, items)
        pool.shutdown(wait=False)

    def _run(self, database: Database, write: Write[Any, Any], items: Sequence[Any]) -> Any:
        with database.engine.begin() as connection:
            self.pid = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
            result = write.run(connection, items)
            assert self.go.wait(PATIENCE_S)
        return result


async def waits(world: World, other: Other) -> None:
    """Returns when it stands before a lock of somebody else."""
    await until(lambda: other.pid != 0)
    ask = text("SELECT cardinality(pg_blocking_pids(:pid))").bindparams(pid=other.pid)
    async with asyncio.timeout(PATIENCE_S):
        while not await world.store.read(lambda connection: connection.execute(ask).scalar()):
            pass


def outcome(world: World, claimed: Claimed) -> Outcome:
    return Outcome(claimed.claim, world.now, Step.DELIVERED, None, 1, ())


async def test_two_writers_that_finish_a_mails_last_two_messages_erase_its_secret(
    world: World,
) -> None:
    item = world.acceptance("a@example.org", "b@example.org", sealed=True)
    await world.accept(item)
    first, second = await world.claim()
    database = world.store.database
    with database.engine.connect() as slow:
        RECORD.run(slow, [outcome(world, first)])
        with beside(database, RECORD, [outcome(world, second)]) as other:
            await waits(world, other)
            slow.commit()
    assert await world.erased(item.contents[0].id)


async def test_a_renewal_steps_over_what_another_writer_has_in_hand(world: World) -> None:
    for _ in range(3):
        await world.accept(world.acceptance())
    claimed = await world.claim("one")
    ids = tuple(one.claim.id for one in claimed)
    with world.store.database.engine.connect() as slow:
        RECORD.run(slow, [outcome(world, claimed[1])])
        later = world.now + timedelta(seconds=60)
        renewed = await world.store.write(RENEW, Renewal("one", ids, later))
        assert renewed == Renewed(frozenset({ids[0], ids[2]}))
        slow.commit()


async def test_claims_of_two_transactions_never_wait_for_each_other(world: World) -> None:
    for _ in range(4):
        await world.accept(world.acceptance())
    lease = world.now + timedelta(seconds=30)
    with world.store.database.engine.connect() as slow:
        (mine,) = CLAIM.run(slow, [ClaimRequest("one", "live", THREE, world.now, lease)])
        theirs = await world.claim("two")
        slow.commit()
    assert (len(mine.mails), len(theirs)) == (3, 1)


HOSTILE = ("hashjoin", "mergejoin", "hashagg", "sort", "material", "memoize", "indexscan")


async def test_a_claim_takes_no_more_than_its_seats_under_any_plan(world: World) -> None:
    for _ in range(20):
        await world.accept(world.acceptance())
    request = ClaimRequest("one", "live", THREE, world.now, world.now + timedelta(seconds=30))
    with world.store.database.engine.begin() as connection:
        for method in (*HOSTILE, "bitmapscan"):
            connection.exec_driver_sql(f"SET LOCAL enable_{method} = off")
        (claimed,) = CLAIM.run(connection, [request])
    assert len(claimed.mails) == 3


async def test_two_groups_that_take_the_same_keys_in_opposite_order_both_end(world: World) -> None:
    keys = [OnceKey("create", f"key {n}", "print", "answer") for n in range(50)]
    ours = [world.acceptance(once=key) for key in keys]
    theirs = [world.acceptance(once=key) for key in reversed(keys)]
    database = world.store.database
    with beside(database, ACCEPT, ours) as one, beside(database, ACCEPT, theirs) as other:
        one.go.set()
        other.go.set()
        results = [one.result.result(PATIENCE_S), other.result.result(PATIENCE_S)]
    assert sorted(sum(first is None for first in result) for result in results) == [0, 50]


async def test_one_key_twice_within_one_group_has_one_winner(open_world: Opener) -> None:
    world = open_world()
    first, second = (world.acceptance(once=OnceKey("create", "k", "p", f"{n}")) for n in range(2))
    with writing(world.store.database) as connection:
        results = ACCEPT.run(connection, [first, second])
    assert results == [None, FirstCall("p", "0", first.notification.id)]
