"""The callers: what they ask for, by the real way in, and what they were told."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from notifier.core.errors import KeyReused
from notifier.core.message import Lane
from notifier.flows.desk import Client
from notifier.flows.intake import Accepted, MailRequest, Once, TemplateWords, accept
from notifier.store.acceptance import ACCEPT, Acceptance
from tests.model.book import Entry, Key
from tests.model.crew import Crew, Doubt
from tests.store.world import World as Rows
from tests.store.writes import until, writer_busy
from tests.support.office import boxes, mail

Stream = Literal["urgent", "transactional", "bulk"]
SECRETS = TemplateWords(
    "verify_email", {"link": "https://notify.example.org/confirm?t=x", "code": "123456"}
)


@dataclass(frozen=True, slots=True)
class Wish:
    """What a call asks for; addresses are made for it."""

    recipients: int = 1
    stream: Stream = "transactional"
    project: str = "default"
    secret: bool = False
    begins_in_s: int = 0
    life_s: int | None = None


@dataclass
class Callers:
    """Whoever posts. `addresses` counts recipients, who are all different."""

    crew: Crew
    addresses: int = 0

    async def submit(self, wish: Wish, doubt: Doubt = "none") -> None:
        """A call without a key."""
        request, client = self._request(wish), Client(wish.project, "live")
        self.crew.break_commit(doubt)
        accepted = await self._accept(request, client, None)
        assert not accepted.replayed
        await self._book(wish, accepted.notification_id)

    async def submit_shared(self, wish: Wish, doubt: Doubt = "none") -> None:
        """Several recipients of one content, as the store can hold it."""
        item = self._shared(wish)
        self.crew.break_commit(doubt)
        assert await self.crew.office.desk.store.write(ACCEPT, item) is None
        await self._book(wish, item.notification.id, default_life=False)

    async def submit_once(self, wish: Wish, name: str, body: int) -> None:
        """A call with a key, perhaps not the first one, perhaps with another body."""
        request, client = self._request(wish), Client("default", "live")
        earlier = self.crew.book.keys.get(name)
        try:
            accepted = await self._accept(request, client, _once(name, body))
        except KeyReused:
            assert earlier is not None, "a new key is nobody else's"
            assert earlier.body != body, "the same call is answered, not refused"
            return
        if earlier is None:
            assert not accepted.replayed
            await self._book(wish, accepted.notification_id)
            self._keep(name, body, accepted)
        else:
            told = (earlier.body, earlier.notification_id, earlier.answer)
            assert (body, accepted.notification_id, accepted.answer) == told

    async def submit_twins(self, wish: Wish, name: str) -> None:
        """Two calls with one new key that wait for the same commit."""
        client = Client("default", "live")
        store = self.crew.office.desk.store
        async with writer_busy(store) as gate:
            twins = [
                asyncio.create_task(self._accept(self._request(wish), client, _once(name, 0)))
                for _ in range(2)
            ]
            await until(lambda: store.writes_waiting == 2)
            gate.opened.set()
            first, second = await asyncio.gather(*twins)
        assert (first.notification_id, first.answer) == (second.notification_id, second.answer)
        assert sorted([first.replayed, second.replayed]) == [False, True], "one of two is new"
        await self._book(wish, first.notification_id)
        self._keep(name, 0, first)

    async def _accept(self, request: MailRequest, client: Client, once: Once | None) -> Accepted:
        return await accept(self.crew.office.desk, client, request, lambda view: view.id, once)

    def _request(self, wish: Wish) -> MailRequest:
        now = self.crew.office.clock()
        begins = now + timedelta(seconds=wish.begins_in_s)
        chosen = {"words": SECRETS} if wish.secret else {}
        life = None if wish.life_s is None else begins + timedelta(seconds=wish.life_s)
        return mail(
            to=boxes(*self._addresses(wish)),
            stream=wish.stream,
            scheduled_at=begins if wish.begins_in_s else None,
            expires_at=life,
            **chosen,
        )

    def _shared(self, wish: Wish) -> Acceptance:
        desk, now = self.crew.office.desk, self.crew.office.clock()
        life = timedelta(seconds=wish.life_s or desk.settings.dispatch.life_s)
        return Rows(desk.store, desk.new_id, now, life).acceptance(
            *self._addresses(wish),
            lane=Lane[wish.stream.upper()],
            due_in_s=wish.begins_in_s,
            sealed=wish.secret,
        )

    def _addresses(self, wish: Wish) -> list[str]:
        first = self.addresses
        self.addresses += wish.recipients
        return [f"m{number}@example.org" for number in range(first, self.addresses)]

    async def _book(self, wish: Wish, notification_id: str, *, default_life: bool = True) -> None:
        """Enter what was answered; the store's ids and times are taken from its rows."""
        ledger = await self.crew.ledger()
        rows = [row for row in ledger.messages.values() if row.notification_id == notification_id]
        assert len(rows) == wish.recipients, "what is answered is stored"
        # The mail with secrets has a life of its own: that of its link.
        stands = default_life and wish.life_s is None and not wish.secret
        self.crew.book.accept(
            Entry(
                id=row.id,
                notification_id=notification_id,
                content_id=row.content_id,
                rcpt_to=row.rcpt_to,
                lane=Lane[wish.stream.upper()],
                sealed=wish.secret,
                created_at=row.created_at,
                expires_at=ledger.queue[row.id].expires_at,
                stood_before=self.crew.book.stood if stands else None,
            )
            for row in sorted(rows, key=lambda row: row.position)
        )

    def _keep(self, name: str, body: int, accepted: Accepted) -> None:
        now = self.crew.office.clock()
        self.crew.book.keys[name] = Key(body, accepted.notification_id, accepted.answer, now)


def _once(name: str, body: int) -> Once:
    return Once("create_notification", name, f"fingerprint of {body}")
