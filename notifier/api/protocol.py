"""The HTTP/1.1 protocol of uvicorn with what it lacks: bounds on a request's head, a gentle end.

httptools takes a request line and headers of any length, for any time. Both could hold memory
and a connection for ever, and no ASGI middleware sees them before they are complete.

And a socket that is closed with unread bytes in it is reset, which takes the answer away from a
client that is still sending: it would see a broken connection where we said 413. So we stop
writing, read on for a while, and close then (RFC 9112 §9.6).
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final, cast

from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from notifier.api.problems import problem
from notifier.api.refusals import HeadersTooLarge, Malformed, TooSlow
from notifier.core.errors import NotifierError

MAX_HEAD_BYTES: Final = 64 * 1024
HEAD_TIMEOUT_S: Final = 30.0
LINGER_S: Final = 5.0


class BoundedHttp(HttpToolsProtocol):
    """Answers 431 to a head over `MAX_HEAD_BYTES` and 408 to one over `HEAD_TIMEOUT_S`.

    A connection that never says anything is closed after the same time. Its own refusals are
    problems (RFC 9457) too, and the connection ends with them. What is left of a body after its
    answer is thrown away for `LINGER_S` at most. What stands between the pieces of a body and
    behind it (chunk extensions, trailers) is bounded like a head.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._socket: asyncio.Transport | None = None
        self._heads = 0
        self._open_head: int | None = None
        self._shapeless_bytes = 0  # since a head began or ended, or a part of a body came
        self._receiving = False
        self._deaf = False
        self._stopping = False
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Starts the clock: the first head is due."""
        self._socket = transport
        super().connection_made(cast(asyncio.Transport, _Gentle(transport, self.close_gently)))
        self._set_timer(HEAD_TIMEOUT_S, self._head_is_late)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stops the clock."""
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Feeds the parser, and counts what belongs to a head that is still not complete."""
        if self._deaf:
            return
        self._shapeless_bytes += len(data)
        super().data_received(data)
        if self._is_endless():
            self._refuse(_too_large())
        if self._timer is None and self._is_idle():
            # Blank lines between requests: they have stopped the timer of an idle connection.
            self._set_timer(HEAD_TIMEOUT_S, self._head_is_late)

    def handle_websocket_upgrade(self) -> None:
        """Hands the connection over; it is not this protocol's any more."""
        super().handle_websocket_upgrade()
        self._deaf = True
        self._stop_timer()

    def on_message_begin(self) -> None:
        """A head begins."""
        self._heads += 1
        self._open_head, self._shapeless_bytes, self._receiving = self._heads, 0, True
        if self._heads > 1:
            self._set_timer(HEAD_TIMEOUT_S, self._head_is_late)
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """A head is complete: the application is called, unless the head is too large."""
        self._open_head, self._shapeless_bytes = None, 0
        self._stop_timer()
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size > MAX_HEAD_BYTES:
            self._refuse(_too_large())
        else:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A part of a body; of a refused request, nobody wants it."""
        self._shapeless_bytes = 0
        if not self._deaf:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The end of a request. If its answer has gone already, the next head is due."""
        self._receiving = False
        if self._deaf:
            return
        super().on_message_complete()
        if not self._mid_answer():
            self._set_timer(HEAD_TIMEOUT_S, self._head_is_late)

    def on_response_complete(self) -> None:
        """The end of an answer. If its request is still coming in, that has to end soon."""
        super().on_response_complete()
        if self._receiving and self._open_head is None and not self._deaf:
            self._set_timer(LINGER_S, self._close)

    def send_400_response(self, msg: str) -> None:
        """The answer to what is no HTTP."""
        del msg
        self._refuse(Malformed("This is not a well-formed HTTP/1.1 request."))

    def shutdown(self) -> None:
        """The server stops: no gentleness for a connection without a request under way."""
        self._stopping = True
        if self._deaf:
            self._close()
        else:
            super().shutdown()

    def close_gently(self) -> None:
        """Closes now if the request has come in completely, else when it had time to."""
        assert self._socket is not None
        if self._stopping or not self._receiving or not self._socket.can_write_eof():
            self._close()
        elif not self._deaf:
            self._deaf = True
            self._socket.write_eof()
            self._socket.resume_reading()
            self._set_timer(LINGER_S, self._close)

    def _refuse(self, error: NotifierError) -> None:
        self._receiving = True
        if not self._mid_answer():
            answer = problem(error)
            head = [*self.server_state.default_headers, *answer.raw_headers]
            lines = [b"%b: %b\r\n" % pair for pair in head if pair[0] != b"connection"]
            closing = [*lines, b"connection: close\r\n\r\n", bytes(answer.body)]
            self.transport.write(b"".join([STATUS_LINE[answer.status_code], *closing]))
        self.close_gently()

    def _is_endless(self) -> bool:
        listening = self._receiving and not self._deaf
        return listening and self._shapeless_bytes > MAX_HEAD_BYTES

    def _is_idle(self) -> bool:
        return not (self._receiving or self._deaf or self._mid_answer())

    def _mid_answer(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle  # None before the first request
        return cycle is not None and not cycle.response_complete

    def _close(self) -> None:
        self._stop_timer()
        if self._socket is not None:
            self._socket.close()

    def _set_timer(self, after_s: float, then: Callable[[], None]) -> None:
        self._stop_timer()
        self._timer = self.loop.call_later(after_s, then)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _head_is_late(self) -> None:
        if self._open_head is None:
            self._close()
        else:
            self._refuse(TooSlow("The request's headers", HEAD_TIMEOUT_S))


class _Gentle:
    """A transport whose `close` asks first; everything else is the transport's own."""

    def __init__(self, transport: asyncio.Transport, close: Callable[[], None]) -> None:
        self._transport = transport
        self._closing = False
        self._close = close

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def close(self) -> None:
        self._closing = True
        self._close()

    def is_closing(self) -> bool:
        return self._closing or self._transport.is_closing()


def _too_large() -> HeadersTooLarge:
    return HeadersTooLarge(f"Request line and headers may have {MAX_HEAD_BYTES:,} bytes at most.")
