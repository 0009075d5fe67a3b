"""uvicorn, made to stop as asked: streams end, exit code 0, a second Ctrl-C does not wait."""

import asyncio
import contextlib
import math
import os
import signal
import sys
from collections.abc import Iterator
from types import FrameType
from typing import Final

import uvicorn
from starlette.types import ASGIApp

from notifier.api.protocol import BoundedHttp
from notifier.settings.sections import HttpSettings

INTERRUPTED: Final = 130
"""Exit code after a second Ctrl-C, as a shell reports SIGINT."""

_TICK_S: Final = 1.0


class Server(uvicorn.Server):
    """Serves one application until `stop` is set, then for at most `http.grace_s` longer.

    It touches no signal handler: `stop_on_signals` does, once for a process with several
    servers. Streams have to end when `stop` is set; what has not ended after the grace time is
    cancelled.
    """

    def __init__(self, app: ASGIApp, http: HttpSettings, stop: asyncio.Event) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=BoundedHttp,
                ws="auto",
                lifespan="off",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                # The outer wall only: it answers plain text and counts idle connections too.
                limit_concurrency=max(1000, 4 * http.max_concurrency),
                timeout_graceful_shutdown=math.ceil(http.grace_s),
            )
        )
        self.stop = stop

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Captures none: uvicorn's own would raise them again at the end, and exit with 143."""
        yield

    async def main_loop(self) -> None:
        """Waits for `stop` instead of looking every 0.1 s; refreshes the Date header."""
        while not await self.on_tick(0):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_TICK_S):
                    await self.stop.wait()
                    self.should_exit = True


@contextlib.contextmanager
def stop_on_signals(stop: asyncio.Event) -> Iterator[None]:
    """Sets `stop` at SIGTERM or SIGINT. A second SIGINT ends the process at once.

    Nothing accepted is lost by that: what was answered with 202 is on the disk. To be entered
    in the main thread, inside the running loop.
    """
    loop = asyncio.get_running_loop()
    before = signal.getsignal(signal.SIGINT)

    def asked() -> None:
        stop.set()
        loop.remove_signal_handler(signal.SIGINT)
        # A plain handler, because the loop may be what hangs.
        signal.signal(signal.SIGINT, _end_now)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked)
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
        signal.signal(signal.SIGINT, before)


def _end_now(_: int, __: FrameType | None) -> None:
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(INTERRUPTED)
