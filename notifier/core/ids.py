"""Opaque, prefixed, sortable identifiers: `msg_` and 32 hex digits of a UUIDv7 (RFC 9562 §5.7)."""

import re
import threading
from collections.abc import Callable
from datetime import datetime
from typing import Literal

from notifier.core.clock import Clock

Prefix = Literal["ntf", "msg", "reg", "evt", "req", "cnt", "key", "own", "cap"]

_SHAPE = re.compile(r"[a-z]{3}_[0-9a-f]{32}")
_RANDOM_BYTES = 8
_POOL_BYTES = 512 * _RANDOM_BYTES
_COUNTER_BITS = 12
_COUNTER_MASK = (1 << _COUNTER_BITS) - 1


class IdSource:
    """Makes ids that sort in the order they were made, also within one millisecond.

    The 12 bits of `rand_a` are a counter (RFC 9562 §6.2 method 1): it starts at 0 in each new
    millisecond and, when it runs over or the clock steps back, the last millisecond is kept and
    moved on by one. Safe to call from several threads. Entropy is taken in advance, for some
    hundred ids at a time: asking the system for each would be most of what an id costs.
    """

    def __init__(self, now: Clock, entropy: Callable[[int], bytes]) -> None:
        self._now = now
        self._entropy = entropy
        self._lock = threading.Lock()
        self._last_ms = 0
        self._counter = 0
        self._pool = b""
        self._pool_at = 0

    def new(self, prefix: Prefix) -> str:
        """A fresh id with this prefix."""
        return f"{prefix}_{self.uuid7_hex()}"

    def uuid7_hex(self) -> str:
        """32 lower-case hex digits of a fresh UUIDv7."""
        at_ms = int(self._now().timestamp() * 1000)
        with self._lock:
            if at_ms > self._last_ms:
                self._last_ms, self._counter = at_ms, 0
            elif self._counter < _COUNTER_MASK:
                self._counter += 1
            else:
                self._last_ms, self._counter = self._last_ms + 1, 0
            ms, counter = self._last_ms, self._counter
            tail = self._random()
        return f"{ms << 80 | 0x7 << 76 | counter << 64 | 0b10 << 62 | tail:032x}"

    def _random(self) -> int:
        """62 random bits, each used once. Called under the lock."""
        if self._pool_at >= len(self._pool):
            self._pool, self._pool_at = self._entropy(_POOL_BYTES), 0
        begin, self._pool_at = self._pool_at, self._pool_at + _RANDOM_BYTES
        return int.from_bytes(self._pool[begin : self._pool_at]) & ((1 << 62) - 1)


def floor_of(prefix: Prefix, at: datetime) -> str:
    """An id that sorts before every id with this prefix made at `at` or later."""
    return f"{prefix}_{int(at.timestamp() * 1000) << 80:032x}"


def made_at_s(id_: str) -> float:
    """When an id was made, in seconds since 1970, to the millisecond."""
    return int(id_[4:16], 16) / 1000


def is_id(text: str, prefix: Prefix) -> bool:
    """Whether `text` has the shape of an id with this prefix."""
    return text.startswith(prefix + "_") and _SHAPE.fullmatch(text) is not None
