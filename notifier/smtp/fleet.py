"""The connections of one relay, and the line of mails that wait for one of them."""

import asyncio
import time
from collections.abc import Callable
from typing import Final

from notifier.core.reply import LinkFault, Outcome, Reply
from notifier.core.verdict import Action, verdict
from notifier.settings.sections import RelaySettings
from notifier.smtp.allowance import Allowance
from notifier.smtp.capacity import Capacity
from notifier.smtp.chaining import Chaining
from notifier.smtp.client import QUIT_TIMEOUT_S, Client
from notifier.smtp.courier import Courier
from notifier.smtp.limits import dialogue_s
from notifier.smtp.openers import Openers
from notifier.smtp.parking import Parking
from notifier.smtp.slip import Line, Slip

CLOSE_GRACE_S: Final = QUIT_TIMEOUT_S + 0.5
RETURNS: Final = 3
"""So often a mail goes over another connection because the one it had was of no use."""

_TURNED_AWAY: Final = {LinkFault.REFUSED, LinkFault.DROPPED}


class Fleet:
    """At most `limits.connections` couriers, who take mails out of the line as fast as they can.

    The connection used last is taken first, so that those which a lull leaves over grow old and
    are closed. One that has carried its share or is too old gets no more mails. `settle` is told
    each mail's outcome; `holds` is whether the relay's state is still that in which a mail came.
    All within one event loop; nothing here waits.
    """

    def __init__(
        self,
        limits: RelaySettings,
        allowance: Allowance,
        make: Callable[[], Client],
        settle: Callable[[Slip, Outcome], None],
        holds: Callable[[Slip], bool],
    ) -> None:
        self.line = Line()
        self.chaining = Chaining(allowed=limits.chaining)
        self.capacity = Capacity(limits.connections)
        self.settle = settle
        self._holds = holds
        self._allowance = allowance
        allowance.more = self.serve
        self._limits = limits
        self._couriers: set[Courier] = set()
        self._parking = Parking(limits.idle_close_s, self._retire)
        self._with_normal: set[Courier] = set()
        self._openers = Openers(make, self._opened, self._opening_ended)
        self._leaving: set[asyncio.Task[None]] = set()
        self._closed = False

    # What the relay asks for

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._couriers)

    @property
    def under_way(self) -> int:
        """How many mails have a connection."""
        return sum((c.current is not None) + (c.chained is not None) for c in self._couriers)

    @property
    def is_at_work(self) -> bool:
        """Whether a connection that was fit for mails is still open for more."""
        return any(courier.mails for courier in self._couriers)

    def post(self, slip: Slip) -> None:
        """Stand in line."""
        self.line.put(slip)
        self.serve()

    def withdraw(self, slip: Slip) -> None:
        """Nobody waits for this mail any more. One that is under way loses its connection."""
        if slip.courier is not None:
            slip.courier.drop(slip)
        elif slip.opening is not None:
            slip.opening.cancel()
        elif self.line.remove(slip):
            self._openers.call_off(self._openers.unbound - len(self.line))

    def turn_away(self) -> None:
        """Tell those in line that they are not tried here now, unless the relay's state holds."""
        for slip in self.line.drain():
            if self._holds(slip) and not self._closed:
                self.line.put(slip)
            elif not slip.answer.done():
                slip.answer.set_result(None)
        self._openers.call_off(self._openers.unbound - len(self.line))

    def serve(self) -> None:
        """Hand out what waits: to those who are free, then to new connections."""
        if self._closed:
            return
        while self._parking and self._next() is not None:
            self._parking.take().work()
        while self.line and self._may_open():
            self._openers.open(None)

    async def aclose(self) -> None:
        """Say QUIT on the parked connections and close all; takes at most a few seconds."""
        self._closed = True
        self._allowance.close()
        self.turn_away()
        self._openers.close()
        self._parking.close()
        if self._leaving:
            await asyncio.wait(self._leaving, timeout=CLOSE_GRACE_S)
        for task in tuple(self._leaving):
            task.cancel()
        for courier in tuple(self._couriers):
            courier.client.abort()

    # What couriers ask for

    def longest_s(self, size_bytes: int) -> float:
        """The longest time a mail of so many bytes can take over an open connection."""
        return dialogue_s(self._limits, size_bytes)

    def next_for(self, courier: Courier) -> Slip | None:
        """The next mail for a courier who is free; None: there is none for him."""
        self._with_normal.discard(courier)
        if self._closed or self._is_due(courier):
            return None
        slip = self._next()
        if slip is not None:
            self._take(slip, courier)
        return slip

    def chain(self, courier: Courier) -> Slip | None:
        """A mail whose commands may go out behind this courier's final dot.

        It is of the same kind: an urgent one does not wait for the dot of one that is not, and
        where an urgent one waits this courier is soon to be free for it. Nor does a mail wait for
        a dot that has a connection coming up.
        """
        slip, current = self.line.first(), courier.current
        if slip is None or current is None or slip.urgent is not current.urgent:
            return None
        if self._openers and len(self.line) <= self._openers.unbound:
            return None
        if not (courier.offers.pipelining and self.chaining.allowed) or self._is_due(courier, 1):
            return None
        if courier.offers.unfit(slip.parcel) is not None or not self._pay(slip):
            return None
        self._take(slip, courier)
        return slip

    def park(self, courier: Courier) -> None:
        """He is free, and there is nothing for him."""
        if self._closed or self._is_due(courier):
            self._retire(courier)
            self.serve()
            return
        self._parking.put(courier)

    def gone(self, courier: Courier) -> None:
        """His connection is closed."""
        self._couriers.discard(courier)
        self._with_normal.discard(courier)
        self._parking.remove(courier)

    def again(self, slip: Slip, outcome: Outcome) -> None:
        """The relay did not look at this mail: over a fresh connection with it, made for it alone.

        After some of those `outcome` counts after all.
        """
        slip.courier = None
        slip.returns += 1
        if slip.answer.done():
            return
        if not self._holds(slip):
            slip.answer.set_result(None)
        elif slip.returns > RETURNS or self._closed:
            self.settle(slip, outcome)
        else:
            slip.reached_mail = False
            self._openers.open(slip)

    # Handing out

    def _next(self) -> Slip | None:
        """Who may go now. One connection is kept for urgent mail where there are several."""
        slip = self.line.first()
        if slip is None:
            return None
        if not slip.urgent and len(self._with_normal) >= self.capacity.for_normal:
            return None
        return slip if self._pay(slip) else None

    def _pay(self, slip: Slip) -> bool:
        if not slip.paid:
            slip.paid = self._allowance.spend()
        return slip.paid

    def _take(self, slip: Slip, courier: Courier) -> None:
        self.line.pop()
        if not slip.urgent:
            self._with_normal.add(courier)
        if self._allowance.rate_per_s is not None:
            self._allowance.moved()

    def _is_due(self, courier: Courier, ahead: int = 0) -> bool:
        if not courier.mails:
            return False
        return (
            courier.is_spent
            or courier.mails + ahead >= self._limits.mails_per_connection
            or time.monotonic() - courier.client.opened_at > self._limits.connection_age_s
        )

    # Opening

    def _may_open(self) -> bool:
        """Whether one more connection has something to carry and its place."""
        if len(self._couriers) + len(self._openers) >= self.capacity.now:
            return False
        free = self.capacity.for_normal - len(self._with_normal)
        wanted = len(self.line.urgent) + min(len(self.line.normal), max(0, free))
        allowed = self._allowance.left
        if allowed is not None:
            wanted = min(wanted, allowed)
        return self._openers.unbound < wanted

    def _opened(
        self, client: Client, slip: Slip | None, failure: Outcome | None, opened_in: float
    ) -> None:
        if failure is not None:
            self._not_opened(slip, failure, opened_in)
            return
        courier = Courier(client, self, opened_in)
        self._couriers.add(courier)
        self.capacity.opened(len(self._couriers))
        if slip is not None and not slip.urgent:
            self._with_normal.add(courier)
        courier.work(slip)

    def _opening_ended(self, slip: Slip | None, bug: BaseException | None) -> None:
        if bug is not None:
            slip = slip or self.line.pop()
            if slip is not None and not slip.answer.done():
                slip.answer.set_exception(bug)
        self.serve()

    def _not_opened(self, slip: Slip | None, failure: Outcome, opened_in: float) -> None:
        """It may have been one too many: then those who are at work take the mail. Else a mail is
        told, and so is the relay's state.
        """
        if self._may_be_too_many(failure):
            self.capacity.refused(len(self._couriers) + len(self._openers))
            if slip is not None:
                self.line.put_back(slip)
                self.turn_away()
            return
        self.capacity.forget()
        slip = slip or self.line.pop()
        if slip is not None:
            slip.started_at = max(slip.put_at, time.perf_counter() - opened_in)
            self.settle(slip, failure)

    def _may_be_too_many(self, failure: Outcome) -> bool:
        if verdict(failure, reached_mail=False).action is Action.RELAY_MISCONFIGURED:
            return False
        if self.is_at_work:
            return True
        # Of many that are opened at once some may be refused before another one is at work.
        return bool(self._openers) and (isinstance(failure, Reply) or failure.fault in _TURNED_AWAY)

    # Closing

    def _retire(self, courier: Courier) -> None:
        self.gone(courier)  # it says nothing about the relay any more
        task = asyncio.get_running_loop().create_task(courier.leave().leave())
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)
