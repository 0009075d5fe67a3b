"""The kept-open connections of one relay."""

import asyncio
import time
from collections.abc import Callable
from typing import Final

from notifier.settings.sections import RelaySettings
from notifier.smtp.client import QUIT_TIMEOUT_S, Client

CLOSE_GRACE_S: Final = QUIT_TIMEOUT_S + 0.5


class Pool:
    """At most `limits.connections` at once; whoever has a seat may hold one.

    The connection used last is taken first, so that those which a lull leaves over grow old and
    are closed. One that is lost, has carried its share or is too old is not handed out.
    """

    def __init__(
        self, limits: RelaySettings, make: Callable[[Callable[[Client], None]], Client]
    ) -> None:
        self.seats = asyncio.Semaphore(limits.connections)
        self._limits = limits
        self._make = make
        self._all: set[Client] = set()
        self._parked: list[Client] = []
        self._leaving: set[asyncio.Task[None]] = set()
        self._sweep: asyncio.TimerHandle | None = None
        self._closed = False

    @property
    def has_open(self) -> bool:
        """Whether a connection that was fit for mails is still open for more."""
        return any(client.mails for client in self._all)

    def take(self) -> Client | None:
        """A parked connection that is fit for a mail, if there is one."""
        while self._parked:
            client = self._parked.pop()
            if not client.is_connected:
                self._drop(client)
            elif self._is_due(client):
                self._retire(client)
            else:
                return client
        return None

    def new(self) -> Client:
        """A connection that is not open yet."""
        client = self._make(self._drop)
        self._all.add(client)
        return client

    def give(self, client: Client) -> None:
        """Take a connection back: park it, or let it go."""
        if not client.is_connected:
            self._drop(client)
        elif self._closed or self._is_due(client):
            self._retire(client)
        else:
            client.parked_at = asyncio.get_running_loop().time()
            self._parked.append(client)
            if self._sweep is None:
                self._plan_sweep()

    def discard(self, client: Client) -> None:
        """Close a connection at once: its dialogue was left in the middle."""
        client.abort()
        self._drop(client)

    async def aclose(self) -> None:
        """Say QUIT on the parked connections and close all; takes at most a few seconds."""
        self._closed = True
        if self._sweep is not None:
            self._sweep.cancel()
        while self._parked:
            self._retire(self._parked.pop())
        if self._leaving:
            await asyncio.wait(self._leaving, timeout=CLOSE_GRACE_S)
        for task in tuple(self._leaving):
            task.cancel()
        for client in tuple(self._all):
            self.discard(client)

    def _is_due(self, client: Client) -> bool:
        age = time.monotonic() - client.opened_at
        return (
            client.is_spent
            or client.mails >= self._limits.mails_per_connection
            or age > self._limits.connection_age_s
        )

    def _retire(self, client: Client) -> None:
        self._drop(client)  # it says nothing about the relay any more
        task = asyncio.get_running_loop().create_task(client.leave())
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)

    def _drop(self, client: Client) -> None:
        self._all.discard(client)
        if client in self._parked:
            self._parked.remove(client)

    def _plan_sweep(self) -> None:
        """Wake up when the connection that was parked first has been idle for too long."""
        self._sweep = None
        if self._parked and not self._closed:
            oldest = min(client.parked_at for client in self._parked)
            loop = asyncio.get_running_loop()
            self._sweep = loop.call_at(oldest + self._limits.idle_close_s, self._close_idle)

    def _close_idle(self) -> None:
        now = asyncio.get_running_loop().time()
        # Half a millisecond: timers may fire a clock tick early.
        limit = now - self._limits.idle_close_s + 0.0005
        for client in [client for client in self._parked if client.parked_at <= limit]:
            self._retire(client)
        self._plan_sweep()
