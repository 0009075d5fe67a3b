"""Keeps other web pages from changing things or following streams with a visitor's browser.

`Sec-Fetch-Site` decides where it is sent. With `no-referrer` Chromium sends a same-origin form
with `Origin: null`, so Origin is asked only where the better header is missing. A client that
sends neither is no browser.
"""

from typing import Final
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Receive, Scope, Send

from notifier.api.problems import send_problem
from notifier.api.refusals import OriginNotAllowed
from notifier.api.wire import header, method, split_authority

_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_OUR_SITES: Final = frozenset({"same-origin", "none"})
_DEFAULT_PORTS: Final = {"http": "80", "https": "443"}


class OriginGuard:
    """Answers 403 to a mutation, stream or websocket that a page of another origin began.

    `POST /confirm…` is exempt: the token in it is the credential, and mail clients open the
    page in ways that lose the origin.
    """

    def __init__(self, app: ASGIApp, public_url: str | None) -> None:
        self._app = app
        self._public = urlsplit(public_url) if public_url else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] in ("http", "websocket") and _matters(scope) and not self._ours(scope):
            refusal = OriginNotAllowed("This cannot be called from a page of another origin.")
            await send_problem(refusal, scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _ours(self, scope: Scope) -> bool:
        site = header(scope, b"sec-fetch-site")
        if site is not None:
            return site in _OUR_SITES
        origin = header(scope, b"origin")
        return origin is None or self._same_origin(origin, header(scope, b"host") or "")

    def _same_origin(self, origin: str, host: str) -> bool:
        try:
            theirs = urlsplit(origin)
            their_port = str(theirs.port or _DEFAULT_PORTS.get(theirs.scheme, ""))
        except ValueError:
            return False
        if theirs.scheme not in _DEFAULT_PORTS or not theirs.hostname:
            return False
        name, port = split_authority(host)
        if (theirs.hostname, their_port) == (name, port or _DEFAULT_PORTS[theirs.scheme]):
            return True
        # A proxy in front may have changed Host; the public address has not changed.
        return self._public is not None and (
            (theirs.scheme, theirs.netloc.lower())
            == (self._public.scheme, self._public.netloc.lower())
        )


def _matters(scope: Scope) -> bool:
    verb, path = method(scope), scope["path"]
    if verb == "POST" and (path == "/confirm" or path.startswith("/confirm/")):
        return False
    return (
        scope["type"] == "websocket"
        or verb not in _SAFE_METHODS
        or "text/event-stream" in (header(scope, b"accept") or "").lower()
        # A page that does not say what it wants gets the stream as well.
        or path.endswith("/events")
    )
