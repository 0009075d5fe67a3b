"""All relays of this process: which may be tried for a mail, in which order, and how they do."""

import asyncio
import random
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from notifier.core.clock import Clock
from notifier.core.envelope import Envelope
from notifier.core.reply import LinkFailure, LinkFault, Outcome, Phase
from notifier.core.route import Route
from notifier.core.verdict import Action, Verdict, verdict
from notifier.observe.facts import Observer, RelayPassedOver
from notifier.settings.relay import RelayTarget
from notifier.smtp.allowance import Allowance, Grants, OwnRates
from notifier.smtp.breaker import Breaker, RelayHealth
from notifier.smtp.helo import checked_name
from notifier.smtp.parcel import Parcel, pack
from notifier.smtp.relay import Relay
from notifier.smtp.replies import queue_id_of
from notifier.smtp.slip import Try

NO_RELAY: Final = "none"

PROBE_PATIENCE_S: Final = 10.0
"""So long a mail that no relay takes just now waits for what comes of a probe under way."""


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
        self._observe = observe
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
            allowance.moved = self._ring
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
        none may be tried the outcome is a `RESTING` failure, after what comes of a probe under
        way was waited for. `urgent` mail goes ahead of what waits for the same relay.
        CancelledError passes; a mail whose dialogue is under way loses its connection. `abort`
        is asked right before the final dot: True drops the connection, so that nothing was
        delivered.
        """
        parcel = pack(envelope, content, abort)
        patience_s = PROBE_PATIENCE_S
        while True:
            attempt = await self._try(route, parcel, urgent=urgent)
            if attempt is not None:
                return attempt
            if patience_s <= 0 or not any(r.breaker.is_probing for r in self._routes[route]):
                return self._untried(route)
            patience_s -= await self._bell_within(patience_s)

    async def usable(self, route: Route) -> None:
        """Return as soon as there is room for a mail of `route`; for one without relays, never."""
        while not self.is_usable(route):
            await self._bell.wait()

    def serves(self, route: Route) -> bool:
        """Whether any relay is configured for `route`."""
        return bool(self._routes[route])

    def is_usable(self, route: Route) -> bool:
        """Whether there is room for a mail of `route` now."""
        return self.room(route) != 0

    def room(self, route: Route) -> int | None:
        """How many mails of `route` may sensibly be claimed now, beside those already given here.

        None: any number. 1 while no relay is up and one may be probed: a second mail would only
        wait for what comes of the first. 0 while none may be tried, or while as many wait as a
        relay's rate lets out within the next moments; `usable()` returns when that is over.
        """
        up = self._first_up(route)
        if up is not None:
            return up.room()
        return 1 if any(relay.breaker.admits() for relay in self._routes[route]) else 0

    def appetite(self, route: Route) -> int | None:
        """How many mails of `route` that are not urgent should be claimed now, beside those given
        here: as many as keep the connections of the relay that is up busy until more can be.

        None: no relay is up; see `room`.
        """
        up = self._first_up(route)
        return None if up is None else up.appetite()

    def is_paused(self, route: Route) -> bool:
        """Whether every relay of `route`, and there is one, is paused: by itself because it is
        misconfigured, or by an operator. One that merely rests is not.
        """
        relays = self._routes[route]
        return bool(relays) and all(relay.breaker.health.state == "paused" for relay in relays)

    def hold(self, held: Mapping[str, str]) -> None:
        """Pause the relays named here, each with an operator's reason, until a later call does
        not name them any more. What is under way there is finished; nothing else is tried.
        """
        for relay in self._relays:
            reason = held.get(relay.target.name)
            if reason is None:
                relay.breaker.let_go()
            else:
                relay.breaker.hold(reason)

    def probe_now(self, name: str) -> None:
        """Let the relay of this name be tried at once if it rests or has paused itself. One that
        is held, up, or not there stays as it is.
        """
        for relay in self._relays:
            if relay.target.name == name:
                relay.breaker.probe_now()

    def health(self) -> Sequence[RelayHealth]:
        """How each relay does, in the order of the settings."""
        return [relay.health for relay in self._relays]

    async def aclose(self) -> None:
        """Close all connections, the parked ones with QUIT; takes at most a few seconds."""
        await asyncio.gather(*(relay.aclose() for relay in self._relays))

    async def _try(self, route: Route, parcel: Parcel, *, urgent: bool) -> Attempt | None:
        """Through the relays once. None: no relay that could have taken it may be tried now."""
        fallback: Attempt | None = None
        skipped = False
        for relay in self._routes[route]:
            tried = await relay.send(parcel, urgent=urgent)
            if tried is None:
                skipped = True
                continue
            attempt = _attempt_of(relay, tried)
            decided = not _goes_on(attempt)
            chosen = attempt if decided else _better(fallback, attempt)
            if fallback is not None:
                self._pass_over(fallback if chosen is attempt else attempt)
            if decided:
                return attempt
            fallback = chosen
        if skipped and fallback is not None and fallback.verdict.action is Action.REJECTED:
            return None
        return fallback

    def _pass_over(self, attempt: Attempt) -> None:
        found = attempt.verdict
        ms = round(attempt.elapsed_ms, 1)
        self._observe(RelayPassedOver(attempt.relay, found.action.value, found.reason, ms))

    async def _bell_within(self, limit_s: float) -> float:
        """Wait for a change; how many seconds that took."""
        began = time.monotonic()
        with suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                await self._bell.wait()
        return time.monotonic() - began

    def _changed(self, name: str) -> None:
        for relay in self._relays:
            if relay.target.name == name:
                relay.fleet.turn_away()
        self._ring()

    def _first_up(self, route: Route) -> Relay | None:
        relays = self._routes[route]
        return next((relay for relay in relays if relay.breaker.health.state == "up"), None)

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
