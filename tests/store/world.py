"""What store tests are written with: rows made in one line, claims and outcomes in another."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, func, select

from notifier.core.envelope import Envelope
from notifier.core.ids import IdSource
from notifier.core.message import Lane, Step
from notifier.core.room import Room
from notifier.store import notifications
from notifier.store.acceptance import (
    ACCEPT,
    Acceptance,
    FirstCall,
    NewContent,
    NewMessage,
    NewNotification,
    OnceKey,
)
from notifier.store.claiming import CLAIM, Catch, ClaimRequest
from notifier.store.events import Event
from notifier.store.notifications import NotificationView
from notifier.store.outbox import Claimed
from notifier.store.outcomes import RECORD, Outcome
from notifier.store.schema import content
from notifier.store.store import Store
from notifier.store.turns import Turns

MANY_BYTES = 2**40


@dataclass
class World:
    """A store under test; `now` is its clock."""

    store: Store
    ids: IdSource
    now: datetime
    life: timedelta

    def acceptance(
        self,
        *to: str,
        body: bytes = b"Subject: x\r\n\r\nhello\r\n",
        lane: Lane = Lane.TRANSACTIONAL,
        due_in_s: float = 0,
        once: OnceKey | None = None,
        sealed: bool = False,
        project: str = "default",
    ) -> Acceptance:
        """A notification to these recipients, who share one content."""
        notification_id = self.ids.new("ntf")
        content_id = self.ids.new("cnt")
        stored = self.store.seal.seal(body) if sealed else body
        return Acceptance(
            notification=NewNotification(
                id=notification_id,
                project=project,
                route="live",
                lane=lane,
                created_at=self.now,
                expires_at=self.now + self.life,
                scheduled_at=self.now + timedelta(seconds=due_in_s) if due_in_s else None,
            ),
            contents=(NewContent(content_id, stored, sealed, len(body)),),
            messages=tuple(
                NewMessage(self.ids.new("msg"), content_id, Envelope("s@example.org", one), "<m@x>")
                for one in to or ("a@example.org",)
            ),
            accepted=Event(
                self.ids.new("evt"),
                project,
                "notification.accepted",
                self.now,
                notification_id=notification_id,
            ),
            once=once,
        )

    async def accept(self, item: Acceptance) -> FirstCall | None:
        return await self.store.write(ACCEPT, item)

    async def claim(
        self, owner: str = "one", seats: int = 10, turns: Turns | None = None
    ) -> Sequence[Claimed]:
        catch = await self.catch(Room(seats, seats, MANY_BYTES), owner, turns)
        return catch.mails

    async def catch(self, room: Room, owner: str = "one", turns: Turns | None = None) -> Catch:
        lease_until = self.now + timedelta(seconds=30)
        request = ClaimRequest(owner, "live", room, self.now, lease_until, turns or Turns())
        return await self.store.write(CLAIM, request)

    async def record(
        self, claimed: Claimed, step: Step | None, *, due_in_s: float = 0, attempt: int = 1
    ) -> bool:
        event = Event(
            self.ids.new("evt"),
            "default",
            "message.attempted",
            self.now,
            notification_id=claimed.notification_id,
            message_id=claimed.claim.id,
            data={"attempt": attempt},
        )
        due_at = self.now + timedelta(seconds=due_in_s)
        outcome = Outcome(claimed.claim, self.now, step, due_at, attempt, (event,))
        return await self.store.write(RECORD, outcome)

    async def view(self, notification_id: str) -> NotificationView:
        found = await self.store.read(notifications.find, "default", notification_id, self.now)
        assert found is not None
        return found

    async def status(self, notification_id: str) -> str:
        return (await self.view(notification_id)).messages[0].status.value

    async def erased(self, content_id: str) -> bool:
        def read(connection: Connection) -> bool:
            body = connection.execute(select(content.c.body).where(content.c.id == content_id))
            return body.scalar_one() is None

        return await self.store.read(read)

    async def count(
        self, table_column: ColumnElement[Any], route: Literal["live", "test"] = "live"
    ) -> int:
        def read(connection: Connection) -> int:
            return int(connection.execute(select(func.count(table_column))).scalar_one())

        return await self.store.read(read)
