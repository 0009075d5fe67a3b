"""One relay: its connections, its state, and one try of one mail."""

import asyncio
import math
import re
import time
from dataclasses import replace
from typing import Final

from notifier.core.envelope import Envelope
from notifier.core.reply import LinkFailure, Outcome, Phase, Reply
from notifier.core.verdict import SEVERAL, Action, refused_at_mail, verdict
from notifier.observe.facts import masked
from notifier.settings.relay import RelayTarget
from notifier.smtp.allowance import Allowance
from notifier.smtp.breaker import Breaker, RelayHealth, State
from notifier.smtp.client import Client
from notifier.smtp.courier import GIVEN_UP
from notifier.smtp.fleet import Fleet
from notifier.smtp.parcel import Parcel
from notifier.smtp.slip import Slip, Try
from notifier.smtp.throughput import Throughput
from notifier.smtp.trust import Trust

_AHEAD_S: Final = 2.0
_BEYOND_MAIL: Final = {Phase.RCPT, Phase.DATA, Phase.BODY, Phase.DOT}
_ADDRESS: Final = re.compile(r"[^\s<>()\"',;:]+@[^\s<>()\"',;:]+")


class Relay:
    """Sends mails to one target over kept-open connections, unless the target has to rest."""

    def __init__(
        self,
        target: RelayTarget,
        helo_name: str | None,
        breaker: Breaker,
        allowance: Allowance,
    ) -> None:
        trust = Trust(target)
        self.target = target
        self.breaker = breaker
        self.allowance = allowance
        self.fleet = Fleet(
            target.limits,
            allowance,
            make=lambda: Client(target, trust, helo_name),
            settle=self._settle,
            holds=lambda slip: breaker.holds(slip.ticket),
        )
        self._throughput = Throughput()
        self._refused: set[Envelope] = set()
        self._refused_code: int | None = None

    async def send(self, parcel: Parcel, *, urgent: bool = False) -> Try | None:
        """One try; None when the relay may not be tried now. CancelledError passes."""
        ticket = self.breaker.enter()
        if ticket is None:
            return None
        answer: asyncio.Future[Try | None] = asyncio.get_running_loop().create_future()
        slip = Slip(parcel, urgent, ticket, answer, time.perf_counter())
        self.fleet.post(slip)
        try:
            return await answer
        except asyncio.CancelledError:
            self.fleet.withdraw(slip)
            self.breaker.abandoned(ticket)
            raise

    @property
    def health(self) -> RelayHealth:
        """How it does."""
        fleet = self.fleet
        return replace(
            self.breaker.health,
            connections=fleet.connections,
            limit=fleet.capacity.now,
            waiting=len(fleet.line),
            under_way=fleet.under_way,
        )

    def room(self) -> int | None:
        """How many more mails may sensibly wait here while it is up; None: any number.

        With a rate, as many as leave in two seconds. That half of the room is free before more is
        asked for saves looking at the queue for each single mail.
        """
        rate = self.target.limits.rate_per_s
        if rate is None:
            return None
        most = max(1, math.ceil(rate * _AHEAD_S))
        free = most - len(self.fleet.line)
        return free if free * 2 >= most else 0

    def appetite(self) -> int:
        """How many more mails keep its connections busy for the next moments."""
        fleet = self.fleet
        enough = self._throughput.enough(fleet.capacity.now)
        return max(0, enough - len(fleet.line) - fleet.under_way)

    async def aclose(self) -> None:
        """Close all connections."""
        self.breaker.close()
        await self.fleet.aclose()

    def _settle(self, slip: Slip, outcome: Outcome) -> None:
        """A mail has its outcome: its sender is told, and the relay's state."""
        if slip.answer.done():
            return
        elapsed_ms = (time.perf_counter() - slip.started_at) * 1000
        refusals = self._count_refusals(slip.parcel.envelope, outcome)
        slip.answer.set_result(Try(outcome, slip.reached_mail, elapsed_ms, refusals))
        self._throughput.took()
        if outcome is GIVEN_UP:
            self.breaker.abandoned(slip.ticket)
            return
        decided = verdict(outcome, reached_mail=slip.reached_mail, mail_refusals=refusals)
        if not decided.relay_fault:
            self.breaker.succeeded(slip.ticket)
            return
        paused = decided.action is Action.RELAY_MISCONFIGURED
        state: State = "paused" if paused else "resting"
        # A connection that could not even be opened speaks for the whole relay, unless others
        # are open: then it may have been one too many.
        unopened = not slip.reached_mail and not self.fleet.is_at_work
        reason = describe(outcome)
        self.breaker.failed(slip.ticket, reason, state=state, at_once=paused or unopened)

    def _count_refusals(self, envelope: Envelope, outcome: Outcome) -> int:
        """How many different mails in a row were refused at MAIL, with this one if it was.

        In a row: with one code, and with no mail between that got further than MAIL.
        """
        if outcome.phase in _BEYOND_MAIL:
            self._refused.clear()
        elif refused_at_mail(outcome):
            assert isinstance(outcome, Reply)
            if outcome.code != self._refused_code:
                self._refused.clear()
                self._refused_code = outcome.code
            if len(self._refused) < SEVERAL:
                self._refused.add(envelope)
        return len(self._refused)


def describe(outcome: Outcome) -> str:
    """One line for an operator, with the addresses in it masked: it goes into logs."""
    if isinstance(outcome, LinkFailure):
        line = f"{outcome.phase.value}: {outcome.fault.value} ({outcome.detail})"
    else:
        codes = f"{outcome.code} {outcome.enhanced}" if outcome.enhanced else str(outcome.code)
        line = f"{outcome.phase.value}: {codes} {outcome.text}"
    return _ADDRESS.sub(lambda match: masked(match[0]), line)[:300]
