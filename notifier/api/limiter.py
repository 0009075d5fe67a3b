"""A bound on requests under way, so that overload is answered and not suffered."""

from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from notifier.api.access_log import PROBES
from notifier.api.auth import is_v1
from notifier.api.problems import send_problem
from notifier.api.refusals import Overloaded


class Limiter:
    """Answers 503 with Retry-After to more than `limit` requests at once.

    Paths outside `/v1` have a quarter of that to themselves: they ask for no key, and a stranger
    who sends slowly must not keep callers with keys out. Probes are always let in. A stream of
    events gives its seat back when it begins: a hundred open pages must not keep mail out, and
    whoever only claims to want a stream gains nothing.
    """

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self._app = app
        self._keyed = _Seats(limit)
        self._open = _Seats(max(1, limit // 4))

    @property
    def taken(self) -> int:
        """Seats taken now."""
        return self._keyed.taken + self._open.taken

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http" or scope["path"] in PROBES:
            await self._app(scope, receive, send)
            return
        seats = self._keyed if is_v1(scope["path"]) else self._open
        if seats.taken >= seats.limit:
            refusal = Overloaded("As many requests as allowed are under way; try again shortly.")
            await send_problem(refusal, scope, receive, send)
        else:
            await self._seated(seats, scope, receive, send)

    async def _seated(self, seats: "_Seats", scope: Scope, receive: Receive, send: Send) -> None:
        seats.taken += 1
        seated = True

        def leave() -> None:
            nonlocal seated
            if seated:
                seated = False
                seats.taken -= 1

        async def watch(message: Message) -> None:
            if message["type"] == "http.response.start" and _is_stream(message):
                leave()
            await send(message)

        try:
            await self._app(scope, receive, watch)
        finally:
            leave()


@dataclass(slots=True)
class _Seats:
    limit: int
    taken: int = 0


def _is_stream(start: Message) -> bool:
    return any(
        name.lower() == b"content-type" and value.startswith(b"text/event-stream")
        for name, value in start.get("headers", ())
    )
