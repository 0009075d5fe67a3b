"""A name for each request: taken from the caller or made here, sent back, put on every log line."""

import re
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from notifier.api.wire import header
from notifier.core.ids import IdSource
from notifier.observe.context import REQUEST_ID

_SANE: Final = re.compile(r"[A-Za-z0-9._-]{1,128}")
_TRACEPARENT: Final = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-.*)?")


class RequestIds:
    """Sets `REQUEST_ID`, and echoes `X-Request-Id` and a valid `traceparent`."""

    def __init__(self, app: ASGIApp, new_id: IdSource) -> None:
        self._app = app
        self._new_id = new_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        request_id = sane_request_id(header(scope, b"x-request-id")) or self._new_id.new("req")
        echoes = [(b"x-request-id", request_id.encode("ascii"))]
        traceparent = valid_traceparent(header(scope, b"traceparent"))
        if traceparent is not None:
            scope["notifier.trace_id"] = traceparent[3:35]
            echoes.append((b"traceparent", traceparent.encode("ascii")))

        async def echo(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *echoes]
            await send(message)

        token = REQUEST_ID.set(request_id)
        try:
            await self._app(scope, receive, echo)
        finally:
            REQUEST_ID.reset(token)


def sane_request_id(text: str | None) -> str | None:
    """`text` if it can be logged and sent back as it is, else None."""
    return text if text is not None and _SANE.fullmatch(text) else None


def valid_traceparent(text: str | None) -> str | None:
    """`text` if it is a W3C Trace Context `traceparent` (§3.2), else None.

    Version ff is forbidden, all-zero ids are invalid; only versions after 00 may be longer.
    """
    if text is None or len(text) > 256:
        return None
    match = _TRACEPARENT.fullmatch(text)
    if match is None or match[1] == "ff" or (match[1] == "00" and match[4]):
        return None
    return text if match[2].strip("0") and match[3].strip("0") else None
