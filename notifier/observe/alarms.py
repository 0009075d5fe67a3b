"""What calls for an operator and no state of ours shows: remembered for a while."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from notifier.observe.facts import Fact, MessageAlarmed

REMEMBERED_S: Final = 900.0


@dataclass(frozen=True, slots=True)
class Alarm:
    """So many messages were refused by a relay for one reason, the last one `ago_s` ago."""

    relay: str
    reason: str
    count: int
    ago_s: float


class Alarms:
    """Remembers refusals for a quarter of an hour after the last of their kind.

    `observe` is an `Observer`. `clock` gives seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._seen: dict[tuple[str, str], tuple[int, float]] = {}

    def observe(self, fact: Fact) -> None:
        """Anything but an alarm is let pass."""
        if not isinstance(fact, MessageAlarmed):
            return
        key, now = (fact.relay or "none", fact.reason), self._clock()
        with self._lock:
            count, last = self._seen.get(key, (0, now))
            self._seen[key] = (1 if now - last > REMEMBERED_S else count + 1, now)

    def recent(self) -> Sequence[Alarm]:
        """Those that are not forgotten yet, by relay and reason."""
        now = self._clock()
        with self._lock:
            seen = sorted(self._seen.items())
        return [
            Alarm(relay, reason, count, now - last)
            for (relay, reason), (count, last) in seen
            if now - last <= REMEMBERED_S
        ]
