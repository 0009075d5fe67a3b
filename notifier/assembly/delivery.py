"""The delivery wing of a process: a dispatcher for each route, on one pool of relays."""

import asyncio
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Final

from notifier.assembly.orders import Orders
from notifier.assembly.presence import Presence, introduced, noticing, routes_of
from notifier.assembly.rates import shared_rates
from notifier.core.backoff import BackoffPolicy
from notifier.core.next_step import RetryRules
from notifier.core.route import ROUTES, Route
from notifier.dispatch.bell import Bell
from notifier.dispatch.dispatcher import Dispatcher
from notifier.dispatch.janitor import Janitor
from notifier.dispatch.lane import Pace
from notifier.dispatch.mail_lane import MailLane, Tools
from notifier.dispatch.standstill import Standstill
from notifier.flows.desk import Desk
from notifier.settings import Settings
from notifier.settings.relay import RelayTarget
from notifier.smtp.limits import deadline_s
from notifier.smtp.relays import Relays
from notifier.store.doorbell import Doorbell
from notifier.store.outbox import FREE, Claimed
from notifier.store.store import Store
from notifier.store.workers import LEAVE

_GIVE_BACK_S: Final = 1.0
_ASIDE_S: Final = 60.0
_QUEUEING: Final = 2.0
"""A mail may wait for a connection as long as others take. What is beyond all this has hung."""

_QUIT_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class Delivery:
    """`ring` is the bell of the dispatchers; `run` works until `stop` is set.

    The janitor works where mail is delivered, so that API processes only answer callers.
    """

    relays: Relays
    bells: Mapping[Route, Bell]
    dispatchers: tuple[Dispatcher[Claimed], ...]
    janitor: Janitor
    standstill: Standstill
    doorbell: Doorbell
    orders: Orders
    presence: Presence

    def ring(self, route: Route | None = None) -> None:
        """Mail of a route was committed; None: of whichever. Heard here and elsewhere."""
        self._ring_here(route)
        self.doorbell.ring(route)

    def _ring_here(self, route: Route | None) -> None:
        for one, bell in self.bells.items():
            if route is None or one == route:
                bell.ring()

    async def run(self, stop: asyncio.Event) -> None:
        """Returns when everything under way is done. An error of one dispatcher ends it all."""
        self._hear_others()
        await self.orders.first(stop)
        async with asyncio.TaskGroup() as group:
            group.create_task(self.janitor.run(stop))
            group.create_task(self.standstill.run(stop))
            group.create_task(self.orders.run(stop))
            group.create_task(self.presence.run(stop))
            for dispatcher in self.dispatchers:
                group.create_task(dispatcher.run(stop))
        await self.presence.leave()

    def _hear_others(self) -> None:
        loop = asyncio.get_running_loop()

        def hear(route: Route | None) -> None:
            with suppress(RuntimeError):  # the loop is closed: nobody works here any more
                loop.call_soon_threadsafe(self._ring_here, route)

        self.doorbell.listen(hear, lambda: any(bell.awaited for bell in self.bells.values()))


@asynccontextmanager
async def open_delivery(
    desk: Desk, targets: Sequence[RelayTarget], role: str = "worker"
) -> AsyncIterator[Delivery]:
    """The wing, with leases of dead predecessors ended. Connections are closed at the end."""
    settings = desk.settings
    relays_changed = asyncio.Event()
    relays = Relays(
        targets,
        helo_name=settings.mail.helo_name,
        observe=noticing(desk.observe, relays_changed),
        clock=desk.now,
        grants=shared_rates(desk.store, desk.now),
    )
    doorbell = Doorbell(desk.store.database)
    try:
        owner = desk.new_id.new("own")
        desk.store.owners.announce(owner)
        await _free_leases_of_the_dead(desk.store, desk)
        bells = {route: Bell() for route in ROUTES}
        lanes = _lanes(desk, relays, targets, owner)
        dispatchers = tuple(
            Dispatcher(lanes[route], _pace(settings), bells[route], desk.observe)
            for route in ROUTES
        )
        janitor = Janitor(desk.store, settings.retention, desk.now, desk.observe)
        standstill = Standstill(desk.store, relays, desk.now)
        presence = Presence(
            store=desk.store,
            relays=relays,
            now=desk.now,
            routes=routes_of(targets),
            seats=lambda: (sum(d.seats for d in dispatchers), sum(d.busy for d in dispatchers)),
            changed=relays_changed,
            started=introduced(owner, role, desk.now),
        )
        yield Delivery(
            relays=relays,
            bells=bells,
            dispatchers=dispatchers,
            janitor=janitor,
            standstill=standstill,
            doorbell=doorbell,
            orders=Orders(desk.store, relays, relays_changed.set),
            presence=presence,
        )
    finally:
        # A relay that does not answer a QUIT must not hold up the end of a process.
        with suppress(TimeoutError):
            await asyncio.wait_for(relays.aclose(), _QUIT_S)
        await asyncio.to_thread(doorbell.close)


async def ending(desk: Desk, stop: asyncio.Event) -> None:
    """A stop waits for the database as for all else: for the grace, and to give back mail."""
    await stop.wait()
    grace_s = max(desk.settings.http.grace_s, desk.settings.dispatch.grace_s)
    desk.store.end_within(grace_s + _GIVE_BACK_S)


async def _free_leases_of_the_dead(store: Store, desk: Desk) -> None:
    for owner in await asyncio.to_thread(store.owners.dead):
        await store.write(FREE, (owner, desk.now()))
        await store.write(LEAVE, owner)  # what it last said of its relays is no news any more
        store.owners.bury(owner)


def _lanes(
    desk: Desk, relays: Relays, targets: Sequence[RelayTarget], owner: str
) -> dict[Route, MailLane]:
    def longest_s(size_bytes: int) -> float:
        # Each relay is tried over a parked connection and over a fresh one at most.
        tries = sum(2 * deadline_s(target.limits, size_bytes) for target in targets)
        return _QUEUEING * (tries + _ASIDE_S)

    tools = Tools(
        store=desk.store,
        relays=relays,
        now=desk.now,
        new_id=desk.new_id,
        jitter=random.random,  # spreads retries; no secret
        observe=desk.observe,
        longest_s=longest_s,
    )
    rules, lease_s = _rules(desk.settings), desk.settings.dispatch.lease_s
    return {route: MailLane(tools, route, owner, rules, lease_s) for route in ROUTES}


def _rules(settings: Settings) -> RetryRules:
    rules = settings.dispatch
    backoff = BackoffPolicy(rules.backoff_first_s, rules.backoff_max_s, rules.attempts)
    return RetryRules(backoff, rules.on_ambiguous)


def _pace(settings: Settings) -> Pace:
    rules = settings.dispatch
    return Pace(
        seats=rules.seats,
        lease_s=rules.lease_s,
        poll_s=rules.poll_s,
        grace_s=rules.grace_s,
        urgent_seats=rules.urgent_seats,
        seats_bytes=rules.seats_bytes,
    )
