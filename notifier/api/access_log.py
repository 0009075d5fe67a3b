"""One fact for each request, and the last net below it: a bug is answered, and logged once."""

import time
import traceback
from typing import Final

from fastapi.routing import APIRoute
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from notifier.api.problems import internal_problem
from notifier.api.wire import method
from notifier.observe.door_facts import ProbeServed, RequestCrashed, RequestServed
from notifier.observe.facts import Fact, Observer

PROBES: Final = frozenset({"/healthz", "/readyz", "/metrics"})
CLIENT_GONE: Final = 499
"""Logged (as by nginx) when the client left before an answer began; never sent."""

_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class AccessLog:
    """Emits `RequestServed` with the route's template: a path or query may hold a token."""

    def __init__(self, app: ASGIApp, observe: Observer) -> None:
        self._app = app
        self._observe = observe

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI. An exception ends here, except a cancellation."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, verb, status = time.perf_counter(), method(scope), CLIENT_GONE
        verb = verb if verb in _METHODS else "OTHER"

        async def watch(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watch)
        except ClientDisconnect:
            status = CLIENT_GONE
        except Exception as bug:  # noqa: BLE001 - outermost net of a request: always an answer
            self._observe(crash(bug, verb, route_of(scope)))
            if status == CLIENT_GONE:
                await internal_problem()(scope, receive, watch)
        finally:
            ms = round((time.perf_counter() - began) * 1000, 1)
            self._observe(_served(scope, verb, status, ms))


def route_of(scope: Scope) -> str:
    """The template of the route that took the request; `-` when none did."""
    route = scope.get("route")
    if isinstance(route, APIRoute):
        return route.path_format
    path = scope["path"]
    if path in PROBES:
        return str(path)
    root = scope.get("root_path")
    return f"{root}/…" if root else "-"


def crash(bug: Exception, verb: str, route: str) -> RequestCrashed:
    """The fact of a bug; the traceback holds code and messages, never local values."""
    lines = "".join(traceback.format_exception(bug, limit=-30))
    return RequestCrashed(verb, route, type(bug).__qualname__, lines)


def _served(scope: Scope, verb: str, status: int, ms: float) -> Fact:
    kind = ProbeServed if scope["path"] in PROBES else RequestServed
    caller = scope.get("notifier.caller")
    return kind(
        method=verb,
        route=route_of(scope),
        status=status,
        ms=ms,
        project=caller.project if caller else None,
        key_id=caller.key_id if caller else None,
        trace_id=scope.get("notifier.trace_id"),
    )
