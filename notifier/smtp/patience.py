"""How long a connection waits for what it waits for."""

import asyncio
from collections.abc import Callable
from typing import Final

from notifier.core.reply import Phase
from notifier.settings.sections import RelaySettings

CHAINED_MAIL_S: Final = 30.0
"""So long a chained MAIL may go unanswered after the reply to the dot before it: a relay that
threw it away would never answer."""

# Timers may fire a clock tick early.
_TICK_S: Final = 0.0005


class Patience:
    """One timer for a connection's whole life: a limit is a number that is compared when the
    timer goes off, and the timer itself is moved only when a limit is nearer than it.

    `over` is called when a limit has passed.
    """

    def __init__(self, limits: RelaySettings, over: Callable[[], None]) -> None:
        command = limits.command_timeout_s
        self._limits = {
            Phase.MAIL: command,
            Phase.RCPT: command,
            Phase.DATA: limits.data_timeout_s,
            Phase.BODY: limits.block_timeout_s,
            Phase.DOT: limits.dot_timeout_s,
        }
        self._chained_mail_s = min(command, CHAINED_MAIL_S)
        self._over = over
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._until: float | None = None
        self._deadline = 0.0

    def begin(self, longest_s: float) -> None:
        """A mail begins: none of its limits lies later than this."""
        self._deadline = self._loop.time() + longest_s

    def wait(self, phase: Phase, *, chained: bool) -> None:
        """Wait from now as long as this phase may take; `chained`: its mail was."""
        limit = self._limits[phase]
        if chained and phase is Phase.MAIL:
            limit = self._chained_mail_s
        until = self._until = min(self._loop.time() + limit, self._deadline)
        if self._timer is None:
            self._timer = self._loop.call_at(until, self._look)
        elif self._timer.when() > until:
            self._timer.cancel()
            self._timer = self._loop.call_at(until, self._look)

    def rest(self) -> None:
        """Nothing is waited for."""
        self._until = None

    def close(self) -> None:
        """Stop the timer."""
        self._until = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        if self._until is None:
            return
        if self._loop.time() >= self._until - _TICK_S:
            self._until = None
            self._over()
        else:
            self._timer = self._loop.call_at(self._until, self._look)
