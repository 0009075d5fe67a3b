"""HEAD for every GET, without a second route: the same headers and no body (RFC 9110 §9.3.2)."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class HeadAsGet:
    """Serves HEAD as GET and ends the answer after its headers, also that of a stream."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return
        scope["method"] = "GET"
        over = False

        async def headers_only(message: Message) -> None:
            nonlocal over
            if not over:
                over = True
                scope["method"] = "HEAD"  # the server counts the body's bytes by it
                await send(message)
                await send({"type": "http.response.body", "body": b"", "more_body": False})

        async def gone_when_over() -> Message:
            return {"type": "http.disconnect"} if over else await receive()

        await self._app(scope, gone_when_over, headers_only)
