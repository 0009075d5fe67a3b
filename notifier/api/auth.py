"""Who calls: API keys for `/v1`, and the one case in which none is needed.

Everything below `/v1` is authenticated before its body is read. A route says by `caller(...)`
which scopes it asks for; a test walks all routes.
"""

import re
from dataclasses import dataclass
from typing import Any, Final

from fastapi import Depends
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from notifier.api.frame import Frame
from notifier.api.problems import send_problem
from notifier.api.wire import LOOPBACK_NAMES, header, peer, split_authority
from notifier.core.api_key import MAX_KEY_CHARS, SCOPES, ApiKey, allows, digest
from notifier.core.errors import Forbidden, NotifierError, Unauthenticated
from notifier.core.route import Route
from notifier.settings.loopback import is_loopback

PUBLIC_ROUTES: Final = frozenset(
    {
        "/",
        "/healthz",
        "/readyz",
        "/metrics",
        "/openapi.json",
        "/docs",
        "/docs/{asset}",
        "/confirm",
        "/confirm/page.css",
    }
)
"""Path templates that need no key. Whole houses with guards of their own: `PUBLIC_MOUNTS`."""

PUBLIC_MOUNTS: Final = ("/mailbox", "/mailpit")
"""Paths of the dev mailbox: guarded by Host, Origin and, when set, a password."""

DEFAULT_PROJECT: Final = "default"

_PROXY_MARK: Final = re.compile(rb".*forwarded.*|via|.*(?:client|real|connecting|user)-?ip")


@dataclass(frozen=True, slots=True)
class Caller:
    """Who makes this call, and what he may do. `key_id` is None for a keyless call in dev."""

    project: str
    key_id: str | None
    scopes: frozenset[str]
    route: Route
    from_domains: tuple[str, ...]

    def may(self, scope: str) -> bool:
        """Whether the key has this scope."""
        return allows(self.scopes, scope)


KEYLESS: Final = Caller(DEFAULT_PROJECT, None, SCOPES, "live", ())


@dataclass(frozen=True, slots=True)
class Permit:
    """The dependency that `caller` makes; it can be found again on a route."""

    scopes: tuple[str, ...]

    async def __call__(self, request: Request) -> Caller:
        """The caller; raises `Unauthenticated`, or `Forbidden` when a scope is missing."""
        known: Caller | None = request.scope.get("notifier.caller")
        if known is None:
            raise Unauthenticated("This path needs an API key.")
        missing = [s for s in self.scopes if not known.may(s)]
        if missing:
            raise Forbidden(
                f"This key lacks the scope {' and '.join(missing)}.", code="scope_missing"
            )
        return known


def caller(*scopes: str) -> Any:
    """Marks a parameter as the caller, who must have all of `scopes`.

    `async def create(who: Annotated[Caller, caller("send")])`. Raises `ValueError` at definition
    for a scope that does not exist.
    """
    unknown = set(scopes) - SCOPES
    if unknown:
        raise ValueError(f"no such scope: {', '.join(sorted(unknown))}")
    return Depends(Permit(scopes))


class Authenticate:
    """Puts the `Caller` into the scope of every call below `/v1`, or answers 401."""

    def __init__(self, app: ASGIApp, frame: Frame) -> None:
        self._app = app
        self._frame = frame

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] == "http" and is_v1(scope["path"]):
            try:
                scope["notifier.caller"] = await self._who(scope)
            except NotifierError as error:
                await send_problem(error, scope, receive, send)
                return
        await self._app(scope, receive, send)

    async def _who(self, scope: Scope) -> Caller:
        credentials = header(scope, b"authorization")
        if credentials is not None:
            return self._accept(await self._frame.find_key(digest(_token(credentials))))
        if keyless_allowed(scope, self._frame):
            return KEYLESS
        raise Unauthenticated("Send `Authorization: Bearer ntf_live_…` with an API key.")

    def _accept(self, key: ApiKey | None) -> Caller:
        if key is None:
            raise Unauthenticated("This API key is not known.", code="key_unknown")
        if key.revoked_at is not None:
            raise Unauthenticated("This API key has been revoked.", code="key_revoked")
        if key.expired(self._frame.now()):
            raise Unauthenticated("This API key has expired.", code="key_expired")
        return Caller(key.project, key.id, key.scopes, key.route, key.from_domains)


def is_v1(path: str) -> bool:
    """Whether a path belongs to the API for servers."""
    return path == "/v1" or path.startswith("/v1/")


def keyless_allowed(scope: Scope, frame: Frame) -> bool:
    """Whether this call may do without a key: in dev, from this machine, and not by a proxy.

    A container's port is published on the host's loopback, which the process inside cannot
    see: `DEV__OPEN` stands in for the test of bind and peer.
    """
    settings = frame.settings
    if not settings.is_dev or _came_through_a_proxy(scope):
        return False
    names = LOOPBACK_NAMES | ({"notifier"} if settings.dev.open else set())
    if split_authority(header(scope, b"host") or "")[0] not in names:
        return False
    return settings.dev.open or (is_loopback(settings.http.host) and is_loopback(peer(scope) or ""))


def _came_through_a_proxy(scope: Scope) -> bool:
    return any(_PROXY_MARK.fullmatch(name) for name, _ in scope["headers"])


def _token(credentials: str) -> str:
    scheme, _, token = credentials.partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token or len(token) > MAX_KEY_CHARS:
        raise Unauthenticated(
            "The Authorization header has to be `Bearer` and an API key.", code="key_malformed"
        )
    return token
