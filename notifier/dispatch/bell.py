"""The doorbell between the wings: rung after a commit, heard by whoever waits for work."""

import asyncio


class Bell:
    """Rings are not counted: however many came, the next `heard` returns once.

    Belongs to one event loop.
    """

    def __init__(self) -> None:
        self._rung = asyncio.Event()
        self._waiters = 0

    @property
    def awaited(self) -> bool:
        """Whether anybody waits for a ring."""
        return self._waiters > 0

    def ring(self) -> None:
        """There is something to do."""
        self._rung.set()

    async def heard(self) -> None:
        """Return at the next ring, or at once if it rang since the last call."""
        self._waiters += 1
        try:
            await self._rung.wait()
        finally:
            self._waiters -= 1
        self._rung.clear()
