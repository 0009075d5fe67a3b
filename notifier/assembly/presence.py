"""A process that delivers says that it lives, and how it sees its relays."""

import asyncio
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import notifier
from notifier.core.clock import Clock
from notifier.core.errors import Unavailable
from notifier.core.route import Route
from notifier.observe.facts import Fact, Observer, RelayPaused, RelayResting, RelayUp
from notifier.settings.relay import RelayTarget
from notifier.smtp.breaker import BY_OPERATOR, RelayHealth
from notifier.smtp.relays import Relays
from notifier.store.store import Store
from notifier.store.workers import LEAVE, REPORT, REPORT_EVERY_S, RelaySeen, Worker

Seats = Callable[[], tuple[int, int]]
"""How many mails may be under way at once, and how many are."""


@dataclass(frozen=True, slots=True)
class Presence:
    """This process's row among the workers, written every few seconds and at each change."""

    store: Store
    relays: Relays
    now: Clock
    routes: Mapping[str, tuple[Route, ...]]
    seats: Seats
    changed: asyncio.Event
    started: Worker

    async def run(self, stop: asyncio.Event) -> None:
        """Report until `stop` is set. A store that is away hears of it later."""
        waking = asyncio.create_task(self._wake_at(stop))
        try:
            while not stop.is_set():
                self.changed.clear()
                with suppress(Unavailable):
                    await self.store.write(REPORT, self.present())
                with suppress(TimeoutError):
                    async with asyncio.timeout(REPORT_EVERY_S):
                        await self.changed.wait()
        finally:
            waking.cancel()

    async def leave(self) -> None:
        """Take the row away: nobody needs to look for this process."""
        with suppress(Unavailable):
            await self.store.write(LEAVE, self.started.owner)

    def present(self) -> Worker:
        """The row as it is now."""
        seats, busy = self.seats()
        relays = tuple(
            _seen(health, self.routes.get(health.name, ())) for health in self.relays.health()
        )
        return replace(self.started, seen_at=self.now(), seats=seats, busy=busy, relays=relays)

    async def _wake_at(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self.changed.set()


def introduced(owner: str, role: str, now: Clock) -> Worker:
    """A process that has just started."""
    at = now()
    return Worker(
        owner=owner,
        host=socket.gethostname(),
        pid=os.getpid(),
        role=role,
        version=notifier.__version__,
        started_at=at,
        seen_at=at,
        seats=0,
        busy=0,
        relays=(),
    )


def noticing(observe: Observer, changed: asyncio.Event) -> Observer:
    """`observe`, which also sets `changed` when a relay's state is another. For the relays, whose
    facts come from the event loop.
    """

    def notice(fact: Fact) -> None:
        if isinstance(fact, RelayUp | RelayResting | RelayPaused):
            changed.set()
        observe(fact)

    return notice


def routes_of(targets: Sequence[RelayTarget]) -> Mapping[str, tuple[Route, ...]]:
    """Whose mail each relay is for, by its name."""
    has_real = any(not target.captures for target in targets)
    found: dict[str, tuple[Route, ...]] = {}
    for target in targets:
        if not target.captures:
            found[target.name] = ("live",)
        else:
            both = target.stands_in and not has_real
            found[target.name] = ("live", "test") if both else ("test",)
    return found


def _seen(health: RelayHealth, routes: tuple[Route, ...]) -> RelaySeen:
    reason = health.reason
    by_operator = reason is not None and reason.startswith(BY_OPERATOR)
    return RelaySeen(
        name=health.name,
        state=health.state,
        reason=reason.removeprefix(BY_OPERATOR) if reason is not None else None,
        since=health.since,
        next_probe_at=health.retry_at,
        by_operator=by_operator,
        routes=routes,
    )
