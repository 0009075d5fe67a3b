"""The delivery wing of a process: a dispatcher for each route, on one pool of relays."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from notifier.core.backoff import BackoffPolicy
from notifier.core.next_step import RetryRules
from notifier.core.route import Route
from notifier.dispatch.bell import Bell
from notifier.dispatch.dispatcher import Dispatcher, Pace
from notifier.dispatch.janitor import Janitor
from notifier.dispatch.mail_lane import MailLane, Tools
from notifier.flows.desk import Desk
from notifier.settings import Settings
from notifier.settings.relay import RelayTarget
from notifier.smtp.relays import Relays
from notifier.store.outbox import FREE, Claimed, owners
from notifier.store.store import Store

_ROUTES: Final[tuple[Route, ...]] = ("live", "test")


@dataclass(frozen=True, slots=True)
class Delivery:
    """`ring` is the bell of all dispatchers; `run` works until `stop` is set.

    The janitor works where mail is delivered, so that API processes only answer callers.
    """

    relays: Relays
    bells: tuple[Bell, ...]
    dispatchers: tuple[Dispatcher[Claimed], ...]
    janitor: Janitor

    def ring(self) -> None:
        """Something was committed."""
        for bell in self.bells:
            bell.ring()

    async def run(self, stop: asyncio.Event) -> None:
        """Returns when everything under way is done. An error of one dispatcher ends it all."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.janitor.run(stop))
            for dispatcher in self.dispatchers:
                group.create_task(dispatcher.run(stop))


@asynccontextmanager
async def open_delivery(desk: Desk, targets: Sequence[RelayTarget]) -> AsyncIterator[Delivery]:
    """The wing, with leases of dead predecessors ended. Connections are closed at the end."""
    settings = desk.settings
    relays = Relays(
        targets,
        helo_name=settings.mail.helo_name,
        observe=desk.observe,
        clock=desk.now,
    )
    try:
        owner = desk.new_id.new("own")
        desk.store.owners.announce(owner)
        await _free_leases_of_the_dead(desk.store, desk)
        tools = Tools(
            desk.store, relays, desk.now, desk.new_id, random.SystemRandom().random, desk.observe
        )
        bells = tuple(Bell() for _ in _ROUTES)
        dispatchers = tuple(
            Dispatcher(
                MailLane(tools, route, owner, _rules(settings), settings.dispatch.lease_s),
                _pace(settings),
                bell,
                desk.observe,
            )
            for route, bell in zip(_ROUTES, bells, strict=True)
        )
        janitor = Janitor(desk.store, settings.retention, desk.now, desk.observe)
        yield Delivery(relays, bells, dispatchers, janitor)
    finally:
        await relays.aclose()


async def _free_leases_of_the_dead(store: Store, desk: Desk) -> None:
    for owner in await store.read(owners):
        if store.owners.is_dead(owner):
            await store.write(FREE, (owner, desk.now()))
            store.owners.bury(owner)


def _rules(settings: Settings) -> RetryRules:
    rules = settings.dispatch
    backoff = BackoffPolicy(rules.backoff_first_s, rules.backoff_max_s, rules.attempts)
    return RetryRules(backoff, rules.on_ambiguous)


def _pace(settings: Settings) -> Pace:
    rules = settings.dispatch
    return Pace(rules.seats, rules.lease_s, rules.poll_s, rules.grace_s)
