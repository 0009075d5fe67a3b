"""What an operator does beside running services: look, explain, try again, call off, pause.

It needs the store alone, so that it works while services run and while none does.
"""

import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Literal

from notifier.core.address import parse_mailbox
from notifier.core.ids import IdSource, is_id
from notifier.core.message import TRANSITIONS, Status, Step
from notifier.store.backlog import Ended, Waiting, ended, waiting
from notifier.store.beside import Beside
from notifier.store.doorbell import ring_once
from notifier.store.operations import MOST, Cancel, Decided, Requeue, cancel, requeue
from notifier.store.relay_commands import MAX_REASON, RelayCommand, command_relay, relay_commands
from notifier.store.selection import (
    Selected,
    Selection,
    count_selected,
    ids_named,
    ids_selected,
)
from notifier.store.trails import Trail, trails_of, trails_to
from notifier.store.vitals import held
from notifier.store.workers import Worker, workers

Act = Literal["retry", "cancel"]
Progress = Callable[[int], None]
"""Told how many more are done."""

LATELY: Final = timedelta(hours=24)
BY_OPERATOR: Final = "by_operator"

RETRYABLE: Final = tuple(
    status for status in Status if (status.value, Step.PUT_BACK) in TRANSITIONS
)
CANCELABLE: Final = (Status.SCHEDULED, Status.QUEUED, Status.DEFERRED, Status.HELD)


@dataclass(frozen=True, slots=True)
class Overview:
    """The whole house at one moment. `ended` is about the mails of the last 24 hours."""

    at: datetime
    waiting: Sequence[Waiting]
    held: int
    ended: Ended
    workers: Sequence[Worker]
    commands: Sequence[RelayCommand]


class Operator:
    """Works on a store beside its services. `life` is the default life of a message."""

    def __init__(self, store: Beside, life: timedelta) -> None:
        self._store = store
        self._life = life
        self._ids = IdSource(store.now, os.urandom)

    def now(self) -> datetime:
        """The time on the clock that all processes share."""
        return self._store.now()

    def overview(self) -> Overview:
        """What waits, what became of the rest, who delivers, and what was ordered."""
        now = self.now()
        return Overview(
            at=now,
            waiting=self._store.read(waiting, now),
            held=self._store.read(held),
            ended=self._store.read(ended, now, LATELY),
            workers=self._store.read(workers),
            commands=self._store.read(relay_commands),
        )

    def alive(self) -> Sequence[Worker]:
        """The processes that deliver, as far as anybody heard of them lately."""
        return [one for one in self._store.read(workers) if one.is_alive(self.now())]

    def relay_commands(self) -> Sequence[RelayCommand]:
        """What was last ordered about each relay."""
        return self._store.read(relay_commands)

    def trails(self, who: str, *, most: int) -> Sequence[Trail]:
        """The last mails to an address, newest first, or those with an id.

        Raises AddressError for what is neither.
        """
        if is_id(who, "msg") or is_id(who, "ntf"):
            return self._store.read(trails_of, who, self.now(), most=most)
        address = parse_mailbox(who).address
        spellings = [address] if address == address.lower() else [address, address.lower()]
        return self._store.read(trails_to, spellings, self.now(), most=most)

    def count(self, selection: Selection) -> Selected:
        """How many messages a selection has now."""
        return self._store.read(count_selected, selection)

    def meant(self, names: Sequence[str]) -> Sequence[str]:
        """The messages that ids of messages and notifications stand for, each once.

        An id that stands for none is among them, so that it is found missing.
        """
        found = self._store.read(ids_named, names)
        return list(dict.fromkeys(one for name in names for one in found[name] or [name]))

    def decide_selected(
        self, act: Act, selection: Selection, progress: Progress
    ) -> Counter[Decided]:
        """Retry or cancel all that a selection has. What is committed stays so if a later batch
        fails.
        """
        # What ends from now on is not meant, and the walk must come to an end.
        until = selection.until or selection.at
        selection = replace(selection, until=min(until, selection.at))
        done: Counter[Decided] = Counter()
        after = ""
        while ids := self._store.read(ids_selected, selection, after=after, most=MOST):
            done += self.decide(act, ids, progress)
            after = ids[-1]
        return done

    def decide(self, act: Act, ids: Sequence[str], progress: Progress) -> Counter[Decided]:
        """Retry or cancel these messages, a batch at a time."""
        done: Counter[Decided] = Counter()
        for start in range(0, len(ids), MOST):
            batch = ids[start : start + MOST]
            done.update(self._retry(batch) if act == "retry" else self._cancel(batch))
            if act == "retry":
                # After the mails' commit, not with it: NOTIFY makes commits wait for each other.
                self._store.write(ring_once)
            progress(len(batch))
        return done

    def command(self, relay: str, reason: str, *, paused: bool) -> None:
        """Pause a relay in all processes until further notice, or let it go on."""
        order = RelayCommand(relay, paused, self.now(), reason[:MAX_REASON])
        self._store.write(command_relay, order)

    def _retry(self, ids: Sequence[str]) -> Sequence[Decided]:
        now = self.now()
        items = [
            Requeue(one, self._ids.new("evt"), now, now + self._life, BY_OPERATOR) for one in ids
        ]
        return self._store.write(requeue, items)

    def _cancel(self, ids: Sequence[str]) -> Sequence[Decided]:
        now = self.now()
        items = [Cancel(one, self._ids.new("evt"), now, BY_OPERATOR) for one in ids]
        return self._store.write(cancel, items)
