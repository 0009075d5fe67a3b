"""What `/readyz` says of a process: draining, unavailable, degraded with reasons, or ready."""

import asyncio
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from notifier.api.frame import Health
from notifier.assembly.watch import PROBE_PATIENCE_S, Watch
from notifier.core.errors import Unavailable
from notifier.observe.alarms import Alarms
from notifier.smtp.relays import Relays
from notifier.store.migrate import steps_ahead
from notifier.store.store import Store
from notifier.store.vitals import Vitals

BACKLOG_S: Final = 300.0
"""A mail that was due so long ago waits for something that is not just a burst."""

SKEW_S: Final = 5.0
"""Leases last 30 s, and a code a quarter of an hour: until here a wrong clock harms nobody."""

_GIB: Final = 1024**3
_SPAN: Final = ((86400, "days"), (3600, "h"), (60, "min"))


@dataclass(frozen=True, slots=True)
class Condition:
    """How a process does. `relays` is None where others deliver; `data_dir` None where nothing of
    the queue lies in it.
    """

    store: Store
    watch: Watch
    alarms: Alarms
    stop: asyncio.Event
    relays: Relays | None = None
    data_dir: Path | None = None

    async def __call__(self) -> Health:
        """A sick relay is no reason to send callers elsewhere: what they post is kept.

        Costs one trivial query; all others are at least some seconds apart.
        """
        if self.stop.is_set():
            return Health("draining", ("the process is stopping",))
        try:
            await self.store.ping()
        except Unavailable as error:
            return Health("unavailable", (error.detail,))
        found = (await self.watch.look(PROBE_PATIENCE_S)).vitals
        if found is not None and steps_ahead(found.revision) < 0:
            behind = f"the schema is at revision {found.revision}: run `notifier migrate`"
            return Health("unavailable", (behind,))
        reasons = (*self._of_relays(), *self._of_queue(found), *self._of_machine())
        return Health("degraded" if reasons else "ready", reasons)

    def _of_relays(self) -> Iterator[str]:
        if self.relays is not None:
            if not self.relays.serves("live"):
                yield "no relay is configured, so that mail waits: set NOTIFIER_RELAYS__MAIN__URL"
            for relay in self.relays.health():
                if relay.state != "up":
                    yield f"relay {relay.name} is {relay.state}: {relay.reason}"
        for alarm in self.alarms.recent():
            mails = "1 mail" if alarm.count == 1 else f"{alarm.count} mails"
            yield (
                f"relay {alarm.relay} refused {mails} ({alarm.reason}), "
                f"the last one {span(alarm.ago_s)} ago"
            )

    def _of_queue(self, found: Vitals | None) -> Iterator[str]:
        if found is None:
            return
        for one in found.depths:
            if one.oldest_age_s > BACKLOG_S:
                where = one.lane.stream if one.route == "live" else f"{one.lane.stream} (test)"
                yield f"the oldest mail has waited {span(one.oldest_age_s)} in {where}"
        if found.held:
            held = "1 message is held" if found.held == 1 else f"{found.held} messages are held"
            yield f"{held} until somebody retries or cancels: notifier status"
        if steps_ahead(found.revision) > 0:
            yield f"the schema is at revision {found.revision}, one release ahead of this program"

    def _of_machine(self) -> Iterator[str]:
        ahead_s = self.store.now.ahead.total_seconds()
        if abs(ahead_s) > SKEW_S:
            how = "ahead of" if ahead_s > 0 else "behind"
            yield f"the database's clock is {abs(ahead_s):.0f} s {how} this machine's"
        if self.data_dir is not None:
            yield from _of_disk(self.data_dir)


def _of_disk(folder: Path) -> Iterator[str]:
    """A twentieth of the disk is little, unless that is more than a gigabyte."""
    try:
        usage = shutil.disk_usage(folder)
    except OSError as error:
        yield f"NOTIFIER_DATA_DIR cannot be read: {error.strerror}"
        return
    if usage.free < min(usage.total / 20, _GIB):
        yield f"the disk of NOTIFIER_DATA_DIR is nearly full: {usage.free >> 20} MiB are free"


def span(seconds: float) -> str:
    """`45 s`, `12 min`, `3 h`, `2 days`: rounded down, for a sentence."""
    for unit_s, word in _SPAN:
        if seconds >= 2 * unit_s or (word == "min" and seconds >= unit_s):
            return f"{int(seconds // unit_s)} {word}"
    return f"{int(seconds)} s"
