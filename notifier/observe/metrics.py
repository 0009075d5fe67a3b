"""Numbers made of facts: an observer that counts."""

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from notifier.core.ids import made_at_s
from notifier.core.message import FINAL, Lane, Status
from notifier.core.verdict import Action
from notifier.observe import door_facts, facts, series
from notifier.observe.facts import Fact
from notifier.observe.numbers import Counter, Histogram, Labels, Spread
from notifier.observe.series import Series

Taker = Callable[[Any], None]

CLAIM_LOST: Final = "claim_without_outcome"
"""The cause of an ambiguity that no relay is to blame for: somebody claimed and fell silent."""

_STREAMS: Final[list[Labels]] = [(lane.stream,) for lane in Lane]
_STATUSES: Final[list[Labels]] = [
    (status.value,) for status in (*sorted(FINAL), Status.DEFERRED, Status.HELD)
]
_DELIVERED: Final = {Status.SENT.value, Status.CAPTURED.value}


@dataclass(frozen=True, slots=True)
class Counts:
    """All that was counted, at one moment."""

    counters: Mapping[Series, Mapping[Labels, float]]
    histograms: Mapping[Series, Mapping[Labels, Spread]]


class Metrics:
    """Counts since the start of the process. `relays` are those of the settings,
    `clock` gives the seconds since 1970.

    `observe` is an `Observer`: it costs about a microsecond, and any thread may call it. Rates
    need a beginning, so what can be foreseen is shown with 0 before it happens.
    """

    def __init__(self, relays: Iterable[str] = (), clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        names = [*relays]
        known: Mapping[Series, list[Labels]] = {
            series.ACCEPTED: _STREAMS,
            series.MESSAGES: _STATUSES,
            series.ATTEMPTS: [(name, action.value) for name in names for action in Action],
            series.AMBIGUOUS: [(CLAIM_LOST,)],
            series.RELAY_CHANGES: [
                (name, state) for name in names for state in ("up", "resting", "paused")
            ],
            series.DELIVERY_S: _STREAMS,
            series.ATTEMPT_S: [(name,) for name in names],
        }
        self._lock = threading.Lock()
        self._counters: dict[Series, Counter] = {}
        self._histograms: dict[Series, Histogram] = {}
        for one in series.COUNTED:
            start = known.get(one, [] if one.labels else [()])
            if one.kind == "histogram":
                self._histograms[one] = Histogram(one.buckets, start)
            else:
                self._counters[one] = Counter(start)
        self._takers: dict[type[Fact], Taker | None] = dict(self._by_fact())
        self._errors = self._counters[series.ERRORS]

    def observe(self, fact: Fact) -> None:
        """Count what the fact tells of."""
        kind = type(fact)
        if kind not in self._takers:
            # A subclass counts as what it is a kind of; found out once.
            bases = (base for base in kind.__mro__ if self._takers.get(base) is not None)
            self._takers[kind] = self._takers.get(next(bases, kind))
        taker = self._takers[kind]
        with self._lock:
            if taker is not None:
                taker(fact)
            if fact.level == "error":
                self._errors.add((fact.event,))

    def read(self) -> Counts:
        """What was counted so far."""
        with self._lock:
            return Counts(
                {one: counter.read() for one, counter in self._counters.items()},
                {one: histogram.read() for one, histogram in self._histograms.items()},
            )

    def _by_fact(self) -> Mapping[type[Fact], Taker | None]:
        return {
            facts.NotificationAccepted: self._accepted(),
            facts.MessageStepped: self._stepped(),
            facts.RelayPassedOver: self._tried(),
            facts.MessageAlarmed: self._alarmed(),
            door_facts.RequestServed: self._served(),
            door_facts.ProbeServed: None,
            facts.GroupCommitted: self._committed(),
            facts.ClaimLost: self._many(series.AMBIGUOUS, lambda _: (CLAIM_LOST,)),
            facts.LeaseLost: self._once(series.LEASES_LOST),
            facts.ContentUnreadable: self._once(series.UNREADABLE),
            facts.WorkAbandoned: self._once(series.ABANDONED),
            facts.StoreAway: self._once(series.STORE_AWAY),
            door_facts.RequestCrashed: self._once(series.CRASHES),
            door_facts.MailCaptured: self._once(series.CAPTURED),
            door_facts.CaptureRefused: self._once(series.CAPTURE_REFUSED),
            door_facts.MailboxPruned: self._many(series.PRUNED, lambda _: ()),
            facts.Forgotten: self._many(series.FORGOTTEN, lambda fact: (fact.rule,)),
            facts.RegistrationChanged: self._by(series.REGISTRATIONS, lambda fact: (fact.step,)),
            facts.RelayUp: self._relay("up"),
            facts.RelayResting: self._relay("resting"),
            facts.RelayPaused: self._relay("paused"),
        }

    def _once(self, one: Series) -> Taker:
        add = self._counters[one].add
        return lambda _: add()

    def _by(self, one: Series, labels: Callable[[Any], Labels]) -> Taker:
        add = self._counters[one].add
        return lambda fact: add(labels(fact))

    def _many(self, one: Series, labels: Callable[[Any], Labels]) -> Taker:
        add = self._counters[one].add
        return lambda fact: add(labels(fact), fact.count)

    def _relay(self, state: str) -> Taker:
        return self._by(series.RELAY_CHANGES, lambda fact: (fact.relay, state))

    def _accepted(self) -> Taker:
        add = self._counters[series.ACCEPTED].add

        def take(fact: facts.NotificationAccepted) -> None:
            add((fact.stream,), fact.messages)

        return take

    def _served(self) -> Taker:
        add = self._histograms[series.REQUEST_S].add

        def take(fact: door_facts.RequestServed) -> None:
            add((fact.route, str(fact.status)), fact.ms / 1000)

        return take

    def _committed(self) -> Taker:
        writes = self._counters[series.WRITES].add
        commit_s = self._histograms[series.COMMIT_S].add

        def take(fact: facts.GroupCommitted) -> None:
            writes((), fact.members)
            commit_s((), fact.ms / 1000)

        return take

    def _tried(self) -> Taker:
        attempt = self._counters[series.ATTEMPTS].add
        attempt_s = self._histograms[series.ATTEMPT_S].add

        def take(fact: facts.RelayPassedOver | facts.MessageStepped) -> None:
            assert fact.relay is not None
            assert fact.verdict is not None
            attempt((fact.relay, fact.verdict))
            attempt_s((fact.relay,), (fact.ms or 0) / 1000)

        return take

    def _stepped(self) -> Taker:
        step = self._counters[series.MESSAGES].add
        tried = self._tried()
        ambiguous = self._counters[series.AMBIGUOUS].add
        delivery_s = self._histograms[series.DELIVERY_S].add
        now = self._clock

        def take(fact: facts.MessageStepped) -> None:
            step((fact.status,))
            if fact.relay is not None and fact.verdict is not None:
                tried(fact)
                if fact.verdict == Action.AMBIGUOUS:
                    ambiguous((fact.reason,))
            if fact.status in _DELIVERED and fact.stream is not None:
                delivery_s((fact.stream,), max(0.0, now() - _wanted_at_s(fact)))

        return take

    def _alarmed(self) -> Taker:
        stepped = self._stepped()
        alert = self._counters[series.ALERTS].add

        def take(fact: facts.MessageAlarmed) -> None:
            stepped(fact)
            alert((fact.reason,))

        return take


def _wanted_at_s(fact: facts.MessageStepped) -> float:
    """When the mail could have been sent at the earliest."""
    return fact.wanted_at.timestamp() if fact.wanted_at else made_at_s(fact.message_id)
