"""How many mails a relay may be sent now, where its rate is limited."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from notifier.core.errors import Unavailable

SLICE_S: Final = 0.1
_STORE_PAUSE_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class Grant:
    """So many mails may be sent, in `starts_in_s` seconds and then for `lasts_s` seconds."""

    mails: int
    starts_in_s: float
    lasts_s: float


Grants = Callable[[str, float], Awaitable[Grant]]
"""Takes the next slice of a relay's rate: its name, mails a second. May raise Unavailable."""


def slice_mails(rate_per_s: float) -> int:
    """How many mails are taken at once: a tenth of a second's, one at least."""
    return max(1, int(rate_per_s * SLICE_S))


class OwnRates:
    """Grants for one process that shares its relays with no other."""

    def __init__(self) -> None:
        self._spent_until: dict[str, float] = {}

    async def __call__(self, name: str, rate_per_s: float) -> Grant:
        """The next slice."""
        now, mails = time.monotonic(), slice_mails(rate_per_s)
        starts = max(now, self._spent_until.get(name, now))
        self._spent_until[name] = starts + mails / rate_per_s
        return Grant(mails, starts - now, mails / rate_per_s)


class Allowance:
    """What is left of the slice in hand. A slice that is over lapses with what was left of it,
    so that no pause is followed by more than one slice at once.

    `more` is called when a slice has come, `moved` by whoever lets a mail out of a line that the
    rate holds back. Without a rate everything is allowed.
    """

    def __init__(self, name: str, rate_per_s: float | None, grants: Grants) -> None:
        self.rate_per_s = rate_per_s
        self.more: Callable[[], None] = lambda: None
        self.moved: Callable[[], None] = lambda: None
        self._name = name
        self._grants = grants
        self._left = 0
        self._ends = 0.0
        self._asking: asyncio.Task[None] | None = None

    @property
    def left(self) -> int | None:
        """How many mails may go now; None: any number. Asks for more when it is none."""
        if self.rate_per_s is None:
            return None
        if self._left and time.monotonic() >= self._ends:
            self._left = 0
        if not self._left and self._asking is None:
            self._asking = asyncio.get_running_loop().create_task(self._ask(self.rate_per_s))
        return self._left

    def spend(self) -> bool:
        """Take one; False: wait for `more`."""
        if self.rate_per_s is None:
            return True
        if not self.left:
            return False
        self._left -= 1
        return True

    def close(self) -> None:
        """Ask no more."""
        if self._asking is not None:
            self._asking.cancel()

    async def _ask(self, rate_per_s: float) -> None:
        grant = await self._granted(rate_per_s)
        if grant.starts_in_s > 0:
            await asyncio.sleep(grant.starts_in_s)
        self._left = grant.mails
        self._ends = time.monotonic() + grant.lasts_s
        self._asking = None
        self.more()

    async def _granted(self, rate_per_s: float) -> Grant:
        """While the store is away nothing is sent: it could not be written down either."""
        while True:
            try:
                return await self._grants(self._name, rate_per_s)
            except Unavailable:
                await asyncio.sleep(_STORE_PAUSE_S)
