"""Rates that all processes share: who may spend how much, and from when on."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import BigInteger, Connection, bindparam, case, type_coerce
from sqlalchemy.dialects.postgresql import insert

from notifier.store.schema import rate
from notifier.store.types import EPOCH
from notifier.store.write_queue import Write

MOST_AHEAD: Final = 1000
"""So many slices can have been taken before they may be spent: one by each process. What lies
further ahead was written by a clock that was wrong, and does not count."""

_MICROSECOND: Final = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Slice:
    """What somebody wants at `now`: so long a piece of the rate called `name`."""

    name: str
    length: timedelta
    now: datetime


_NOW = bindparam("now", type_=BigInteger)
_LENGTH = bindparam("length", type_=BigInteger)
_SPENT = type_coerce(rate.c.spent_until, BigInteger)
_starts = case(
    (_SPENT < _NOW, _NOW),
    (_SPENT > _NOW + MOST_AHEAD * _LENGTH, _NOW),
    else_=_SPENT,
)
_insert = insert(rate).values(name=bindparam("name"), spent_until=_NOW + _LENGTH)
_TAKE = _insert.on_conflict_do_update(
    index_elements=[rate.c.name], set_={"spent_until": _starts + _LENGTH}
).returning(type_coerce(rate.c.spent_until, BigInteger).label("spent_until"))


def _take(connection: Connection, items: Sequence[Slice]) -> Sequence[datetime]:
    return [_take_one(connection, item) for item in items]


def _take_one(connection: Connection, item: Slice) -> datetime:
    length = item.length // _MICROSECOND
    values = {"name": item.name, "now": (item.now - EPOCH) // _MICROSECOND, "length": length}
    return EPOCH + (int(connection.execute(_TAKE, values).scalar_one()) - length) * _MICROSECOND


TAKE_SLICE: Write[Slice, datetime] = Write("take_slice", 62, _take, key=lambda item: item.name)
"""From when on the slice may be spent: it begins where the one before it ends, whoever took that,
and never before now. So no two overlap, and what nobody took in time is lost: a pause saves
nothing up.
"""
