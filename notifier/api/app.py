"""The API as one ASGI application: routes inside, guards around them."""

from collections.abc import Sequence

from fastapi import APIRouter, FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp

import notifier
from notifier.api.access_log import AccessLog
from notifier.api.auth import PUBLIC_ROUTES, Authenticate, is_v1
from notifier.api.body_limits import BodyLimits
from notifier.api.docs import docs_router
from notifier.api.frame import Frame
from notifier.api.head import HeadAsGet
from notifier.api.hosts import HostGuard, allowed_hosts
from notifier.api.json_body import StrictRoute
from notifier.api.limiter import Limiter
from notifier.api.ops import ops_router
from notifier.api.origins import OriginGuard
from notifier.api.password import MailboxPassword, is_mailbox
from notifier.api.problems import (
    internal_problem,
    on_http_exception,
    on_notifier_error,
    on_validation_error,
)
from notifier.api.proxies import TrustedProxies
from notifier.api.request_ids import RequestIds
from notifier.core.errors import NotifierError

__all__ = ["Frame", "create_app", "protect"]


def create_app(*, routers: Sequence[APIRouter], frame: Frame) -> ASGIApp:
    """The whole door: routes, `frame.mounts`, and the guards around them. Does no I/O.

    Raises `Misconfigured` for a bad `HTTP__TRUSTED_PROXIES`.
    """
    app = routes_app(routers=[*routers, *own_routers(frame)], frame=frame)
    for path, mounted in frame.mounts.items():
        app.mount(path, mounted)
    return protect(Authenticate(app, frame), frame)


def protect(app: ASGIApp, frame: Frame) -> ASGIApp:
    """`app` behind every guard but the API key's: for another listener, such as the inbox's.

    The order is the order of trust: who and what is established first, then what is refused
    costs least, then what costs more.
    """
    http, settings = frame.settings.http, frame.settings
    app = BodyLimits(app, http)
    app = Limiter(app, http.max_concurrency)
    app = HeadAsGet(app)
    if settings.mailbox.password is not None:
        app = MailboxPassword(app, settings.mailbox.password.get_secret_value())
    app = OriginGuard(app, settings.public_url)
    app = HostGuard(app, allowed_hosts(settings))
    app = TrustedProxies(app, http.trusted_proxies)
    app = AccessLog(app, frame.observe)
    return RequestIds(app, frame.new_id)


def own_routers(frame: Frame) -> list[APIRouter]:
    """The routes that belong to no resource: the reference, and the probes.

    Outside dev the probes have `OPS__PORT`, where one is set, to themselves: what they tell is
    for the operator.
    """
    settings = frame.settings
    docs = docs_router(home="/mailbox" if settings.is_dev else "/docs")
    probes = ops_router(frame)
    return [docs, probes] if settings.is_dev or settings.ops.port is None else [docs]


def routes_app(*, routers: Sequence[APIRouter], frame: Frame) -> FastAPI:
    """FastAPI with our errors, without guards: for the OpenAPI document and for tests of routes.

    Raises `TypeError` for a route below `/v1` whose body would not be read strictly, and for one
    elsewhere that is not on the list of public ones.
    """
    app = FastAPI(
        title="Notifier",
        version=notifier.__version__,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
    )
    for kind, handler in {
        NotifierError: on_notifier_error,
        RequestValidationError: on_validation_error,
        HTTPException: on_http_exception,
        Exception: _on_bug,
    }.items():
        app.add_exception_handler(kind, handler)
    for router in routers:
        _add(app, router)
    app.state.frame = frame
    for name, value in frame.state.items():
        setattr(app.state, name, value)
    return app


def _add(app: FastAPI, router: APIRouter) -> None:
    """Adds the finished routes as they are, those of included routers too.

    FastAPI would match an included route twice, and leave its path template without prefix.
    """
    for route in router.routes:
        included = getattr(route, "original_router", None)
        if isinstance(included, APIRouter):
            _require_bare(route, included)
            _add(app, included)
            continue
        if isinstance(route, APIRoute):
            _require_guarded(route)
        app.router.routes.append(route)


def _require_guarded(route: APIRoute) -> None:
    if is_v1(route.path):
        if not isinstance(route, StrictRoute):
            raise TypeError(f"{route.path} needs a router made by v1_router()")
    elif route.path not in PUBLIC_ROUTES and not is_mailbox(route.path):
        raise TypeError(f"{route.path} asks nobody for a key, and is not in PUBLIC_ROUTES")


def _require_bare(route: BaseRoute, included: APIRouter) -> None:
    """What `include_router` was given besides the router would be lost by `_add`."""
    context = getattr(route, "include_context", None)
    if getattr(context, "prefix", "") or getattr(context, "dependencies", ()):
        raise TypeError(f"give {included.tags} its prefix and dependencies when it is made")


async def _on_bug(_: Request, __: Exception) -> Response:
    return internal_problem()
