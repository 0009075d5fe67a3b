"""The API as one ASGI application: routes inside, guards around them."""

from collections.abc import Sequence

from fastapi import APIRouter, FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

import notifier
from notifier.api.auth import Authenticate, is_v1
from notifier.api.frame import Frame
from notifier.api.json_body import StrictRoute
from notifier.api.problems import (
    internal_problem,
    on_http_exception,
    on_notifier_error,
    on_validation_error,
)
from notifier.core.errors import NotifierError

__all__ = ["Frame", "create_app"]


def create_app(*, routers: Sequence[APIRouter], frame: Frame) -> ASGIApp:
    """The whole door, guards included. Does no I/O."""
    return Authenticate(routes_app(routers=routers, frame=frame), frame)


def routes_app(*, routers: Sequence[APIRouter], frame: Frame) -> FastAPI:
    """FastAPI with our errors, without guards: for the OpenAPI document and for tests of routes.

    Raises `TypeError` for a route below `/v1` whose body would not be read strictly.
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
    """Adds the finished routes as they are: `include_router` would match each request twice."""
    for route in router.routes:
        if isinstance(route, APIRoute) and is_v1(route.path):
            if not isinstance(route, StrictRoute):
                raise TypeError(f"{route.path} needs a router made by v1_router()")
        app.router.routes.append(route)


async def _on_bug(_: Request, __: Exception) -> Response:
    return internal_problem()
