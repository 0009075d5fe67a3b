"""Claim, lease, seats, bell, stop: with jobs that a test holds in its hands, and with mail."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from notifier.assembly.delivery import Delivery
from notifier.assembly.orders import Orders
from notifier.assembly.presence import Presence, introduced
from notifier.core.errors import Unavailable
from notifier.core.room import Room, Weight
from notifier.dispatch.bell import Bell
from notifier.dispatch.dispatcher import Dispatcher
from notifier.dispatch.janitor import Janitor
from notifier.dispatch.lane import Grip, Lease, Pace, monotonic
from notifier.dispatch.standstill import Standstill
from notifier.observe.facts import Fact
from notifier.settings.sections import RetentionSettings
from notifier.smtp.relays import Relays
from notifier.store.doorbell import Doorbell
from tests.dispatch.wing import QUICK, bitten, store_away, wing_of, working
from tests.support.office import Office
from tests.support.scripted_smtp import Hang, Hold, ScriptedSmtp, Step

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(30)]

PATIENT = Pace(seats=3, lease_s=30, poll_s=60, grace_s=5)


@dataclass
class Jobs:
    """A lane of numbered jobs, each of which lasts until it is released."""

    waiting: list[int] = field(default_factory=list)
    under_way: dict[int, Lease] = field(default_factory=dict)
    done: list[int] = field(default_factory=list)
    claims: list[int] = field(default_factory=list)
    renewed: list[list[int]] = field(default_factory=list)
    away: bool = False
    fault: Exception | None = None
    due: float | None = None
    over: list[int] = field(default_factory=list)
    next_over_s: float | None = None
    longest: float = 3600.0
    grips: dict[int, Grip] = field(default_factory=dict)
    cut: list[int] = field(default_factory=list)
    stubborn: bool = False
    able: asyncio.Event = field(default_factory=asyncio.Event)
    release: asyncio.Event = field(default_factory=asyncio.Event)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def is_usable(self) -> bool:
        return self.able.is_set()

    async def usable(self) -> None:
        await self.able.wait()

    async def claim(self, room: Room) -> tuple[Sequence[int], bool]:
        self._note()
        self.claims.append(room.seats)
        if self.fault is not None:
            raise self.fault
        if self.away:
            raise Unavailable("away", code="store_away")
        urgent = [job for job in self.waiting if job >= 1000]
        plain = [job for job in self.waiting if job < 1000][: room.plain]
        taken = [*urgent, *plain][: room.seats]
        self.waiting = [job for job in self.waiting if job not in taken]
        return taken, bool(self.waiting)

    async def claim_ended(self, room: Room) -> tuple[Sequence[int], float | None]:
        self._note()
        taken, self.over = self.over[: room.seats], self.over[room.seats :]
        return taken, self.next_over_s

    def weight(self, job: int) -> Weight:
        return Weight(urgent=job >= 1000)

    def longest_s(self, job: int) -> float:
        return self.longest

    async def perform(self, job: int, lease: Lease) -> None:
        self.under_way[job] = lease
        self._note()
        try:
            await self.release.wait()
        except asyncio.CancelledError:
            self.cut.append(job)
            if self.stubborn:
                await self.release.wait()
            raise
        finally:
            del self.under_way[job]
        if job < 0:
            raise ZeroDivisionError
        self.done.append(job)
        self._note()

    async def renew(self, jobs: Sequence[int]) -> Sequence[Grip]:
        if self.away:
            raise Unavailable("away", code="store_away")
        self.renewed.append([*jobs])
        self._note()
        return [self.grips.get(job, Grip.RENEWED) for job in jobs]

    async def due_in_s(self) -> float | None:
        return self.due

    async def until(self, claim: str) -> None:
        """Return when this expression of `self` is true."""
        async with asyncio.timeout(10):
            while not eval(claim, {}, vars(self)):
                self.changed.clear()
                await self.changed.wait()

    def _note(self) -> None:
        self.changed.set()


@dataclass
class Shop:
    jobs: Jobs
    bell: Bell
    facts: list[Fact]
    stop: asyncio.Event
    running: "asyncio.Task[None]"


@asynccontextmanager
async def at_work(*waiting: int, pace: Pace = PATIENT, able: bool = True) -> AsyncIterator[Shop]:
    jobs, bell, facts, stop = Jobs([*waiting]), Bell(), list[Fact](), asyncio.Event()
    if able:
        jobs.able.set()
    dispatcher: Dispatcher[int] = Dispatcher(jobs, pace, bell, facts.append)
    running = asyncio.create_task(dispatcher.run(stop))
    try:
        yield Shop(jobs, bell, facts, stop, running)
    finally:
        stop.set()
        jobs.release.set()
        await asyncio.wait({running})


async def test_no_more_than_the_seats_are_claimed() -> None:
    async with at_work(1, 2, 3, 4, 5) as shop:
        await shop.jobs.until("len(under_way) == 3")
        assert shop.jobs.claims == [3]
        shop.jobs.release.set()
        await shop.jobs.until("len(done) == 5")
        assert max(shop.jobs.claims) == 3


async def test_the_bell_wakes_it() -> None:
    async with at_work() as shop:
        await shop.jobs.until("claims")
        shop.jobs.waiting.append(1)
        shop.bell.ring()
        await shop.jobs.until("1 in under_way")


async def test_a_ring_while_it_claims_is_not_lost() -> None:
    async with at_work() as shop:
        for job in range(20):
            shop.jobs.waiting.append(job)
            shop.bell.ring()
            shop.jobs.release.set()
            await shop.jobs.until(f"{job} in done")


async def test_it_looks_when_something_is_due_and_at_the_poll() -> None:
    async with at_work(pace=Pace(3, 30, 0.05, 5)) as shop:
        await shop.jobs.until("len(claims) >= 3")
    async with at_work() as shop:
        await shop.jobs.until("claims")
        shop.jobs.due = 0.05
        shop.bell.ring()
        await shop.jobs.until("len(claims) >= 4")


async def test_nothing_is_claimed_while_no_job_could_be_done() -> None:
    async with at_work(1, able=False) as shop:
        shop.bell.ring()
        await asyncio.sleep(0.05)
        assert shop.jobs.claims == []
        shop.jobs.able.set()
        await shop.jobs.until("1 in under_way")


async def test_leases_of_jobs_under_way_are_renewed() -> None:
    async with at_work(1, 2, pace=Pace(3, 0.3, 60, 5)) as shop:
        await shop.jobs.until("len(renewed) >= 4")
        assert [sorted(ids) for ids in shop.jobs.renewed[:4]] == [[1, 2]] * 4
        assert not any(lease.lapsed() for lease in shop.jobs.under_way.values())


async def test_a_lease_that_cannot_be_renewed_lapses_for_good() -> None:
    async with at_work(1, pace=Pace(3, 0.15, 60, 5)) as shop:
        await shop.jobs.until("1 in under_way")
        shop.jobs.away = True
        lease = shop.jobs.under_way[1]
        await asyncio.sleep(lease.ends - monotonic() + 0.01)
        shop.jobs.away = False
        shop.jobs.renewed.clear()
        await asyncio.sleep(0.2)
        assert (shop.jobs.renewed, lease.lapsed()) == ([], True)


async def test_a_job_whose_lease_went_to_another_knows_at_once() -> None:
    async with at_work(1, 2, pace=Pace(3, 0.3, 60, 5)) as shop:
        await shop.jobs.until("len(under_way) == 2")
        shop.jobs.grips[1] = Grip.LOST
        renewals = len(shop.jobs.renewed)
        await shop.jobs.until(f"len(renewed) > {renewals}")
        await asyncio.sleep(0)
        mine, theirs = shop.jobs.under_way[2], shop.jobs.under_way[1]
        assert (mine.lapsed(), theirs.lapsed()) == (False, True)


async def test_a_job_whose_row_is_in_other_hands_keeps_its_lease_as_it_was() -> None:
    async with at_work(1, pace=Pace(3, 0.6, 60, 5)) as shop:
        await shop.jobs.until("1 in under_way")
        shop.jobs.grips[1] = Grip.KEPT
        ends = shop.jobs.under_way[1].ends
        await shop.jobs.until("renewed")
        await asyncio.sleep(0)
        assert shop.jobs.under_way[1].ends == ends


async def test_a_job_that_hangs_is_cut_and_its_seat_is_free() -> None:
    async with at_work(1, 2, pace=Pace(1, 0.15, 60, 5)) as shop:
        shop.jobs.longest = 0.1
        await shop.jobs.until("2 in under_way")
        assert [fact.event for fact in shop.facts] == ["work.hung"]
        assert (shop.jobs.cut, shop.jobs.done) == ([1], [])


async def test_a_job_that_does_not_end_when_it_is_cut_leaves_its_seat_all_the_same() -> None:
    async with at_work(1, 2, pace=Pace(1, 0.15, 60, 0)) as shop:
        shop.jobs.longest, shop.jobs.stubborn = 0.1, True
        await shop.jobs.until("2 in under_way")


async def test_what_is_being_written_down_is_not_cut_by_a_stop() -> None:
    async with at_work(1, pace=Pace(1, 30, 60, 0)) as shop:
        await shop.jobs.until("1 in under_way")
        shop.jobs.under_way[1].writing = True
        shop.stop.set()
        await asyncio.sleep(0.05)
        shop.jobs.release.set()
        await shop.running
        assert (shop.jobs.done, shop.jobs.cut) == ([1], [])


async def test_what_is_over_is_seen_to_while_no_job_can_be_done() -> None:
    async with at_work(able=False, pace=Pace(3, 30, 60, 5, ended_s=0.05)) as shop:
        await asyncio.sleep(0)
        shop.jobs.over.append(7)
        await shop.jobs.until("7 in under_way")
        assert shop.jobs.claims == []


async def test_urgent_work_is_found_while_all_other_seats_are_taken() -> None:
    async with at_work(*range(1, 10), pace=Pace(4, 30, 60, 5, urgent_seats=1)) as shop:
        await shop.jobs.until("len(under_way) == 3")
        shop.jobs.waiting.append(1000)
        shop.bell.ring()
        await shop.jobs.until("1000 in under_way")
        assert len(shop.jobs.under_way) == 4


async def test_a_seat_that_is_left_goes_to_whoever_waits() -> None:
    async with at_work(1, 2, pace=Pace(1, 30, 60, 5)) as shop:
        await shop.jobs.until("1 in under_way")
        shop.jobs.release.set()
        await shop.jobs.until("2 in done")


async def test_a_stop_lets_jobs_finish_and_claims_no_more() -> None:
    async with at_work(1, 2, 3, 4) as shop:
        await shop.jobs.until("len(under_way) == 3")
        shop.stop.set()
        await asyncio.sleep(0.05)
        assert not shop.running.done()
        shop.jobs.release.set()
        await shop.running
        assert (sorted(shop.jobs.done), shop.jobs.waiting) == ([1, 2, 3], [4])


async def test_leases_are_renewed_while_the_last_jobs_finish() -> None:
    async with at_work(1, pace=Pace(1, 0.15, 60, 5)) as shop:
        await shop.jobs.until("1 in under_way")
        shop.stop.set()
        await shop.jobs.until("len(renewed) >= 3")


async def test_a_stop_does_not_wait_beyond_the_grace() -> None:
    async with at_work(1, pace=Pace(1, 30, 60, 0.1)) as shop:
        await shop.jobs.until("1 in under_way")
        began = time.monotonic()
        shop.stop.set()
        await shop.running
        assert time.monotonic() - began < 2
        assert shop.jobs.done == []


async def test_an_idle_one_stops_at_once() -> None:
    async with at_work() as shop:
        await shop.jobs.until("claims")
        began = time.monotonic()
        shop.stop.set()
        await shop.running
        assert time.monotonic() - began < 0.5


async def test_a_job_that_breaks_frees_its_seat_and_is_told_of() -> None:
    async with at_work(-1, 2, pace=Pace(1, 30, 60, 5)) as shop:
        shop.jobs.release.set()
        await shop.jobs.until("2 in done")
        assert [fact.event for fact in shop.facts] == ["work.abandoned"]


async def test_a_store_that_is_away_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("notifier.dispatch.dispatcher._STORE_PAUSE_S", 0.02)
    async with at_work() as shop:
        shop.jobs.away = True
        shop.jobs.waiting.append(1)
        shop.bell.ring()
        await shop.jobs.until("len(claims) >= 3")
        shop.jobs.away = False
        await shop.jobs.until("1 in under_way")
        assert {fact.event for fact in shop.facts} == {"store.away"}


async def test_any_other_error_ends_it_and_all_that_runs_beside_it(office: Office) -> None:
    """Else the process would go on to accept mail that nobody sends."""
    broken, sound = Jobs(fault=ZeroDivisionError()), Jobs()
    broken.able.set()
    sound.able.set()
    facts: list[Fact] = []
    pair = tuple(Dispatcher(jobs, PATIENT, Bell(), facts.append) for jobs in (broken, sound))
    janitor = Janitor(office.desk.store, RetentionSettings(), office.clock, facts.append)
    relays = Relays((), helo_name=None, observe=facts.append)
    dispatchers: Any = pair  # of numbers instead of mails
    store = office.desk.store
    still = Standstill(store, relays, office.clock)
    changed = asyncio.Event()
    delivery = Delivery(
        relays=relays,
        bells={},
        dispatchers=dispatchers,
        janitor=janitor,
        standstill=still,
        doorbell=Doorbell(store.database),
        orders=Orders(store, relays, changed.set),
        presence=Presence(
            store=store,
            relays=relays,
            now=office.clock,
            routes={},
            seats=lambda: (0, 0),
            changed=changed,
            started=introduced("own_" + "0" * 32, "worker", office.clock),
        ),
    )
    with pytest.raises(ExceptionGroup) as ended:
        await delivery.run(asyncio.Event())
    assert ended.group_contains(ZeroDivisionError)


async def test_a_mail_at_the_dot_is_finished_and_the_next_is_left(
    office: Office, server: ScriptedSmtp
) -> None:
    at_the_dot = asyncio.Event()
    rule = server.on(Step.DOT, Hold(at_the_dot))
    wing = wing_of(office, server.target(**QUICK), pace=Pace(1, 30, 60, 5))
    async with working(wing):
        first, second = await wing.send(), await wing.send()
        await bitten(rule)
        wing.stop.set()
        at_the_dot.set()
    assert (await office.status(first), await office.status(second)) == ("sent", "queued")


async def test_a_mail_cut_off_at_the_dot_by_the_stop_is_written_down_as_ambiguous(
    office: Office, server: ScriptedSmtp
) -> None:
    rule = server.on(Step.DOT, Hang(), times=1)
    pace = Pace(1, 30, 60, 0.05)
    async with working(wing_of(office, server.target(**QUICK), pace=pace)) as wing:
        sent = await wing.send()
        await bitten(rule)
    assert await office.status(sent) == "deferred"
    told = (await office.story(sent))[-1]
    assert (told.data["ambiguous"], told.data["attempt"]["phase"]) == (True, "dot")
    office.clock.move(60)
    async with working(wing_of(office, server.target(**QUICK))) as wing:
        await wing.steps(1)
    kinds = [event.type for event in await office.story(sent)]
    assert kinds[1:] == ["message.deferred", "message.sent"]


@pytest.mark.parametrize("step", [Step.CONNECT, Step.MAIL, Step.RCPT, Step.DATA])
async def test_a_mail_cut_off_before_the_dot_is_given_back_untouched(
    office: Office, server: ScriptedSmtp, step: Step
) -> None:
    rule = server.on(step, Hang(), times=1)
    pace = Pace(1, 30, 60, 0.05)
    async with working(wing_of(office, server.target(**QUICK), pace=pace)) as wing:
        sent = await wing.send()
        await bitten(rule)
    assert await office.status(sent) == "queued"
    async with working(wing_of(office, server.target(**QUICK))) as wing:
        await wing.steps(1)
    kinds = [event.type for event in await office.story(sent)]
    assert kinds[1:] == ["message.sent"]


async def test_mail_flows_again_after_the_store_was_away(
    office: Office, server: ScriptedSmtp, tmp_path: Path
) -> None:
    async with working(wing_of(office, server.target(**QUICK))) as wing:
        sent = await wing.office.accept()
        with store_away(tmp_path):
            wing.bell.ring()
            await wing.told("store.away")
        await wing.steps(1)
    assert await office.status(sent.notification_id) == "sent"
