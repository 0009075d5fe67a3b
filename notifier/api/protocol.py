"""The HTTP/1.1 protocol of uvicorn with what it lacks: bounds on the head of a request.

httptools takes a request line and headers of any length, for any time. Both could hold memory
and a connection for ever, and no ASGI middleware sees them before they are complete.
"""

import asyncio
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from notifier.api.problems import problem
from notifier.api.refusals import HeadersTooLarge, Malformed, TooSlow
from notifier.core.errors import NotifierError

MAX_HEAD_BYTES: Final = 64 * 1024
HEAD_TIMEOUT_S: Final = 30.0


class BoundedHttp(HttpToolsProtocol):
    """Answers 431 to a head over `MAX_HEAD_BYTES` and 408 to one over `head_timeout_s`.

    A connection that never says anything is closed after the same time. Its own refusals are
    problems (RFC 9457) too, and the connection ends with them.
    """

    head_timeout_s = HEAD_TIMEOUT_S

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._heads = 0
        self._open_head: int | None = None
        self._head_bytes = 0
        self._refused = False
        self._head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Starts the clock: the first head is due."""
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stops the clock."""
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Feeds the parser, and counts what belongs to a head that is still not complete."""
        if self._refused:
            return
        head = self._open_head
        super().data_received(data)
        if head is not None and head == self._open_head:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self._refuse(_too_large())

    def on_message_begin(self) -> None:
        """A head begins."""
        self._heads += 1
        self._open_head, self._head_bytes = self._heads, 0
        if self._head_timer is None:
            self._expect_head()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """A head is complete: the application is called, unless the head is too large."""
        self._open_head = None
        self._stop_timer()
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size > MAX_HEAD_BYTES:
            self._refuse(_too_large())
        else:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A part of a body; of a refused request, nobody wants it."""
        if not self._refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The end of a request."""
        if not self._refused:
            super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """The answer to what is no HTTP."""
        del msg
        self._refuse(Malformed("This is not a well-formed HTTP/1.1 request."))

    def _refuse(self, error: NotifierError) -> None:
        self._refused = True
        if not self._mid_answer():
            answer = problem(error)
            head = [*self.server_state.default_headers, *answer.raw_headers]
            lines = [b"%b: %b\r\n" % pair for pair in head if pair[0] != b"connection"]
            closing = [*lines, b"connection: close\r\n\r\n", bytes(answer.body)]
            self.transport.write(b"".join([STATUS_LINE[answer.status_code], *closing]))
        self.transport.close()

    def _mid_answer(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _expect_head(self) -> None:
        self._head_timer = self.loop.call_later(self.head_timeout_s, self._head_is_late)

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_is_late(self) -> None:
        self._head_timer = None
        if self._open_head is None:
            self.transport.close()
        else:
            self._refuse(TooSlow("The request's headers", self.head_timeout_s))


def _too_large() -> HeadersTooLarge:
    return HeadersTooLarge(f"Request line and headers may have {MAX_HEAD_BYTES:,} bytes at most.")
