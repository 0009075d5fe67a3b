"""The operator: tries messages once more, calls them off, and is told what became of that."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from notifier.store.operations import CANCEL, REQUEUE, Cancel, Decided, Requeue
from tests.model.book import HELD, PENDING, Entry
from tests.model.crew import Crew

RETRYABLE = {HELD, "failed", "expired", "rejected", "bounced"}
LIFE = timedelta(days=1)


@dataclass
class Operator:
    """`retried` are messages that came back from a final state."""

    crew: Crew
    retried: set[str] = field(default_factory=set)

    async def retry(self, entry: Entry) -> None:
        desk, now = self.crew.office.desk, self.crew.office.clock()
        item = Requeue(entry.id, desk.new_id.new("evt"), now, now + LIFE, "asked")
        decided = await desk.store.write(REQUEUE, item)
        if entry.status not in RETRYABLE:
            assert decided is Decided.NOT_POSSIBLE
        elif entry.erased:
            assert decided is Decided.BYTES_ERASED
        else:
            assert decided is Decided.DONE
            await self._reopen(entry, now)

    async def _reopen(self, entry: Entry, now: datetime) -> None:
        row = (await self.crew.ledger()).queue[entry.id]
        assert row.claims > entry.claims, "a fence only grows"
        self.retried.add(entry.id)
        entry.status, entry.attempt, entry.claims = PENDING, 0, row.claims
        entry.expires_at, entry.final_at, entry.put_back_at = now + LIFE, None, None
        entry.stood_before = self.crew.book.stood

    async def cancel(self, entry: Entry) -> None:
        desk, now = self.crew.office.desk, self.crew.office.clock()
        item = Cancel(entry.id, desk.new_id.new("evt"), now, "asked")
        decided = await desk.store.write(CANCEL, item)
        if entry.status not in {HELD, PENDING}:
            assert decided is Decided.NOT_POSSIBLE
        elif entry.status == PENDING and entry.is_leased(now):
            assert decided is Decided.BEING_SENT
        else:
            assert decided is Decided.DONE
            # Its last claim left no outcome: it may have arrived.
            entry.flags += entry.status == PENDING and entry.owner is not None
            self.crew.book.end(entry, "canceled", entry.attempt, now)
