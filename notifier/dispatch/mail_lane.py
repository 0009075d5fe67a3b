"""The lane of mails: claimed from the outbox, sent over a relay, recorded with what it said."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from notifier.core.clock import Clock
from notifier.core.errors import Misconfigured, Unavailable
from notifier.core.ids import IdSource
from notifier.core.message import Step
from notifier.core.next_step import NextStep, RetryRules, Tried, next_step
from notifier.core.route import Route
from notifier.dispatch.dispatcher import Lease
from notifier.dispatch.story import StepTaken, event_of, fact_of, orphan_event
from notifier.observe.facts import ContentUnreadable, LeaseLost, Observer
from notifier.smtp.relays import Relays
from notifier.store.outbox import CLAIM, RENEW, Claimed, ClaimRequest, Renewal, next_due
from notifier.store.outcomes import RECORD, Outcome
from notifier.store.store import Store

MOST_ORPHANED: Final = 5
"""Claims in a row without an outcome after which a message is set aside: it may be what kills
the process that sends it."""

_RECORD_PAUSE_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class Tools:
    """What a lane works with. `jitter()` gives numbers in [0, 1)."""

    store: Store
    relays: Relays
    now: Clock
    new_id: IdSource
    jitter: Callable[[], float]
    observe: Observer


class MailLane:
    """One route's mail. `owner` is this process's name on its leases."""

    def __init__(
        self, tools: Tools, route: Route, owner: str, rules: RetryRules, lease_s: float
    ) -> None:
        self._tools = tools
        self._route: Route = route
        self._owner = owner
        self._rules = rules
        self._lease = timedelta(seconds=lease_s)
        self._captures_itself = route == "test" and not tools.relays.serves(route)

    def is_usable(self) -> bool:
        """Whether some relay of the route may be tried."""
        return self._captures_itself or self._tools.relays.is_usable(self._route)

    async def usable(self) -> None:
        """Return when some relay of the route may be tried."""
        await self._tools.relays.usable(self._route)

    async def claim(self, seats: int) -> Sequence[Claimed]:
        """Due messages of the route."""
        now = self._tools.now()
        request = ClaimRequest(self._owner, self._route, seats, now, now + self._lease)
        return await self._tools.store.write(CLAIM, request)

    async def renew(self, jobs: Sequence[Claimed]) -> None:
        """Begin these leases anew."""
        ids = tuple(job.claim.id for job in jobs)
        until = self._tools.now() + self._lease
        await self._tools.store.write(RENEW, Renewal(self._owner, ids, until))

    async def due_in_s(self) -> float | None:
        """Seconds until the next message of the route is due."""
        due_at = await self._tools.store.read(next_due, self._route)
        return None if due_at is None else (due_at - self._tools.now()).total_seconds()

    async def perform(self, job: Claimed, lease: Lease) -> None:
        """Send one message, unless it should not be sent any more, and record it."""
        content = self._content(job)
        step = self._without_sending(job, content)
        if step is None:
            step = await self._send(job, content, lease)
        stood = await self._record(self._outcome(job, step))
        if not stood:
            self._tools.observe(LeaseLost(job.claim.id))
        if step.happened:
            self._tools.observe(fact_of(step, job))

    def _content(self, job: Claimed) -> bytes:
        """The mail's bytes; empty when they cannot be had."""
        if job.body is None or not job.sealed:
            return job.body or b""
        try:
            return self._tools.store.seal.unseal(job.body)
        except Misconfigured as error:
            self._tools.observe(ContentUnreadable(job.claim.id, error.detail))
            return b""

    def _without_sending(self, job: Claimed, content: bytes) -> StepTaken | None:
        """The step of a message that must not be tried; None: try it."""
        if job.orphaned >= MOST_ORPHANED:
            return _ending(job, Step.SET_ASIDE, "claimed_without_outcome")
        if job.orphaned and self._rules.on_ambiguous == "hold":
            return _ending(job, Step.SET_ASIDE, "outcome_unknown")
        if not content:
            return _ending(job, Step.SET_ASIDE, "bytes_erased" if not job.body else "unreadable")
        if job.expires_at <= self._tools.now():
            return _ending(job, Step.LIFE_ENDED, "life_ended")
        if self._captures_itself:
            return _ending(job, Step.CAPTURED, "no_capture_server")
        return None

    async def _send(self, job: Claimed, content: bytes, lease: Lease) -> StepTaken:
        attempt = await self._tools.relays.send(
            self._route, job.envelope, content, abort=lease.lapsed
        )
        judged = attempt.verdict
        tried = Tried(job.attempt, self._tools.now(), job.expires_at, attempt.captures)
        following = next_step(judged, tried, self._rules, self._tools.jitter())
        return StepTaken(following, judged.reason, attempt, judged)

    def _outcome(self, job: Claimed, step: StepTaken) -> Outcome:
        at = self._tools.now()
        events = []
        if step.happened:
            of = self._rules.backoff.attempts
            events.append(event_of(step, job, self._new_event(), at, of))
        if job.orphaned:
            events.insert(0, orphan_event(job, self._new_event(), at))
        return Outcome(
            claim=job.claim,
            at=at,
            step=step.next.step,
            due_at=step.next.due_at,
            attempt=step.next.attempt,
            events=tuple(events),
            relay=step.attempt.relay if step.attempt else None,
            queue_id=step.attempt.queue_id if step.attempt else None,
        )

    async def _record(self, outcome: Outcome) -> bool:
        """Write it down, however long the store is away. False: it came too late.

        Also after the lease: nobody could claim the message from a store that is away, and if
        somebody did meanwhile, the fence says so.
        """
        while True:
            try:
                return await self._tools.store.write(RECORD, outcome)
            except Unavailable:
                await asyncio.sleep(_RECORD_PAUSE_S)

    def _new_event(self) -> str:
        return self._tools.new_id.new("evt")


def _ending(job: Claimed, step: Step, reason: str) -> StepTaken:
    return StepTaken(NextStep(step, None, job.attempt), reason)
