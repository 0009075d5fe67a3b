"""The second set of books: plain Python that says what the store has to hold, and no more."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from notifier.core.message import Lane
from notifier.store.outbox import Claim, Claimed

PENDING = "pending"
HELD = "held"
MOST_ORPHANED = 5
LONGEST_GAP = timedelta(seconds=30)
LEAST_WAIT = timedelta(seconds=1)


@dataclass(slots=True)
class Entry:
    """One message. `owner` and `claims` are its fence; `flags` how often it was called doubtful.

    `stood_before` is the standstill before it was accepted; None: its life goes on in one.
    """

    id: str
    notification_id: str
    content_id: str
    rcpt_to: str
    lane: Lane
    sealed: bool
    created_at: datetime
    expires_at: datetime
    status: str = PENDING
    attempt: int = 0
    claims: int = 0
    orphaned: int = 0
    owner: str | None = None
    lease_ends: datetime | None = None
    put_back_at: datetime | None = None
    stood_before: timedelta | None = None
    final_at: datetime | None = None
    flags: int = 0
    erased: bool = False

    @property
    def is_final(self) -> bool:
        return self.status not in {PENDING, HELD}

    @property
    def unsaid(self) -> int:
        """Claims without an outcome that no event tells of yet; the next outcome has to."""
        return self.orphaned + (self.owner is not None) if self.status == PENDING else 0

    def is_leased(self, now: datetime) -> bool:
        return self.owner is not None and self.lease_ends is not None and self.lease_ends > now

    def may_be_due(self, at: datetime, now: datetime, ends: datetime) -> bool:
        """Whether this may stand as its due time: a lease is kept, and a wait is one."""
        if self.is_leased(now):
            return at == self.lease_ends
        if self.owner is None and self.put_back_at is not None:
            return min(self.put_back_at + LEAST_WAIT, self.expires_at) <= at <= ends
        return True

    def is_fence(self, claim: Claim) -> bool:
        """Whether an outcome of this claim would stand."""
        return self.status == PENDING and (self.owner, self.claims) == (claim.owner, claim.claims)


@dataclass(slots=True)
class Key:
    """An idempotency key: the notification that won it, and what its caller was told."""

    body: int
    notification_id: str
    answer: str
    used_at: datetime


@dataclass(slots=True)
class Book:
    """All messages that were ever accepted; those that retention deleted are in `tally`."""

    entries: dict[str, Entry] = field(default_factory=dict)
    keys: dict[str, Key] = field(default_factory=dict)
    tally: Counter[str] = field(default_factory=Counter)
    accepted: int = 0
    stood: timedelta = timedelta(0)
    last_said_at: datetime | None = None

    def ends(self, entry: Entry) -> datetime:
        """When its life is over, with the time for which it stood still."""
        before = entry.stood_before
        return entry.expires_at + (timedelta(0) if before is None else self.stood - before)

    def say_paused(self, now: datetime) -> None:
        """Every relay is paused; what lies between two sayings counts, if it is not too long."""
        if self.last_said_at is not None and now - self.last_said_at < LONGEST_GAP:
            self.stood += now - self.last_said_at
        self.last_said_at = now

    def accept(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            self.entries[entry.id] = entry
            self.accepted += 1

    def claim(self, claimed: Claimed, now: datetime) -> Entry:
        """A worker has it. Nobody else may, under a lease that still runs."""
        entry = self.entries[claimed.claim.id]
        assert entry.status == PENDING, "only what is pending can be claimed"
        assert not entry.is_leased(now), "nobody holds a row twice under a valid lease"
        entry.orphaned += entry.owner is not None
        entry.claims += 1
        entry.owner = claimed.claim.owner
        entry.lease_ends = claimed.due_at
        found = (claimed.claim.claims, claimed.attempt, claimed.orphaned)
        assert found == (entry.claims, entry.attempt, entry.orphaned), "a claim counts by one"
        return entry

    def put_back(self, entry: Entry, attempt: int, now: datetime) -> None:
        """An outcome after which it waits."""
        entry.owner, entry.orphaned, entry.attempt = None, 0, attempt
        entry.put_back_at = now

    def end(self, entry: Entry, status: str, attempt: int, now: datetime) -> None:
        """An outcome after which it is out of the queue."""
        entry.status, entry.attempt = status, attempt
        entry.owner, entry.orphaned = None, 0
        entry.final_at = now if entry.is_final else None
        self._erase_secret(entry)

    def _erase_secret(self, entry: Entry) -> None:
        shared = self._sharing(lambda one: one.content_id)[entry.content_id]
        if entry.sealed and all(one.is_final for one in shared):
            _erase(shared)

    def erase_bytes(self, before: datetime) -> None:
        """Retention of bytes."""
        for shared in self._sharing(lambda one: one.content_id).values():
            if _all_ended(shared, before):
                _erase(shared)

    def forget(self, before: datetime) -> None:
        """Retention of notifications: they are in the tally from now on."""
        for shared in self._sharing(lambda one: one.notification_id).values():
            if _all_ended(shared, before):
                for one in shared:
                    self.tally[one.status] += 1
                    del self.entries[one.id]

    def _sharing(self, what: Callable[[Entry], str]) -> dict[str, list[Entry]]:
        groups: dict[str, list[Entry]] = {}
        for entry in self.entries.values():
            groups.setdefault(what(entry), []).append(entry)
        return groups

    def forget_keys(self, before: datetime) -> None:
        self.keys = {name: key for name, key in self.keys.items() if key.used_at >= before}


def _all_ended(entries: Iterable[Entry], before: datetime) -> bool:
    return all(one.final_at is not None and one.final_at < before for one in entries)


def _erase(entries: Iterable[Entry]) -> None:
    for one in entries:
        one.erased = True
