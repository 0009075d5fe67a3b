"""The connections of one relay that have nothing to do just now."""

import asyncio
from collections.abc import Callable

from notifier.smtp.courier import Courier


class Parking:
    """Couriers who are free: the last one that came is taken first, so that those which a lull
    leaves over grow old. One that stood here for `idle_close_s` is given to `retire`.
    """

    def __init__(self, idle_close_s: float, retire: Callable[[Courier], None]) -> None:
        self._idle_close_s = idle_close_s
        self._retire = retire
        self._parked: list[Courier] = []
        self._sweep: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._parked)

    def put(self, courier: Courier) -> None:
        """He is free."""
        courier.parked_at = asyncio.get_running_loop().time()
        self._parked.append(courier)
        if self._sweep is None:
            self._plan_sweep()

    def take(self) -> Courier:
        """The one who was at work last."""
        return self._parked.pop()

    def remove(self, courier: Courier) -> None:
        """He is gone."""
        if courier in self._parked:
            self._parked.remove(courier)

    def close(self) -> None:
        """Retire all."""
        if self._sweep is not None:
            self._sweep.cancel()
        for courier in tuple(self._parked):
            self._retire(courier)

    def _plan_sweep(self) -> None:
        """Wake up when the connection that was parked first has been idle for too long."""
        self._sweep = None
        if self._parked:
            oldest = min(courier.parked_at for courier in self._parked)
            loop = asyncio.get_running_loop()
            self._sweep = loop.call_at(oldest + self._idle_close_s, self._close_idle)

    def _close_idle(self) -> None:
        # Half a millisecond: timers may fire a clock tick early.
        limit = asyncio.get_running_loop().time() - self._idle_close_s + 0.0005
        for courier in [one for one in self._parked if one.parked_at <= limit]:
            self._retire(courier)
        self._plan_sweep()
