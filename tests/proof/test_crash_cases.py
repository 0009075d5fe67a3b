"""The crash cases of the promise that need more than one point of death."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from notifier.settings.sections import DatabaseSettings
from tests.proof.fleet import Instance
from tests.proof.installation import installation
from tests.proof.sink import Act, Manner, Session, Step, Wait

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(240)]
SERVE, WORKER = ("serve",), ("worker",)
MOST_CLAIMS = 5


async def test_in_a_batch_of_50_with_20_sent_the_rest_follows(
    database: DatabaseSettings, tmp_path: Path
) -> None:
    async with installation(database, tmp_path, SERVE, RELAYS__MAIN__CONNECTIONS=4) as site:
        (service,) = site.processes
        await service.start()

        def dies_after_20(step: Step, _session: Session) -> Manner:
            if step is Step.DOT and len(site.sink.journal) >= 20:
                service.strike()
            return None

        site.sink.manners = dies_after_20
        posting = asyncio.create_task(site.post(*(f"p{n}@example.org" for n in range(50))))
        await service.ended()
        await posting
        assert 20 <= len(site.sink.journal) < 50
        site.sink.manners = lambda _step, _session: None
        await service.start()
        found = await site.drained()
    assert found.violations == ()
    assert found.sent == 50


async def test_two_processes_on_one_database_lose_nothing_when_one_dies(
    database: DatabaseSettings, tmp_path: Path
) -> None:
    async with installation(database, tmp_path, SERVE, SERVE) as site:
        await site.fleet.start()
        for number in range(40):
            if number == 20:
                site.sink.ambush = site.processes[0].strike
            await site.post(f"p{number}@example.org", door=1)
        site.processes[0].strike()  # if the other one has sent them all
        await site.processes[0].ended()
        found = await site.drained()
    assert found.violations == ()
    assert found.sent == 40


async def test_the_mail_of_a_worker_that_hangs_is_sent_by_another(
    database: DatabaseSettings, tmp_path: Path
) -> None:
    roles = (("serve", "--no-dispatch"), WORKER, WORKER)
    async with installation(database, tmp_path, *roles, DISPATCH__LEASE_S=2) as site:
        api, hanging, other = site.processes
        await asyncio.gather(api.start(), hanging.start())
        never = asyncio.Event()
        site.sink.manners = lambda step, _session: Wait(never) if step is Step.DATA else None
        await site.post("ann@example.org")
        await site.sink.until(lambda: site.sink.told[Step.DATA] > 0)
        await site.freeze(hanging)
        site.sink.manners = lambda _step, _session: None
        await other.start()
        found = await site.drained()
        assert hanging.is_running
    assert found.violations == ()
    assert (found.sent, found.duplicates) == (1, 0)


async def test_a_poison_message_is_held_and_the_others_leave(
    database: DatabaseSettings, tmp_path: Path
) -> None:
    async with installation(database, tmp_path, SERVE, DISPATCH__LEASE_S=1.1) as site:
        (service,) = site.processes

        def dies_of_it(step: Step, session: Session) -> Manner:
            if step is Step.BODY and session.rcpt_to == "poison@example.org":
                service.strike()
                return Act.DROP
            return None

        site.sink.manners = dies_of_it
        await service.start()
        poison = await site.post("poison@example.org")
        deaths = 0
        while await _held_or_dead(site.books.waiting, service):
            deaths += 1
            await service.begin()  # it may be dead again before it answers
        await service.answers()
        others = await site.post("ann@example.org")
        await site.drained()
        assert await site.status(poison) == "held"
        assert await site.status(others) == "sent"
    assert deaths == MOST_CLAIMS


async def _held_or_dead(waiting: Callable[[], int], service: Instance) -> bool:
    """True: the service died; False: nothing waits in its queue any more."""
    while service.is_running:
        if not await asyncio.to_thread(waiting):
            return False
        await asyncio.sleep(0.05)
    await service.ended()
    return True


async def test_a_lease_shorter_than_a_slow_dot_is_renewed_and_nobody_takes_over(
    database: DatabaseSettings, tmp_path: Path
) -> None:
    async with installation(database, tmp_path, SERVE, WORKER, DISPATCH__LEASE_S=3) as site:
        await site.fleet.start()
        site.sink.manners = lambda step, _session: Wait(8.0) if step is Step.DOT else None
        await site.post("ann@example.org")
        found = await site.drained()
    assert found.violations == ()
    assert (found.sent, found.duplicates) == (1, 0)
