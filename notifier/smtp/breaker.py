"""Whether a relay may be tried: up, resting or paused, and one probe to find out."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

from notifier.core.clock import Clock
from notifier.observe.facts import Observer, RelayPaused, RelayResting, RelayUp

State = Literal["up", "resting", "paused"]

FAILURES: Final = 3
"""Faults in a row, on connections that did open, until the relay rests."""

BY_OPERATOR: Final = "by an operator: "
"""How the reason of a relay begins that an operator holds."""

FIRST_REST_S: Final = 1.0
# A paused relay is probed every 5 minutes by default: two tries in the ten minutes for which
# failed logins usually count towards a lock-out.
PAUSE_FACTOR: Final = 5
_MAX_DOUBLINGS: Final = 20


@dataclass(frozen=True, slots=True)
class Ticket:
    """Leave to try a relay. What it brings back counts only in the epoch it was given in."""

    epoch: int
    probe: bool


@dataclass(frozen=True, slots=True)
class RelayHealth:
    """How a relay does. `reason` is one line for an operator; None while it is up.

    `retry_at` is when it is probed again; None: it is up, or an operator holds it. `connections`
    are open, of at most `limit` (less than configured where the relay refused more). `waiting`
    mails stand in its line, `under_way` have a connection.
    """

    name: str
    state: State
    reason: str | None
    since: datetime
    retry_at: datetime | None = None
    connections: int = 0
    limit: int = 0
    waiting: int = 0
    under_way: int = 0


class Breaker:
    """Keeps mails away from a relay that does not work, and finds out when it works again.

    After a rest one try is let through (the probe): it succeeds, and the relay is up; it fails,
    and the next rest is twice as long. An operator may hold it: then it is paused and not probed.
    `changed` is called after each change. Facts are emitted once per change of state. All within
    one event loop.
    """

    def __init__(
        self,
        name: str,
        *,
        rest_s: float,
        clock: Clock,
        jitter: Callable[[], float],
        observe: Observer,
        changed: Callable[[], None],
    ) -> None:
        self._name = name
        self._rest_s = rest_s
        self._clock = clock
        self._jitter = jitter
        self._observe = observe
        self._changed = changed
        self._health = RelayHealth(name, "up", None, clock())
        self._epoch = 0
        self._failures = 0
        self._rests = 0
        self._rested = False
        self._probing = False
        self._held: RelayHealth | None = None
        self._timer: asyncio.TimerHandle | None = None

    @property
    def health(self) -> RelayHealth:
        """The present state."""
        return self._health

    @property
    def is_probing(self) -> bool:
        """Whether it is being found out now if the relay works again."""
        return self._probing

    def admits(self) -> bool:
        """Whether `enter()` would give a ticket now."""
        return self._health.state == "up" or (self._rested and not self._probing)

    def hold(self, reason: str) -> None:
        """Pause it until `let_go`, by an operator. What is under way is not disturbed."""
        if self._held is None:
            self._held = self._health
        held = f"{BY_OPERATOR}{reason}"
        if self._health.reason == held:
            return
        self._next_epoch()
        self._health = RelayHealth(self._name, "paused", held, self._clock())
        self._observe(RelayPaused(self._name, held))
        self._changed()

    def let_go(self) -> None:
        """End the hold. What was up before is up; anything else may be probed at once."""
        before, self._held = self._held, None
        if before is None:
            return
        if before.state == "up":
            self._up()
            return
        self._next_epoch()
        self._health = before
        self._rested = True
        self._changed()

    def probe_now(self) -> None:
        """Let a probe through without waiting for the end of the rest."""
        if self._health.state != "up" and self._held is None and not self._rested:
            self.close()
            self._end_rest()

    def enter(self) -> Ticket | None:
        """Leave for one try; None: not now. Each ticket is brought back by one of the below."""
        if not self.admits():
            return None
        probe = self._health.state != "up"
        self._probing = probe
        return Ticket(self._epoch, probe)

    def holds(self, ticket: Ticket) -> bool:
        """Whether the relay's state is still that in which the ticket was given."""
        return ticket.epoch == self._epoch

    def succeeded(self, ticket: Ticket) -> None:
        """The relay did its part, whatever it said about the mail."""
        if not self.holds(ticket):
            return
        self._failures = 0
        if ticket.probe:
            self._up()

    def failed(self, ticket: Ticket, reason: str, *, state: State, at_once: bool) -> None:
        """The relay is to blame. It rests `at_once`, or when this was one of several."""
        if not self.holds(ticket):
            return
        self._failures += 1
        if ticket.probe or at_once or self._failures >= FAILURES:
            self._rest(state, reason)

    def abandoned(self, ticket: Ticket) -> None:
        """Nothing was found out."""
        if ticket.probe and self.holds(ticket):
            self._probing = False
            self._changed()

    def close(self) -> None:
        """Stop the timer."""
        if self._timer is not None:
            self._timer.cancel()

    def _up(self) -> None:
        down_s = (self._clock() - self._health.since).total_seconds()
        self._next_epoch()
        self._rests = 0
        self._health = RelayHealth(self._name, "up", None, self._clock())
        self._observe(RelayUp(self._name, down_s))
        self._changed()

    def _rest(self, state: State, reason: str) -> None:
        self._next_epoch()
        before = self._health
        since = before.since if before.state == state else self._clock()
        length_s = self._length(state)
        retry_at = self._clock() + timedelta(seconds=length_s)
        self._health = RelayHealth(self._name, state, reason, since, retry_at)
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(length_s, self._end_rest)
        if before.state != state:
            fact = RelayPaused if state == "paused" else RelayResting
            self._observe(fact(self._name, reason))
        self._changed()

    def _length(self, state: State) -> float:
        """The rest's length in seconds: a pause is always long, a rest doubles; each less up to
        half of it, so that processes do not probe in step.
        """
        if state == "paused":
            longest = self._rest_s * PAUSE_FACTOR
        else:
            longest = min(FIRST_REST_S * 2 ** min(self._rests, _MAX_DOUBLINGS), self._rest_s)
            self._rests += 1
        return longest * (1 - self._jitter() / 2)

    def _end_rest(self) -> None:
        self._rested = True
        self._changed()

    def _next_epoch(self) -> None:
        self.close()
        self._epoch += 1
        self._failures = 0
        self._rested = self._probing = False
