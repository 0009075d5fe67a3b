"""The real delivery wing in the machine's hands: workers that claim, hang, record, freeze, die."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal, cast

from notifier.core.backoff import BackoffPolicy
from notifier.core.clock import Clock
from notifier.core.message import Lane
from notifier.core.next_step import RetryRules
from notifier.core.room import Room
from notifier.dispatch.lane import Lease
from notifier.dispatch.mail_lane import MailLane, Tools
from notifier.observe.facts import Fact, LeaseLost
from notifier.smtp.relays import Relays
from notifier.store.outbox import FREE, Claimed
from notifier.store.standstill import SAY_PAUSED
from tests.model.book import HELD, MOST_ORPHANED, Book, Entry
from tests.model.ledger import Ledger, read_ledger
from tests.model.relay import CALL, CUT_OFF, GIVEN_UP, RESTS, Answer, Call, World
from tests.store.writes import lose_next_commits_answer
from tests.support.office import Office

ATTEMPTS = 4
LEASE_S = 30.0
PAUSE_STEP_S = 10
OnAmbiguous = Literal["retry", "hold"]
Doubt = Literal["none", "committed", "rolled back"]
"""Whether the connection breaks during the next commit, and what became of it."""


class ClockLease(Lease):
    """A lease on the clock that the machine moves."""

    def __init__(self, now: Clock, until: datetime) -> None:
        super().__init__(ends=0)
        self.now, self.until = now, until

    def lapsed(self) -> bool:
        return self.now() >= self.until


@dataclass(slots=True, eq=False)
class Job:
    """A message in a worker's hands."""

    claimed: Claimed
    lease: ClockLease
    entry: Entry
    call: Call
    task: "asyncio.Task[None]"


@dataclass(slots=True, eq=False)
class Worker:
    """A process that delivers; after a crash another one takes its place."""

    lane: MailLane
    owner: str
    jobs: list[Job] = field(default_factory=list)


@dataclass
class Crew:
    """Workers on one store, and the book that is kept of what they do."""

    office: Office
    on_ambiguous: OnAmbiguous
    book: Book = field(default_factory=Book)
    world: World = field(default_factory=World)
    facts: list[Fact] = field(default_factory=list)
    workers: list[Worker] = field(default_factory=list)
    dead: list[asyncio.Task[None]] = field(default_factory=list)

    def hire(self) -> Worker:
        desk = self.office.desk
        relays = cast("Relays", self.world)
        tools = Tools(desk.store, relays, desk.now, desk.new_id, lambda: 0.5, self.facts.append)
        rules = RetryRules(BackoffPolicy(30, 7200, ATTEMPTS), self.on_ambiguous)
        owner = desk.new_id.new("own")
        worker = Worker(MailLane(tools, "live", owner, rules, LEASE_S), owner)
        self.workers.append(worker)
        return worker

    @property
    def jobs(self) -> list[Job]:
        """All that is under way, in an order that does not depend on chance."""
        return [job for worker in self.workers for job in worker.jobs]

    async def ledger(self) -> Ledger:
        return await self.office.desk.store.read(read_ledger)

    def break_commit(self, doubt: Doubt) -> None:
        if doubt != "none":
            engine = self.office.desk.store.database.engine
            lose_next_commits_answer(engine, before=doubt == "rolled back")

    # What a worker does

    async def claim(self, worker: Worker, seats: int, doubt: Doubt = "none") -> None:
        """Take what is due, and work on it up to the point where a relay has to answer."""
        now, before = self.office.clock(), await self.ledger()
        # A look at the line is used again for some real milliseconds: here days may pass in them.
        worker.lane._turns.forget()
        self.break_commit(doubt)
        found, _ = await worker.lane.claim(Room(seats, seats, 2**40))
        due = {row.id for row in before.due(now)}
        assert {one.claim.id for one in found} <= due, "only what is due can be claimed"
        if doubt == "none":
            assert len(found) == min(seats, len(due)), "what is due is claimed"
            self._check_order(found, before.due(now))
        self._note_ghosts(worker, await self.ledger(), found, now)
        await self._work(worker, found, now)

    async def _work(self, worker: Worker, found: Sequence[Claimed], now: datetime) -> None:
        jobs = [self._begin(worker, one, now) for one in found]
        await asyncio.gather(*(_settled(job) for job in jobs))
        for job in jobs:
            if job.task.done():
                job.task.result()
                worker.jobs.remove(job)
                self._ended_unsent(job, now)

    async def pause_relays(self, worker: Worker, seconds: int) -> None:
        """Every relay is paused; then the worker sees to those whose life has ended meanwhile."""
        store, clock = self.office.desk.store, self.office.clock
        for step in range(0, seconds + 1, PAUSE_STEP_S):
            clock.move(PAUSE_STEP_S if step else 0)
            await store.write(SAY_PAUSED, ("live", clock()))
            self.book.say_paused(clock())
        now = clock()
        due = [self.book.entries[row.id] for row in (await self.ledger()).due(now)]
        over = [one for one in due if self.book.ends(one) <= now]
        worker.lane._turns.forget()
        found, _ = await worker.lane.claim_ended(Room(5, 5, 2**40))
        assert len(found) == min(5, len(over)), "what is over ends, paused or not"
        await self._work(worker, found, now)
        assert not [job for job in worker.jobs if job.claimed in found], "and is not sent"

    def _check_order(self, found: Sequence[Claimed], due: Sequence[Any]) -> None:
        taken = {one.claim.id for one in found}
        left = {row.lane for row in due if row.id not in taken}
        if Lane.URGENT in left:
            assert {one.lane for one in found} <= {Lane.URGENT}, "what is urgent goes first"

    def _note_ghosts(
        self, worker: Worker, after: Ledger, found: Sequence[Claimed], now: datetime
    ) -> None:
        """Claims whose commit broke off: theirs, but they do not know it."""
        known = {one.claim.id for one in found}
        for row in after.queue.values():
            entry = self.book.entries[row.id]
            if row.id in known or row.owner != worker.owner or row.claims == entry.claims:
                continue
            assert not entry.is_leased(now)
            entry.orphaned += entry.owner is not None
            entry.claims, entry.owner, entry.lease_ends = row.claims, row.owner, row.due_at

    def _begin(self, worker: Worker, claimed: Claimed, now: datetime) -> Job:
        entry = self.book.claim(claimed, now)
        lease = ClockLease(self.office.clock, now + timedelta(seconds=LEASE_S))
        call = Call()
        task = asyncio.create_task(_perform(worker.lane, claimed, lease, call))
        job = Job(claimed, lease, entry, call, task)
        worker.jobs.append(job)
        return job

    def _ended_unsent(self, job: Job, now: datetime) -> None:
        entry, orphaned = job.entry, job.claimed.orphaned
        entry.flags += orphaned
        if orphaned >= MOST_ORPHANED or (orphaned and self.on_ambiguous == "hold"):
            self.book.end(entry, HELD, entry.attempt, now)
        else:
            assert self.book.ends(entry) <= now, "nothing else keeps a mail from being sent"
            self.book.end(entry, "expired", entry.attempt, now)

    async def renew(self, worker: Worker) -> None:
        """Begin the leases anew that have not lapsed, as the dispatcher does."""
        held = [job for job in worker.jobs if not job.lease.lapsed()]
        if not held:
            return
        await worker.lane.renew([job.claimed for job in held])
        for job in held:
            job.lease.until = self.office.clock() + timedelta(seconds=LEASE_S)
            job.entry.lease_ends = job.lease.until

    async def answer(self, answers: Mapping[Job, Answer], doubt: Doubt, *, froze: bool) -> None:
        """Relays answer, and the workers record what that means.

        `froze`: they asked whether their lease still ran, froze, and went on after they thawed.
        """
        outcomes = {job: self._hear(job, answer, froze=froze) for job, answer in answers.items()}
        stands = {job: job.entry.is_fence(job.claimed.claim) for job in answers}
        lost = len(self._lost())
        self.break_commit(doubt)
        for job, outcome in outcomes.items():
            job.call.answer(outcome)
        await asyncio.gather(*(job.task for job in answers))
        for worker in self.workers:
            worker.jobs = [job for job in worker.jobs if job not in answers]
        self._check_told(outcomes, stands, len(self._lost()) - lost, doubt)
        for job, outcome in outcomes.items():
            self._record(job, outcome, stands=stands[job])

    def _check_told(
        self, outcomes: Mapping[Job, Answer], stands: Mapping[Job, bool], lost: int, doubt: Doubt
    ) -> None:
        """A worker is told when he comes too late, and only then.

        A repeated commit is known by its events; an outcome without any may be called late.
        """
        late = sum(not one for one in stands.values())
        mute = sum(
            outcomes[job] is GIVEN_UP or (outcomes[job] is RESTS and not job.claimed.orphaned)
            for job in outcomes
        )
        if doubt == "committed":
            assert lost <= late + mute
        else:
            assert lost == late

    def _hear(self, job: Job, answer: Answer, *, froze: bool) -> Answer:
        if answer.after_dot and not froze and job.call.is_given_up():
            return GIVEN_UP
        if answer.delivers:
            self.world.deliver(job.call)
        return answer

    def _lost(self) -> list[Fact]:
        return [fact for fact in self.facts if isinstance(fact, LeaseLost)]

    def _record(self, job: Job, answer: Answer, *, stands: bool) -> None:
        """What has to be in the books after it: a late outcome leaves its events alone."""
        entry, now = job.entry, self.office.clock()
        if answer is GIVEN_UP:
            if stands:
                entry.owner, entry.put_back_at = None, None
            return
        entry.flags += job.claimed.orphaned + (answer.ending == "doubt")
        if not stands:
            return
        tried = job.claimed.attempt + (answer.ending != "untouched")
        if answer.ending in {"sent", "bounced", "rejected"}:
            self.book.end(entry, answer.ending, tried, now)
        elif answer.ending == "doubt" and self.on_ambiguous == "hold":
            self.book.end(entry, HELD, tried, now)
        elif answer.ending != "untouched" and tried >= ATTEMPTS:
            self.book.end(entry, "failed", tried, now)
        else:
            self.book.put_back(entry, tried, now)

    # What is done to a worker

    async def crash(self, worker: Worker, *, taken: bool, freed: bool) -> None:
        """It dies with all that it has in hand. `taken`: those mails had just arrived.

        `freed`: the next start finds it dead and ends its leases; else they run out.
        """
        for job in worker.jobs:
            if taken:
                self.world.deliver(job.call)
            # Not cancelled: a process that is killed tidies nothing up.
            self.dead.append(job.task)
        self.workers.remove(worker)
        if freed:
            await self._free(worker)
        self.hire()

    async def stop(self, worker: Worker, *, at_the_dot: bool, taken: bool) -> None:
        """It is told to end, and what it has in hand is cut off, some behind the final dot."""
        jobs, worker.jobs = worker.jobs, []
        self.workers.remove(worker)
        stands = {job: job.entry.is_fence(job.claimed.claim) for job in jobs}
        beyond = {job for job in jobs if at_the_dot and not job.call.is_given_up()}
        for job in jobs:
            if job in beyond and taken:
                self.world.deliver(job.call)
            job.task.cancel()
        await asyncio.gather(*(job.task for job in jobs), return_exceptions=True)
        for job in jobs:
            if job in beyond:
                self._record(job, CUT_OFF, stands=stands[job])
            elif stands[job]:
                job.entry.owner, job.entry.put_back_at = None, None
        self.hire()

    async def _free(self, worker: Worker) -> None:
        now = self.office.clock()
        mine = [one for one in self.book.entries.values() if one.owner == worker.owner]
        leased = [one for one in mine if one.is_leased(now)]
        count = await self.office.desk.store.write(FREE, (worker.owner, now))
        assert count == len(leased), "all leases of the dead are ended"
        for one in leased:
            one.lease_ends = now

    async def lay_off(self) -> None:
        """Nobody works here any more."""
        tasks = [*self.dead, *(job.task for job in self.jobs)]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _perform(lane: MailLane, claimed: Claimed, lease: Lease, call: Call) -> None:
    CALL.set(call)
    await lane.perform(claimed, lease)


async def _settled(job: Job) -> None:
    """Returns when it waits for a relay, or is done without one."""
    begun = asyncio.create_task(job.call.begun.wait())
    waits: set[asyncio.Task[Any]] = {begun, job.task}
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    begun.cancel()
