"""The lane of mails: claimed from the outbox, sent over a relay, recorded with what it said."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from notifier.core.clock import Clock
from notifier.core.errors import Misconfigured, Unavailable
from notifier.core.ids import IdSource
from notifier.core.message import Lane, Step
from notifier.core.next_step import NextStep, RetryRules, Tried, next_step
from notifier.core.reply import LinkFailure, LinkFault, Phase
from notifier.core.room import Room, Weight
from notifier.core.route import Route
from notifier.dispatch.lane import Grip, Lease
from notifier.dispatch.story import StepTaken, event_of, fact_of, orphan_event
from notifier.observe.facts import ClaimLost, ContentUnreadable, LeaseLost, Observer
from notifier.smtp.relays import Attempt, Relays
from notifier.store.claiming import CLAIM, ClaimRequest
from notifier.store.expiry import over
from notifier.store.outbox import RELEASE, RENEW, Claimed, Release, Renewal
from notifier.store.outcomes import RECORD, Outcome
from notifier.store.store import Store
from notifier.store.turns import Turns, next_due

MOST_ORPHANED: Final = 5
"""Claims in a row without an outcome after which a message is set aside: it may be what kills
the process that sends it."""

_RECORD_PAUSE_S: Final = 0.5
_UNKNOWN_RELAY: Final = "unknown"
_LONGEST_S: Final = 3600.0


def _an_hour(_size_bytes: int) -> float:
    return _LONGEST_S


@dataclass(frozen=True, slots=True)
class Tools:
    """What a lane works with. `jitter()` gives numbers in [0, 1). `longest_s(size_bytes)` is how
    long a mail can be under way unless something hangs.
    """

    store: Store
    relays: Relays
    now: Clock
    new_id: IdSource
    jitter: Callable[[], float]
    observe: Observer
    longest_s: Callable[[int], float] = _an_hour


class _Passage:
    """One mail on its way, as far as it matters to whoever has to cut it off."""

    def __init__(self, lease: Lease) -> None:
        self.at_the_dot = self.given_up = False
        self._lease = lease

    def abort(self) -> bool:
        """Asked right before the final dot, which is written at once unless this is True."""
        self.given_up = self._lease.lapsed()
        self.at_the_dot = not self.given_up
        return self.given_up


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
        self._turns = Turns()
        self._captures_itself = route == "test" and not tools.relays.serves(route)

    def is_usable(self) -> bool:
        """Whether some relay of the route may be tried."""
        return self._captures_itself or self._tools.relays.is_usable(self._route)

    async def usable(self) -> None:
        """Return when some relay of the route may be tried."""
        await self._tools.relays.usable(self._route)

    async def claim(self, room: Room) -> tuple[Sequence[Claimed], bool]:
        """Due messages of the route."""
        if not self._captures_itself:
            room = room.limited(self._tools.relays.room(self._route))
            appetite = self._tools.relays.appetite(self._route)
            room = room if appetite is None else room.with_plain(appetite)
        catch = await self._tools.store.write(CLAIM, self._request(room))
        return catch.mails, catch.more

    async def claim_ended(self, room: Room) -> tuple[Sequence[Claimed], float | None]:
        """Messages whose life has ended while no relay may be tried."""
        now = self._tools.now()
        found = await self._tools.store.read(over, self._route, now, room.seats)
        next_s = None if found.next_at is None else (found.next_at - now).total_seconds()
        if not found.ids:
            return (), next_s
        # They are not sent: nothing holds them back but their number.
        all_of_them = Room(room.seats, room.seats, room.size_bytes, room.alone)
        request = replace(self._request(all_of_them), only=found.ids)
        catch = await self._tools.store.write(CLAIM, request)
        return catch.mails, next_s

    def _request(self, room: Room) -> ClaimRequest:
        now = self._tools.now()
        return ClaimRequest(self._owner, self._route, room, now, now + self._lease, self._turns)

    def weight(self, job: Claimed) -> Weight:
        """Its bytes, and whether it is urgent."""
        return Weight(job.lane is Lane.URGENT, job.size_bytes)

    def longest_s(self, job: Claimed) -> float:
        """By the relays' time limits."""
        return self._tools.longest_s(job.size_bytes)

    async def renew(self, jobs: Sequence[Claimed]) -> Sequence[Grip]:
        """Begin these leases anew."""
        ids = tuple(job.claim.id for job in jobs)
        until = self._tools.now() + self._lease
        renewed = await self._tools.store.write(RENEW, Renewal(self._owner, ids, until))
        return [
            Grip.RENEWED if one in renewed.ids else Grip.LOST if one in renewed.lost else Grip.KEPT
            for one in ids
        ]

    async def due_in_s(self) -> float | None:
        """Seconds until the next message of the route is due."""
        due_at = await self._tools.store.read(next_due, self._route)
        return None if due_at is None else (due_at - self._tools.now()).total_seconds()

    async def perform(self, job: Claimed, lease: Lease) -> None:
        """Send one message, unless it should not be sent any more, and record it."""
        content = self._content(job)
        step = self._without_sending(job, content) or await self._sent(job, content, lease)
        if step is None:
            return
        lease.writing = True
        stood = await self._record(self._outcome(job, step))
        if not stood:
            self._tools.observe(LeaseLost(job.claim.id))
        if job.orphaned:
            self._tools.observe(ClaimLost(job.claim.id, job.orphaned))
        if step.happened:
            self._tools.observe(fact_of(step, job))

    async def _sent(self, job: Claimed, content: bytes, lease: Lease) -> StepTaken | None:
        """What became of a try. None: it was broken off before the dot, and the mail given back."""
        passage = _Passage(lease)
        try:
            step = await self._send(job, content, passage)
        except asyncio.CancelledError:
            lease.writing = True
            if passage.at_the_dot:
                return self._cut_off(job)
            await self._give_back(job, counted=lease.hung)
            return None
        if not passage.given_up:
            return step
        # Not the relay's doing: no try is used up, and nobody has to wait.
        if not await self._give_back(job, counted=False):
            self._tools.observe(LeaseLost(job.claim.id))
        return None

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
        if job.expires_at <= self._tools.now():
            return _ending(job, Step.LIFE_ENDED, "life_ended")
        if not content:
            return _ending(job, Step.SET_ASIDE, "bytes_erased" if not job.body else "unreadable")
        if self._captures_itself:
            return _ending(job, Step.CAPTURED, "no_capture_server")
        return None

    async def _send(self, job: Claimed, content: bytes, passage: _Passage) -> StepTaken:
        attempt = await self._tools.relays.send(
            self._route,
            job.envelope,
            content,
            urgent=job.lane is Lane.URGENT,
            abort=passage.abort,
        )
        return self._judged(job, attempt)

    def _cut_off(self, job: Claimed) -> StepTaken:
        """The final dot was written, and nobody stayed to hear the answer."""
        failure = LinkFailure(Phase.DOT, LinkFault.TIMEOUT, "stopped before the answer came")
        return self._judged(job, Attempt(_UNKNOWN_RELAY, False, failure, True, 0.0, None))

    def _judged(self, job: Claimed, attempt: Attempt) -> StepTaken:
        judged = attempt.verdict
        tried = Tried(job.attempt, self._tools.now(), job.expires_at, attempt.captures)
        following = next_step(judged, tried, self._rules, self._tools.jitter())
        return StepTaken(following, judged.reason, attempt, judged)

    async def _give_back(self, job: Claimed, *, counted: bool) -> bool:
        """Nothing was delivered. `counted`: its claim is one without an outcome all the same.

        False: it was somebody else's already.
        """
        release = Release(job.claim, self._tools.now(), counted)
        # A store that is away now frees it by its lease.
        with suppress(Unavailable):
            return await self._tools.store.write(RELEASE, release)
        return True

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
            sealed=job.sealed,
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
