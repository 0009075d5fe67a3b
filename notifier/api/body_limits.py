"""Bounds on a request's body in size and time, kept while it arrives and before it is parsed."""

import asyncio
from dataclasses import dataclass
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from notifier.api.problems import send_problem
from notifier.api.refusals import BodyTooLarge, Overloaded, TooSlow
from notifier.api.wire import header
from notifier.core.errors import NotifierError
from notifier.settings.sections import HttpSettings

CONFIRM_BYTES: Final = 16 * 1024


class BodyLimits:
    """Answers 413 to more than `max_bytes`, announced or sent, and 408 after `timeout_s`.

    All bodies that are in memory at one time together come to `most_bytes`; 503 beyond that.

    `/confirm` faces the internet and asks for no key: a token's form is all it takes,
    `CONFIRM_BYTES` at most.
    """

    def __init__(self, app: ASGIApp, http: HttpSettings) -> None:
        self._app = app
        self._max_bytes = http.max_body_bytes
        self._timeout_s = http.request_timeout_s
        self._held = _Held(max(http.max_bodies_bytes, http.max_body_bytes))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        announced = body_length(scope) if scope["type"] == "http" else 0
        if announced == 0:
            await self._app(scope, receive, send)
            return
        limit = self._limit(scope["path"])
        if announced is not None and announced > limit:
            await send_problem(BodyTooLarge(limit), scope, receive, send)
        else:
            gate = _Gate(receive, limit, self._timeout_s, self._held)
            try:
                await self._measured(scope, gate, send)
            finally:
                gate.let_go()

    def _limit(self, path: str) -> int:
        small = path == "/confirm" or path.startswith("/confirm/")
        return min(CONFIRM_BYTES, self._max_bytes) if small else self._max_bytes

    async def _measured(self, scope: Scope, gate: "_Gate", send: Send) -> None:
        answered = False

        async def unless_shut(message: Message) -> None:
            # Whatever the application made of the interrupted body, the reason is ours.
            nonlocal answered
            if gate.shut is None or answered:
                await send(message)
            answered = answered or (gate.shut is None and message["type"].endswith("start"))

        try:
            await self._app(scope, gate.receive, unless_shut)
        except NotifierError as error:
            if error is not gate.shut:
                raise
        if gate.shut is not None and not answered:
            await send_problem(gate.shut, scope, gate.receive, send)


@dataclass(slots=True)
class _Held:
    """Bytes of bodies that are in memory now, of all requests together."""

    most_bytes: int
    now_bytes: int = 0


class _Gate:
    """`receive` with a tape measure; `shut` is why no more is let through."""

    def __init__(self, receive: Receive, max_bytes: int, timeout_s: float, held: _Held) -> None:
        self._held = held
        self._receive = receive
        self._max_bytes = max_bytes
        self._timeout_s = timeout_s
        self._until = asyncio.get_running_loop().time() + timeout_s
        self._seen_bytes = 0
        self._complete = False
        self.shut: NotifierError | None = None

    async def receive(self) -> Message:
        if self._complete:
            return await self._receive()
        try:
            async with asyncio.timeout_at(self._until):
                message = await self._receive()
        except TimeoutError:
            raise self._shut(TooSlow("The body", self._timeout_s)) from None
        count = len(message.get("body", b""))
        self._seen_bytes += count
        self._held.now_bytes += count
        if self._held.now_bytes > self._held.most_bytes:
            raise self._shut(Overloaded("Too many large bodies are under way; try again shortly."))
        if self._seen_bytes > self._max_bytes:
            raise self._shut(BodyTooLarge(self._max_bytes))
        self._complete = not message.get("more_body", False)
        return message

    def let_go(self) -> None:
        """The request is over, and its body out of memory."""
        self._held.now_bytes -= self._seen_bytes

    def _shut(self, why: NotifierError) -> NotifierError:
        self.shut = why
        return why


def body_length(scope: Scope) -> int | None:
    """Bytes announced by Content-Length, 0 without a body, None for a chunked one."""
    if header(scope, b"transfer-encoding") is not None:
        return None
    text = header(scope, b"content-length")
    # The HTTP parser has refused anything but digits; 20 of them hold every 64-bit length.
    return int(text[:20]) if text is not None and text.isdecimal() else 0
