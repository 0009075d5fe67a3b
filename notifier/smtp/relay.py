"""One relay: its connections, its state, and one try of one mail."""

import time
from dataclasses import dataclass

from notifier.core.reply import LinkFailure, LinkFault, Outcome, Phase, Reply
from notifier.core.verdict import Action, Verdict, concerns_sender, verdict
from notifier.settings.relay import RelayTarget
from notifier.smtp.breaker import Breaker, State, Ticket
from notifier.smtp.client import Client
from notifier.smtp.parcel import Parcel
from notifier.smtp.pool import Pool
from notifier.smtp.transaction import deliver
from notifier.smtp.trust import Trust
from notifier.smtp.wire import BLOCK_BYTES


@dataclass(frozen=True, slots=True)
class Try:
    """How one relay dealt with one mail; `verdict` is the core's decision about it."""

    outcome: Outcome
    reached_mail: bool
    sender_refusals: int
    elapsed_ms: float

    @property
    def verdict(self) -> Verdict:
        """What it means."""
        return verdict(
            self.outcome, reached_mail=self.reached_mail, sender_refusals=self.sender_refusals
        )


class Relay:
    """Sends mails to one target over kept-open connections, unless the target has to rest."""

    def __init__(self, target: RelayTarget, helo_name: str | None, breaker: Breaker) -> None:
        trust = Trust(target)
        self.target = target
        self.breaker = breaker
        self.pool = Pool(target.limits, lambda lost: Client(target, trust, helo_name, lost))
        self._sender_refusals = 0

    async def send(self, parcel: Parcel) -> Try | None:
        """One try; None when the relay may not be tried now. CancelledError passes."""
        ticket = self.breaker.enter()
        if ticket is None:
            return None
        settled = False
        try:
            started = time.perf_counter()  # uvloop's own time stands still within a turn
            tried = await self._in_seat(parcel, ticket)
            if tried is None:
                return None
            outcome, reached_mail = tried
            refusals = self._count_refusals(outcome, reached_mail=reached_mail)
            elapsed_ms = (time.perf_counter() - started) * 1000
            result = Try(outcome, reached_mail, refusals, elapsed_ms)
            self._settle(ticket, result)
            settled = True
            return result
        finally:
            if not settled:
                self.breaker.abandoned(ticket)

    def deadline_s(self, size_bytes: int) -> float:
        """The longest time one try can take, from the time limits of its phases.

        Two connections may be opened (a parked one may be dead): banner, EHLO twice, STARTTLS,
        AUTH in up to two steps, RSET, MAIL and RCPT each have the command's limit.
        """
        limits = self.target.limits
        blocks = size_bytes // BLOCK_BYTES + 1
        opening = limits.connect_timeout_s + 6 * limits.command_timeout_s
        envelope = 3 * limits.command_timeout_s + limits.data_timeout_s
        return opening + 2 * envelope + blocks * limits.block_timeout_s + limits.dot_timeout_s

    async def aclose(self) -> None:
        """Close all connections."""
        self.breaker.close()
        await self.pool.aclose()

    async def _in_seat(self, parcel: Parcel, ticket: Ticket) -> tuple[Outcome, bool] | None:
        async with self.pool.seats:
            # While waiting for the seat others may have found out that the relay is down.
            if not self.breaker.holds(ticket):
                return None
            client = self.pool.take()
            if client is not None:
                outcome = await self._use(client, parcel)
                if not _was_stale(client, outcome):
                    return outcome, client.mail_written
            client = self.pool.new()
            outcome = await self._use(client, parcel)
            return outcome, client.mail_written

    async def _use(self, client: Client, parcel: Parcel) -> Outcome:
        """One mail over one connection, which is opened first if need be."""
        left_open = False
        try:
            if not client.is_connected:
                failed = await client.open()
                if failed is not None:
                    return failed
            client.mails += 1
            outcome = await deliver(client, parcel)
            left_open = True
            return outcome
        finally:
            if left_open:
                self.pool.give(client)
            else:
                self.pool.discard(client)

    def _count_refusals(self, outcome: Outcome, *, reached_mail: bool) -> int:
        """How many mails in a row had their sender refused here, with this one."""
        if concerns_sender(outcome):
            self._sender_refusals += 1
        elif reached_mail and outcome.phase is not Phase.MAIL:
            self._sender_refusals = 0  # this mail's sender was taken
        return max(self._sender_refusals, 1)

    def _settle(self, ticket: Ticket, result: Try) -> None:
        decided = result.verdict
        if not decided.relay_fault:
            self.breaker.succeeded(ticket)
            return
        paused = decided.action is Action.RELAY_MISCONFIGURED
        state: State = "paused" if paused else "resting"
        # A connection that could not even be opened speaks for the whole relay, unless others
        # are open: then it may have been one too many.
        unopened = not result.reached_mail and not self.pool.has_open
        reason = describe(result.outcome)
        self.breaker.failed(ticket, reason, state=state, at_once=paused or unopened)


def describe(outcome: Outcome) -> str:
    """One line for an operator."""
    if isinstance(outcome, LinkFailure):
        return f"{outcome.phase.value}: {outcome.fault.value} ({outcome.detail})"
    codes = f"{outcome.code} {outcome.enhanced}" if outcome.enhanced else str(outcome.code)
    return f"{outcome.phase.value}: {codes} {outcome.text}"[:300]


def _was_stale(client: Client, outcome: Outcome) -> bool:
    """Whether a reused connection turned out to be dead before the relay looked at this mail:
    then nothing was tried, and a fresh one may be.
    """
    if not client.mail_written:
        # Nothing was said of this mail, so at most the RSET before it failed; a mail that this
        # relay cannot be offered has its answer.
        return not client.is_connected
    if outcome.phase is not Phase.MAIL:
        return False
    if isinstance(outcome, Reply):
        return outcome.code == 421
    return outcome.fault is LinkFault.DROPPED
