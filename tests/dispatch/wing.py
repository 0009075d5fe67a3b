"""A delivery wing at work on a real store, against scripted relays."""

import asyncio
import fcntl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from notifier.core.backoff import BackoffPolicy
from notifier.core.next_step import RetryRules
from notifier.core.room import Room
from notifier.core.route import Route
from notifier.dispatch.bell import Bell
from notifier.dispatch.dispatcher import Dispatcher
from notifier.dispatch.lane import Lease, Pace, monotonic
from notifier.dispatch.mail_lane import MailLane, Tools
from notifier.observe.facts import Fact, MessageStepped
from notifier.settings.relay import RelayTarget
from notifier.smtp.relays import Relays
from notifier.store.claiming import CLAIM, ClaimRequest
from notifier.store.outbox import Claimed
from tests.support.office import Office
from tests.support.scripted_smtp import Rule

QUICK: dict[str, Any] = {
    "connect_timeout_s": 5,
    "command_timeout_s": 5,
    "dot_timeout_s": 5,
    "rest_s": 0.02,
}
LEASE_S = 30.0
DEADLINE_S = 10.0
PACE = Pace(seats=20, lease_s=LEASE_S, poll_s=60, grace_s=5)


@dataclass
class Wing:
    """One lane with its dispatcher; `facts` are those that the wing told."""

    office: Office
    relays: Relays
    lane: MailLane
    bell: Bell
    stop: asyncio.Event
    facts: list[Fact]
    dispatcher: Dispatcher[Claimed]
    _told: asyncio.Event

    async def until(self, predicate: Callable[[], bool]) -> None:
        """Return as soon as the facts told satisfy `predicate`."""
        async with asyncio.timeout(DEADLINE_S):
            while not predicate():
                self._told.clear()
                await self._told.wait()

    async def steps(self, count: int) -> list[MessageStepped]:
        """The first so many steps of messages, waited for."""
        await self.until(lambda: len(self._steps()) >= count)
        return self._steps()

    async def told(self, event: str) -> Fact:
        await self.until(lambda: any(fact.event == event for fact in self.facts))
        return next(fact for fact in self.facts if fact.event == event)

    async def send(self, *args: Any, **options: Any) -> str:
        """Accept a mail and ring; returns the notification's id."""
        accepted = await self.office.accept(*args, **options)
        self.bell.ring()
        return accepted.notification_id

    async def passing_time_until(self, status: str, notification_id: str) -> None:
        """Move the clock on, a second a time, until the notification has this status."""
        async with asyncio.timeout(DEADLINE_S):
            while await self.office.status(notification_id) != status:
                self.pass_time(1)
                await asyncio.sleep(0.01)

    def pass_time(self, seconds: float) -> None:
        self.office.clock.move(seconds)
        self.bell.ring()

    async def claim_one(self) -> tuple[Claimed, Lease]:
        """Claim one message without the dispatcher, which would renew its lease."""
        (job,), _ = await self.lane.claim(Room(1, 1, 1))
        return job, Lease(monotonic() + LEASE_S)

    def _steps(self) -> list[MessageStepped]:
        return [fact for fact in self.facts if isinstance(fact, MessageStepped)]


def wing_of(
    office: Office,
    *targets: RelayTarget,
    route: Route = "live",
    on_ambiguous: Literal["retry", "hold"] = "retry",
    attempts: int = 12,
    pace: Pace = PACE,
) -> Wing:
    facts: list[Fact] = []
    told = asyncio.Event()

    def observe(fact: Fact) -> None:
        facts.append(fact)
        told.set()

    desk = office.desk
    relays = Relays(targets, helo_name="client.test", observe=observe, clock=office.clock)
    tools = Tools(desk.store, relays, office.clock, desk.new_id, lambda: 0.0, observe)
    rules = RetryRules(BackoffPolicy(30, 7200, attempts), on_ambiguous)
    lane = MailLane(tools, route, desk.new_id.new("own"), rules, pace.lease_s)
    bell = Bell()
    dispatcher = Dispatcher(lane, pace, bell, observe)
    return Wing(office, relays, lane, bell, asyncio.Event(), facts, dispatcher, told)


@asynccontextmanager
async def working(wing: Wing) -> AsyncIterator[Wing]:
    """The wing's dispatcher runs until the block ends."""
    running = asyncio.create_task(wing.dispatcher.run(wing.stop))
    try:
        yield wing
    finally:
        wing.stop.set()
        await running
        await wing.relays.aclose()


async def claim_as_another(office: Office, lease_s: float = LEASE_S) -> None:
    """A worker takes what is due, and nothing is ever heard of it again."""
    now = office.clock()
    until = now.fromtimestamp(now.timestamp() + lease_s, now.tzinfo)
    request = ClaimRequest("own_" + "d" * 32, "live", Room(10, 10, 2**30), now, until)
    assert (await office.desk.store.write(CLAIM, request)).mails


async def bitten(rule: Rule) -> None:
    """Return when the rule has fired."""
    async with asyncio.timeout(DEADLINE_S):
        while not rule.hits:  # noqa: ASYNC110 - the scripted server has no event for it
            await asyncio.sleep(0.005)


@contextmanager
def store_away(folder: Path) -> Iterator[None]:
    """Another process holds the store's write lock."""
    with (folder / "notifier.db.lock").open("rb+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(file, fcntl.LOCK_UN)
