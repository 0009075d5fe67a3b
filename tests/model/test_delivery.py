"""Messages through everything that can happen to them, in any order, with a second set of books.

Hypothesis chooses what callers, workers, relays, clock and janitor do. Everything below them is
real: the way in, the store on each of the two databases, the lane of mails, retention. After each
step the store has to hold what the book says, and the promises have to stand. To look longer:
`NOTIFIER_TEST_MODEL_EXAMPLES=2000 python3 run.py test tests/model`.
"""

import asyncio
import os
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from notifier.dispatch.janitor import Janitor
from notifier.settings.sections import DatabaseSettings, RetentionSettings
from tests.model.book import HELD, PENDING, Entry
from tests.model.callers import Callers, Wish
from tests.model.crew import ATTEMPTS, LEASE_S, Crew, Doubt, OnAmbiguous, Worker
from tests.model.ledger import Ledger, wipe
from tests.model.operator import Operator
from tests.model.relay import ANSWERS
from tests.support.office import Office, open_office

T = TypeVar("T")

KEEP = RetentionSettings(bytes_s=3600, notifications_s=50_000, idempotency_s=7200)
WORKERS = 2
ANY = st.integers(0, 1000)
"""Which one of those that there are."""

KEYS = st.sampled_from(["k1", "k2"])
WISHES = st.builds(
    Wish,
    recipients=st.integers(1, 3),
    stream=st.sampled_from(["urgent", "transactional", "bulk"]),
    project=st.sampled_from(["default", "other"]),
    secret=st.booleans(),
    begins_in_s=st.sampled_from([0, 0, 0, 60, 7200]),
    life_s=st.sampled_from([None, None, 25, 600, 90_000]),
)
DOUBTS: st.SearchStrategy[Doubt] = st.sampled_from(["none"] * 12 + ["committed", "rolled back"])
BREAKS: st.SearchStrategy[Doubt] = st.sampled_from(["none"] * 5 + ["committed", "rolled back"])
TICKS = st.sampled_from([1, 20, 300, 3600, 90_000])


class Delivery(RuleBasedStateMachine):
    """One example: a wiped store, two workers, and whatever happens to them."""

    office: Office
    run: Callable[[Coroutine[Any, Any, Any]], Any]

    def __init__(self) -> None:
        super().__init__()
        wipe(self.office.desk.store.database)
        self.crew = Crew(self.office, "retry")
        self.callers, self.operator = Callers(self.crew), Operator(self.crew)
        for _ in range(WORKERS):
            self.crew.hire()
        self.last: Ledger = self.run(self.crew.ledger())
        self.stands = False

    def teardown(self) -> None:
        """What is left comes to its end: nothing is stuck, and every doubt has been told."""
        try:
            if self.stands:
                self.run(self._work_off())
                self.the_store_holds_what_the_book_says()
                assert {entry.status for entry in self.entries} <= self._ends()
        finally:
            self.run(self.crew.lay_off())

    @property
    def entries(self) -> list[Entry]:
        return list(self.crew.book.entries.values())

    def _ends(self) -> set[str]:
        return {"sent", "bounced", "rejected", "failed", "expired", "canceled", HELD}

    async def _work_off(self) -> None:
        crew = self.crew
        await crew.answer(dict.fromkeys(crew.jobs, ANSWERS["takes it"]), "none", froze=False)
        while rows := [*(await crew.ledger()).queue.values()]:
            last = max(row.due_at for row in rows)
            self.office.clock.at = max(last, self.office.clock.at) + timedelta(seconds=1)
            await crew.claim(crew.workers[0], len(rows))
            await crew.answer(dict.fromkeys(crew.jobs, ANSWERS["takes it"]), "none", froze=False)

    # Callers

    @initialize(on_ambiguous=st.sampled_from(["retry", "retry", "hold"]))
    def choose_policy(self, on_ambiguous: OnAmbiguous) -> None:
        self.crew.on_ambiguous = on_ambiguous
        self.crew.workers.clear()
        for _ in range(WORKERS):
            self.crew.hire()

    @rule(wish=WISHES, shared=st.booleans(), doubt=DOUBTS)
    def submit(self, wish: Wish, shared: bool, doubt: Doubt) -> None:
        submit = self.callers.submit_shared if shared else self.callers.submit
        self.run(submit(wish, doubt))

    @rule(wish=WISHES, key=KEYS, body=st.integers(0, 1), twin=st.booleans())
    def submit_with_key(self, wish: Wish, key: str, body: int, twin: bool) -> None:
        if twin and key not in self.crew.book.keys:
            self.run(self.callers.submit_twins(wish, key))
        else:
            self.run(self.callers.submit_once(wish, key, body))

    # Workers and relays

    @rule(which=ANY, seats=st.integers(1, 5), doubt=DOUBTS)
    def claim(self, which: int, seats: int, doubt: Doubt) -> None:
        self.run(self.crew.claim(self._worker(which), seats, doubt))

    @rule(which=ANY)
    def a_worker_renews(self, which: int) -> None:
        """As its dispatcher does every third of a lease."""
        self.office.clock.move(LEASE_S / 3)
        self.run(self.crew.renew(self._worker(which)))

    @rule(which=ANY, answer=st.sampled_from(sorted(ANSWERS)), doubt=BREAKS, froze=st.booleans())
    def a_relay_answers(self, which: int, answer: str, doubt: Doubt, froze: bool) -> None:
        if job := self._one_of(self.crew.jobs, which):
            self.run(self.crew.answer({job: ANSWERS[answer]}, doubt, froze=froze))

    @rule(answers=st.lists(st.sampled_from(sorted(ANSWERS)), min_size=1, max_size=5))
    def relays_answer_everybody_at_once(self, answers: list[str]) -> None:
        jobs = self.crew.jobs
        chosen = {job: ANSWERS[answers[n % len(answers)]] for n, job in enumerate(jobs)}
        self.run(self.crew.answer(chosen, "none", froze=False))

    @rule(which=ANY, taken=st.booleans(), freed=st.booleans())
    def a_worker_crashes(self, which: int, taken: bool, freed: bool) -> None:
        self.run(self.crew.crash(self._worker(which), taken=taken, freed=freed))

    @rule(which=ANY, at_the_dot=st.booleans(), taken=st.booleans())
    def a_worker_stops(self, which: int, at_the_dot: bool, taken: bool) -> None:
        self.run(self.crew.stop(self._worker(which), at_the_dot=at_the_dot, taken=taken))

    @rule(which=ANY, seats=st.sampled_from([1, 20]))
    def leases_lapse_and_somebody_takes_over(self, which: int, seats: int) -> None:
        """All workers freeze, and one that thaws claims before the others go on."""
        self.office.clock.move(LEASE_S)
        self.run(self.crew.claim(self._worker(which), seats))

    # The operator

    @rule(which=ANY)
    def the_operator_retries(self, which: int) -> None:
        if entry := self._one_of(self.entries, which):
            self.run(self.operator.retry(entry))

    @rule(which=ANY)
    def the_operator_cancels(self, which: int) -> None:
        if entry := self._one_of(self.entries, which):
            self.run(self.operator.cancel(entry))

    # Time

    @rule(seconds=TICKS)
    def time_passes(self, seconds: float) -> None:
        self.office.clock.move(seconds)

    @rule(which=ANY, seconds=st.sampled_from([10, 50, 200]))
    def every_relay_is_paused(self, which: int, seconds: int) -> None:
        self.run(self.crew.pause_relays(self._worker(which), seconds))

    @rule(after_s=st.sampled_from([0, 4000, 60_000]))
    def retention_sweeps(self, after_s: float) -> None:
        self.office.clock.move(after_s)
        desk, book, now = self.office.desk, self.crew.book, self.office.clock()
        janitor = Janitor(desk.store, KEEP, self.office.clock, self.crew.facts.append)
        self.run(janitor.tidy_up(asyncio.Event()))
        book.erase_bytes(now - timedelta(seconds=KEEP.bytes_s))
        book.forget(now - timedelta(seconds=KEEP.notifications_s))
        book.forget_keys(now - timedelta(seconds=KEEP.idempotency_s))

    # What has to be true after each step

    @invariant()
    def the_store_holds_what_the_book_says(self) -> None:
        self.stands = False
        now = self.run(self.crew.ledger())
        self._rows_are_those_of_the_book(now)
        self._accepted_is_all_that_was_and_is(now)
        self._what_arrived_twice_is_flagged(now)
        self._what_is_final_stays_so(now)
        self.last, self.stands = now, True

    def _rows_are_those_of_the_book(self, now: Ledger) -> None:
        entries = self.crew.book.entries
        assert set(now.messages) == set(entries)
        assert set(now.queue) == {one.id for one in self.entries if one.status == PENDING}
        for entry in self.entries:
            row, waits = now.messages[entry.id], now.queue.get(entry.id)
            assert row.status == entry.status
            assert now.erased[entry.id] == entry.erased, "bytes go at their time, not before"
            assert (row.final_at is not None) == entry.is_final
            if waits is None:
                assert row.attempts == entry.attempt <= ATTEMPTS
            else:
                fence = (waits.owner, waits.claims, waits.orphaned, waits.attempt)
                assert fence == (entry.owner, entry.claims, entry.orphaned, entry.attempt)
                assert entry.attempt < ATTEMPTS
                ends = self.crew.book.ends(entry)
                assert waits.expires_at == entry.expires_at
                assert waits.standstill_us == in_us(entry.stood_before)
                assert entry.may_be_due(waits.due_at, self.office.clock(), ends)

    def _accepted_is_all_that_was_and_is(self, now: Ledger) -> None:
        assert self.crew.book.accepted == len(now.messages) + now.tally.total()
        assert now.tally == self.crew.book.tally
        assert set(now.keys) == set(self.crew.book.keys)

    def _what_arrived_twice_is_flagged(self, now: Ledger) -> None:
        world = self.crew.world
        for entry in self.entries:
            arrived = world.delivered[entry.rcpt_to]
            assert now.flags[entry.id] == entry.flags
            if entry.status != "canceled":
                assert arrived <= 1 + entry.flags + entry.unsaid, "each one too many is flagged"
            else:
                assert not arrived or entry.flags, "what arrived although it was called off too"
            assert arrived or entry.status != "sent", "what is called sent has arrived"
            assert len(world.contents.get(entry.rcpt_to, ())) <= 1, "it is the same mail each time"

    def _what_is_final_stays_so(self, now: Ledger) -> None:
        for id_, row in self.last.messages.items():
            was_final = row.status not in {PENDING, HELD} and id_ in now.messages
            if was_final and id_ not in self.operator.retried:
                assert now.messages[id_] == row
        self.operator.retried.clear()

    def _worker(self, which: int) -> Worker:
        return self.crew.workers[which % len(self.crew.workers)]

    def _one_of(self, those: Sequence[T], which: int) -> T | None:
        """None: there is none. What hypothesis may choose must not depend on what there is."""
        return those[which % len(those)] if those else None


def in_us(time: timedelta | None) -> int | None:
    return None if time is None else time // timedelta(microseconds=1)


def how_long() -> settings:
    """A fixed set of examples in CI; elsewhere new ones each time, and how to see them again."""
    return settings(
        max_examples=int(os.environ.get("NOTIFIER_TEST_MODEL_EXAMPLES", "40")),
        stateful_step_count=40,
        deadline=None,
        derandomize="CI" in os.environ,
        print_blob=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


@pytest.mark.timeout(3600)
def test_whatever_happens_the_promises_stand(database: DatabaseSettings, tmp_path: Path) -> None:
    one_writer = database.model_copy(update={"writers": 1})
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        office = runner.run(stack.enter_async_context(open_office(one_writer, tmp_path)))
        given = {"office": office, "run": staticmethod(runner.run)}
        try:
            run_state_machine_as_test(type("Machine", (Delivery,), given), settings=how_long())
        finally:
            runner.run(stack.aclose())
