"""All relays of this process: which may be tried for a mail, in which order, and how they do."""

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from notifier.core.clock import Clock
from notifier.core.envelope import Envelope
from notifier.core.reply import LinkFailure, LinkFault, Outcome, Phase
from notifier.core.route import Route
from notifier.core.verdict import Action, Verdict, verdict
from notifier.observe.facts import Observer
from notifier.settings.relay import RelayTarget
from notifier.smtp.allowance import Allowance, Grants, OwnRates
from notifier.smtp.breaker import Breaker, RelayHealth
from notifier.smtp.helo import checked_name
from notifier.smtp.parcel import pack
from notifier.smtp.relay import Relay
from notifier.smtp.replies import queue_id_of
from notifier.smtp.slip import Try

NO_RELAY: Final = "none"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try of one envelope at one relay.

    `captures`: the relay is a capture server. `reached_mail`: MAIL was written. `queue_id` is
    the relay's own name for a mail that it took, at most 200 characters. `mail_refusals`: so many
    different mails in a row, with this one, were refused there at MAIL; None: not counted.
    """

    relay: str
    captures: bool
    outcome: Outcome
    reached_mail: bool
    elapsed_ms: float
    queue_id: str | None
    mail_refusals: int | None = None

    @property
    def verdict(self) -> Verdict:
        """What the attempt means for message and relay."""
        return verdict(
            self.outcome, reached_mail=self.reached_mail, mail_refusals=self.mail_refusals
        )


class Relays:
    """Sends each mail to the first relay of its route that can take it.

    Create it within the event loop that uses it. Raises Misconfigured for a `helo_name` that
    cannot be one.
    """

    def __init__(
        self,
        targets: Sequence[RelayTarget],
        *,
        helo_name: str | None,
        observe: Observer,
        clock: Clock = lambda: datetime.now(UTC),
        jitter: Callable[[], float] = random.random,
        grants: Grants | None = None,
    ) -> None:
        grants = grants or OwnRates()
        if helo_name is not None:
            helo_name = checked_name(helo_name)

        def relay_of(target: RelayTarget) -> Relay:
            breaker = Breaker(
                target.name,
                rest_s=target.limits.rest_s,
                clock=clock,
                jitter=jitter,
                observe=observe,
                changed=lambda: self._changed(target.name),
            )
            allowance = Allowance(target.name, target.limits.rate_per_s, grants)
            return Relay(target, helo_name, breaker, allowance)

        self._bell = asyncio.Event()
        self._relays = tuple(relay_of(target) for target in targets)
        capturing = tuple(relay for relay in self._relays if relay.target.captures)
        real = tuple(relay for relay in self._relays if not relay.target.captures)
        self._routes: dict[Route, tuple[Relay, ...]] = {
            "live": real or tuple(relay for relay in capturing if relay.target.stands_in),
            "test": capturing,
        }

    async def send(
        self,
        route: Route,
        envelope: Envelope,
        content: bytes,
        *,
        urgent: bool = False,
        abort: Callable[[], bool] | None = None,
    ) -> Attempt:
        """Try the relays of `route` in their order until one decides about the mail.

        Never raises for anything that a relay does. A relay's own trouble before it saw the
        mail sends it on to the next one, as does a mail that a relay cannot be offered. When
        none may be tried the outcome is a `RESTING` failure. CancelledError passes and closes
        that connection. `abort` is asked right before the final dot: True drops the connection,
        so that nothing was delivered.
        """
        parcel = pack(envelope, content, abort)
        fallback: Attempt | None = None
        skipped = False
        for relay in self._routes[route]:
            tried = await relay.send(parcel, urgent=urgent)
            if tried is None:
                skipped = True
                continue
            attempt = _attempt_of(relay, tried)
            if not _goes_on(attempt):
                return attempt
            fallback = _better(fallback, attempt)
        if fallback is None or (skipped and fallback.verdict.action is Action.REJECTED):
            return self._untried(route)
        return fallback

    async def usable(self, route: Route) -> None:
        """Return as soon as some relay of `route` may be tried; for a route without any, never.

        After a rest one try only is let through: of several callers that wake up then, the
        first one probes, and the others' mails come back with a `RESTING` failure.
        """
        while not self.is_usable(route):
            await self._bell.wait()

    def serves(self, route: Route) -> bool:
        """Whether any relay is configured for `route`."""
        return bool(self._routes[route])

    def is_usable(self, route: Route) -> bool:
        """Whether some relay of `route` may be tried now."""
        return any(relay.breaker.admits() for relay in self._routes[route])

    def health(self) -> Sequence[RelayHealth]:
        """How each relay does, in the order of the settings."""
        return [relay.breaker.health for relay in self._relays]

    async def aclose(self) -> None:
        """Close all connections, the parked ones with QUIT; takes at most a few seconds."""
        await asyncio.gather(*(relay.aclose() for relay in self._relays))

    def _changed(self, name: str) -> None:
        for relay in self._relays:
            if relay.target.name == name:
                relay.fleet.turn_away()
        self._ring()

    def _ring(self) -> None:
        self._bell.set()
        self._bell = asyncio.Event()

    def _untried(self, route: Route) -> Attempt:
        relays = self._routes[route]
        if not relays:
            detail = f"no relay is configured for {route} mail"
            failure = LinkFailure(Phase.CONNECT, LinkFault.RESTING, detail)
            return Attempt(NO_RELAY, False, failure, False, 0.0, None)
        first = relays[0]
        health = first.breaker.health
        failure = LinkFailure(
            Phase.CONNECT, LinkFault.RESTING, f"{first.target.name} is {health.state}"
        )
        return Attempt(first.target.name, first.target.captures, failure, False, 0.0, None)


def _attempt_of(relay: Relay, tried: Try) -> Attempt:
    return Attempt(
        relay=relay.target.name,
        captures=relay.target.captures,
        outcome=tried.outcome,
        reached_mail=tried.reached_mail,
        elapsed_ms=tried.elapsed_ms,
        queue_id=queue_id_of(tried.outcome),
        mail_refusals=tried.mail_refusals,
    )


def _goes_on(attempt: Attempt) -> bool:
    """Whether the next relay may be asked in the same send."""
    decided = attempt.verdict
    if isinstance(attempt.outcome, LinkFailure) and decided.action is Action.REJECTED:
        return attempt.outcome.fault is not LinkFault.UNSENDABLE
    return decided.action in {Action.RELAY_DOWN, Action.RELAY_MISCONFIGURED}


def _better(before: Attempt | None, now: Attempt) -> Attempt:
    """Of two attempts that decided nothing, the one that keeps the message.

    A mail that one relay cannot be offered is not rejected while another is merely down.
    """
    if before is not None and now.verdict.action is Action.REJECTED:
        return before
    return now
