"""The connections of one relay that are being opened."""

import asyncio
import time
from collections.abc import Callable

from notifier.core.reply import Outcome
from notifier.smtp.client import Client
from notifier.smtp.limits import opening_s
from notifier.smtp.slip import Slip

Opened = Callable[[Client, Slip | None, Outcome | None, float], None]
"""A connection is open, or failed with this outcome; the mail it was opened for alone, if any;
in so many seconds."""


class Openers:
    """Tasks that open connections: each for one mail alone, or for whoever is next.

    `opened` is told how each ended, unless it was called off; `ended` whenever one is over, with
    the error if it met a bug of ours, and its mail.
    """

    def __init__(
        self,
        make: Callable[[], Client],
        opened: Opened,
        ended: Callable[[Slip | None, BaseException | None], None],
    ) -> None:
        self._make = make
        self._opened = opened
        self._ended = ended
        self._tasks: dict[asyncio.Task[None], Slip | None] = {}

    def __len__(self) -> int:
        return len(self._tasks)

    @property
    def unbound(self) -> int:
        """How many are for whoever is next."""
        return sum(slip is None for slip in self._tasks.values()) if self._tasks else 0

    def open(self, slip: Slip | None) -> None:
        """Begin one."""
        task = asyncio.get_running_loop().create_task(self._run(slip))
        self._tasks[task] = slip
        task.add_done_callback(lambda task: self._end(task, slip))
        if slip is not None:
            slip.opening = task

    def call_off(self, surplus: int) -> None:
        """Give up so many that are for whoever is next, the latest first."""
        if surplus > 0:
            for task in [task for task, slip in self._tasks.items() if slip is None][-surplus:]:
                task.cancel()

    def close(self) -> None:
        """Give up all."""
        for task in tuple(self._tasks):
            task.cancel()

    async def _run(self, slip: Slip | None) -> None:
        client, began = self._make(), time.perf_counter()
        try:
            failure = await _open(client)
        except BaseException:  # called off, or a bug of ours: no open socket stays behind
            client.abort()
            raise
        task = asyncio.current_task()
        assert task is not None
        del self._tasks[task]
        if slip is not None:
            slip.opening = None
        self._opened(client, slip, failure, time.perf_counter() - began)

    def _end(self, task: asyncio.Task[None], slip: Slip | None) -> None:
        self._tasks.pop(task, None)
        self._ended(slip, None if task.cancelled() else task.exception())


async def _open(client: Client) -> Outcome | None:
    try:
        # What a relay can hold up ends by its phase's own limit; this is for anything else.
        async with asyncio.timeout(opening_s(client.target.limits)):
            return await client.open()
    except TimeoutError:
        client.abort()
        return client.failed(TimeoutError("longer than all phases together may take"))
