"""One relay: its connections, its state, and one try of one mail."""

import asyncio
import re
import time
from dataclasses import dataclass
from typing import Final

from notifier.core.envelope import Envelope
from notifier.core.reply import LinkFailure, LinkFault, Outcome, Phase, Reply
from notifier.core.verdict import SEVERAL, Action, Verdict, refused_at_mail, verdict
from notifier.observe.facts import masked
from notifier.settings.relay import RelayTarget
from notifier.settings.sections import RelaySettings
from notifier.smtp.breaker import Breaker, State, Ticket
from notifier.smtp.client import Client
from notifier.smtp.parcel import Parcel
from notifier.smtp.pool import Pool
from notifier.smtp.transaction import GIVEN_UP, deliver
from notifier.smtp.trust import Trust
from notifier.smtp.wire import BLOCK_BYTES

_BEYOND_MAIL: Final = {Phase.RCPT, Phase.DATA, Phase.BODY, Phase.DOT}
_ADDRESS: Final = re.compile(r"[^\s<>()\"',;:]+@[^\s<>()\"',;:]+")


@dataclass(frozen=True, slots=True)
class Try:
    """How one relay dealt with one mail; `verdict` is the core's decision about it."""

    outcome: Outcome
    reached_mail: bool
    mail_refusals: int
    elapsed_ms: float

    @property
    def verdict(self) -> Verdict:
        """What it means."""
        return verdict(
            self.outcome, reached_mail=self.reached_mail, mail_refusals=self.mail_refusals
        )


class Relay:
    """Sends mails to one target over kept-open connections, unless the target has to rest."""

    def __init__(self, target: RelayTarget, helo_name: str | None, breaker: Breaker) -> None:
        trust = Trust(target)
        self.target = target
        self.breaker = breaker
        self.pool = Pool(target.limits, lambda lost: Client(target, trust, helo_name, lost))
        self._refused: set[Envelope] = set()
        self._refused_code: int | None = None

    async def send(self, parcel: Parcel) -> Try | None:
        """One try; None when the relay may not be tried now. CancelledError passes."""
        ticket = self.breaker.enter()
        if ticket is None:
            return None
        settled = False
        try:
            result = await self._in_seat(parcel, ticket)
            if result is not None and result.outcome is not GIVEN_UP:
                self._settle(ticket, result)
                settled = True
            return result
        finally:
            if not settled:
                self.breaker.abandoned(ticket)

    async def aclose(self) -> None:
        """Close all connections."""
        self.breaker.close()
        await self.pool.aclose()

    async def _in_seat(self, parcel: Parcel, ticket: Ticket) -> Try | None:
        async with self.pool.seats:
            # While waiting for the seat others may have found out that the relay is down.
            if not self.breaker.holds(ticket):
                return None
            started = time.perf_counter()  # uvloop's own time stands still within a turn
            client, outcome = await self._offer(parcel)
            return Try(
                outcome,
                client.mail_written,
                self._count_refusals(parcel.envelope, outcome),
                elapsed_ms=(time.perf_counter() - started) * 1000,
            )

    async def _offer(self, parcel: Parcel) -> tuple[Client, Outcome]:
        """Over a parked connection if there is one; over a fresh one if that was dead."""
        client = self.pool.take()
        if client is not None:
            outcome = await self._use(client, parcel)
            if not _was_stale(client, outcome):
                return client, outcome
        client = self.pool.new()
        return client, await self._use(client, parcel)

    async def _use(self, client: Client, parcel: Parcel) -> Outcome:
        """One mail over one connection, which is opened first if need be."""
        left_open = False
        try:
            # What a relay can hold up ends by its phase's own limit. Should anything else hang,
            # its lease would be renewed for ever.
            async with asyncio.timeout(deadline_s(self.target.limits, parcel.size_bytes)):
                if not client.is_connected:
                    failed = await client.open()
                    if failed is not None:
                        return failed
                client.mails += 1
                outcome = await deliver(client, parcel)
            left_open = True
            return outcome
        except TimeoutError:
            return client.failed(TimeoutError("longer than all phases together may take"))
        finally:
            if left_open:
                self.pool.give(client)
            else:
                self.pool.discard(client)

    def _count_refusals(self, envelope: Envelope, outcome: Outcome) -> int:
        """How many different mails in a row were refused at MAIL, with this one if it was.

        In a row: with one code, and with no mail between that got further than MAIL.
        """
        if refused_at_mail(outcome):
            assert isinstance(outcome, Reply)
            if outcome.code != self._refused_code:
                self._refused.clear()
                self._refused_code = outcome.code
            if len(self._refused) < SEVERAL:
                self._refused.add(envelope)
        elif outcome.phase in _BEYOND_MAIL:
            self._refused.clear()
        return len(self._refused)

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


def deadline_s(limits: RelaySettings, size_bytes: int) -> float:
    """The longest time a mail of so many bytes can take over one connection that is opened for it.

    Banner, EHLO twice, STARTTLS, AUTH in up to two steps, RSET, MAIL and RCPT each have the
    command's limit.
    """
    blocks = size_bytes // BLOCK_BYTES + 1
    opening = limits.connect_timeout_s + 6 * limits.command_timeout_s
    envelope = 3 * limits.command_timeout_s + limits.data_timeout_s
    return opening + envelope + blocks * limits.block_timeout_s + limits.dot_timeout_s


def describe(outcome: Outcome) -> str:
    """One line for an operator, with the addresses in it masked: it goes into logs."""
    if isinstance(outcome, LinkFailure):
        line = f"{outcome.phase.value}: {outcome.fault.value} ({outcome.detail})"
    else:
        codes = f"{outcome.code} {outcome.enhanced}" if outcome.enhanced else str(outcome.code)
        line = f"{outcome.phase.value}: {codes} {outcome.text}"
    return _ADDRESS.sub(lambda match: masked(match[0]), line)[:300]


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
