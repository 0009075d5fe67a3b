"""Claims: due mail is taken under a lease, urgent mail first, each project in its turn."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import chain, zip_longest

from sqlalchemy import Connection

from notifier.core.envelope import Envelope
from notifier.core.message import Lane
from notifier.core.room import Room
from notifier.core.route import Route
from notifier.store.notifications import scheduled_at
from notifier.store.outbox import Claim, Claimed
from notifier.store.picking import Picked, Turn, bodies_of, pick, pick_these, take
from notifier.store.turns import Turns
from notifier.store.write_queue import Write


@dataclass(frozen=True, slots=True)
class ClaimRequest:
    """`owner` wants what is due at `now` and has room in `room`, until `lease_until`.

    `turns` is the claimer's memory of whose turn it is. `only`: of these messages those that are
    due and whose life is over, and no others, whoever's turn it is; without their bodies.
    """

    owner: str
    route: Route
    room: Room
    now: datetime
    lease_until: datetime
    turns: Turns = field(default_factory=Turns)
    only: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Catch:
    """What a claim brought, in the order in which it should leave.

    `more`: it ended for want of room, and more may be due.
    """

    mails: tuple[Claimed, ...]
    more: bool


def _claim(connection: Connection, items: Sequence[ClaimRequest]) -> Sequence[Catch]:
    return [_claim_one(connection, item) for item in items]


CLAIM: Write[ClaimRequest, Catch] = Write("claim", 30, _claim, key=lambda item: item.owner)
"""Due messages, urgent ones first. A claim counts even if the claimer dies right after it."""


class _Basket:
    """What was taken so far, with its lanes, and what there is room for."""

    def __init__(self, room: Room) -> None:
        self.picked: list[tuple[Lane, Picked]] = []
        self.full = False
        self._room = room
        self._size = 0
        self._plain = 0
        self._urgent = 0

    def free(self, lane: Lane) -> int:
        """Seats for messages of this lane."""
        room = self._room
        free = room.seats - len(self.picked)
        return free if lane is Lane.URGENT else min(free, room.plain - self._plain)

    @property
    def body_bytes(self) -> int:
        """So large may each body be that is read before it is known how many fit."""
        return self._room.size_bytes // max(self._room.seats, 1)

    def put(self, lane: Lane, row: Picked) -> bool:
        """False: it does not fit."""
        size = row.size_bytes
        if self._size + size > self._room.size_bytes and not self._may_be_large(lane):
            self.full = True
            return False
        self._size += size
        self.picked.append((lane, row))
        if lane is Lane.URGENT:
            self._urgent += 1
        else:
            self._plain += 1
        return True

    def _may_be_large(self, lane: Lane) -> bool:
        if lane is Lane.URGENT and self._room.urgent_alone:
            return self._urgent == 0
        return self._room.alone and not self.picked


def _claim_one(connection: Connection, wanted: ClaimRequest) -> Catch:
    basket = _Basket(wanted.room)
    if wanted.only is not None:
        wanted.turns.forget()
        wanted.turns.look(connection, wanted.route, wanted.now)
        _fill_with(connection, wanted, wanted.only, basket)
        return Catch(_claimed(connection, wanted, basket, {}), basket.full)
    looked = wanted.turns.look(connection, wanted.route, wanted.now)
    _fill(connection, wanted, basket)
    if not looked and not basket.full:
        # Less than there was room for, by a look that may be too old to know of the rest.
        wanted.turns.forget()
        wanted.turns.look(connection, wanted.route, wanted.now)
        _fill(connection, wanted, basket)
    large = {row.content_id for _, row in basket.picked if row.size_bytes > basket.body_bytes}
    return Catch(_claimed(connection, wanted, basket, bodies_of(connection, large)), basket.full)


def _fill(connection: Connection, wanted: ClaimRequest, basket: _Basket) -> None:
    for lane in Lane:
        waiting = wanted.turns.due(lane, wanted.now)
        while waiting and not basket.full:
            free = basket.free(lane)
            if free <= 0:
                basket.full = True
                return
            # Each project the same; who has more gets what the others leave, after them.
            projects, waiting = waiting[:free], waiting[free:]
            share = -(-free // len(projects))
            turn = Turn(wanted.route, lane, projects, wanted.now, share, basket.body_bytes)
            rows = pick(connection, turn)
            _take(connection, wanted, lane, basket, _in_turn(projects, rows))
            waiting += [project for project in projects if len(rows[project]) == share]


def _fill_with(
    connection: Connection, wanted: ClaimRequest, ids: Sequence[str], basket: _Basket
) -> None:
    due = pick_these(connection, ids, wanted.now)
    # Some may have got a longer life since they were found. They are wanted with their bodies.
    rows = [(lane, row) for lane, row in due if _life_ends(wanted, row) <= wanted.now]
    for lane in Lane:
        _take(connection, wanted, lane, basket, [row for its, row in rows if its is lane])


def _in_turn(projects: Sequence[str], rows: Mapping[str, Sequence[Picked]]) -> list[Picked]:
    """One of each project, then the second of each, and so on."""
    rounds = zip_longest(*(rows[project] for project in projects))
    return [row for row in chain.from_iterable(rounds) if row is not None]


def _take(
    connection: Connection,
    wanted: ClaimRequest,
    lane: Lane,
    basket: _Basket,
    rows: Sequence[Picked],
) -> None:
    """Put rows into the basket as long as there is room, and lease them."""
    taken: list[str] = []
    for row in rows[: basket.free(lane)]:
        if not basket.put(lane, row):
            break
        taken.append(row.id)
        wanted.turns.served(lane, row.project)
    if taken:
        take(connection, taken, wanted.owner, wanted.lease_until)


def _claimed(
    connection: Connection,
    wanted: ClaimRequest,
    basket: _Basket,
    large: Mapping[str, bytes | None],
) -> tuple[Claimed, ...]:
    # Later claims have overwritten when it was to be sent; the first, nearly always the only one
    # of a mail, need not ask.
    asked = {row.notification_id for _, row in basket.picked if row.claims}
    scheduled = scheduled_at(connection, asked) if asked else {}

    def wanted_at(row: Picked) -> datetime | None:
        return scheduled.get(row.notification_id) if row.claims else row.due_at

    return tuple(
        _mail(wanted, lane, row, large.get(row.content_id, row.body), wanted_at(row))
        for lane, row in basket.picked
    )


def _life_ends(wanted: ClaimRequest, row: Picked) -> datetime:
    total_us = wanted.turns.standstill_us
    if row.standstill_us is None or row.standstill_us == total_us:
        return row.expires_at
    return row.expires_at + timedelta(microseconds=total_us - row.standstill_us)


def _mail(
    wanted: ClaimRequest, lane: Lane, row: Picked, body: bytes | None, wanted_at: datetime | None
) -> Claimed:
    return Claimed(
        claim=Claim(row.id, wanted.owner, row.claims + 1),
        project=row.project,
        notification_id=row.notification_id,
        lane=lane,
        due_at=wanted.lease_until,
        expires_at=_life_ends(wanted, row),
        attempt=row.attempt,
        orphaned=row.orphaned + row.left_behind,
        envelope=Envelope(row.mail_from, row.rcpt_to, row.smtputf8),
        message_id=row.message_id,
        body=body,
        sealed=row.sealed,
        size_bytes=row.size_bytes,
        wanted_at=wanted_at,
    )
