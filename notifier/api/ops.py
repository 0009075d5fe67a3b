"""For machines: `/healthz` says the process lives, `/readyz` whether to send it work, `/metrics`
how it does.
"""

import asyncio
from typing import Final, Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, Router
from starlette.types import ASGIApp

from notifier.api.access_log import AccessLog
from notifier.api.auth import keyless_allowed
from notifier.api.frame import Frame, Health, HealthCheck, Scrape
from notifier.api.head import HeadAsGet
from notifier.api.hosts import HostGuard, allowed_hosts
from notifier.api.request_ids import RequestIds
from notifier.core.errors import Forbidden, Unavailable

HEALTH_TIMEOUT_S: Final = 5.0

_TAKES_WORK: Final = frozenset({"ready", "degraded"})
_FRESH: Final = {"Cache-Control": "no-store"}


class Alive(BaseModel):
    """The process answers."""

    status: Literal["alive"]


class Readiness(BaseModel):
    """Whether to send work here. `degraded` does: a sick relay or a backlog is no reason not to."""

    status: Literal["ready", "degraded", "draining", "unavailable"]
    reasons: list[str] = Field(examples=[["relay main: refuses the password (535)"]])


def ops_router(frame: Frame) -> APIRouter:
    """The probes as documented routes of the API's own port, and in dev the metrics.

    Outside dev they are on `NOTIFIER_OPS__PORT` alone: what waits in a queue is nobody's business
    who can reach a public API, and behind a proxy on the same machine every stranger seems local.
    """
    router = APIRouter(tags=["Operations"])

    @router.get("/healthz", response_model=Alive, operation_id="healthz")
    async def healthz() -> Response:
        """200 while the process is alive, whatever else is the matter."""
        return _alive()

    @router.get(
        "/readyz",
        response_model=Readiness,
        operation_id="readyz",
        responses={503: {"model": Readiness, "description": "Send no work here now"}},
    )
    async def readyz() -> Response:
        """503 only while shutting down, or when the store is away or its schema behind."""
        return await _ready(frame.health)

    if frame.scrape is not None and frame.settings.is_dev:
        _add_metrics(router, frame, frame.scrape)
    return router


def _add_metrics(router: APIRouter, frame: Frame, scrape: Scrape) -> None:
    @router.get("/metrics", include_in_schema=False, operation_id="metrics")
    async def metrics(request: Request) -> Response:
        """Shown to whoever needs no key."""
        if not keyless_allowed(request.scope, frame):
            raise Forbidden(
                "Metrics are shown to this machine only; NOTIFIER_OPS__PORT gives them a port."
            )
        return await _metrics(request, scrape)


def ops_app(frame: Frame) -> ASGIApp:
    """Probes and metrics, for `NOTIFIER_OPS__PORT`. Answers to every IP address as its Host."""

    async def healthz(_: Request) -> Response:
        return _alive()

    async def readyz(_: Request) -> Response:
        return await _ready(frame.health)

    async def metrics(request: Request) -> Response:
        assert frame.scrape is not None
        return await _metrics(request, frame.scrape)

    routes = [Route("/healthz", healthz), Route("/readyz", readyz)]
    if frame.scrape is not None:
        routes.append(Route("/metrics", metrics))
    app: ASGIApp = Router(routes)
    app = HostGuard(app, allowed_hosts(frame.settings, any_address=True))
    return RequestIds(AccessLog(HeadAsGet(app), frame.observe), frame.new_id)


def _alive() -> Response:
    return JSONResponse({"status": "alive"}, headers=_FRESH)


async def _metrics(request: Request, scrape: Scrape) -> Response:
    found = await scrape(request.headers.get("accept", ""))
    return Response(found.body, headers={**_FRESH, "Content-Type": found.content_type})


async def _ready(health: HealthCheck) -> Response:
    found = await _asked(health)
    return JSONResponse(
        {"status": found.status, "reasons": list(found.reasons)},
        200 if found.status in _TAKES_WORK else 503,
        headers=_FRESH,
    )


async def _asked(health: HealthCheck) -> Health:
    """What `health` says, or why it said nothing: a probe always gets an answer."""
    try:
        async with asyncio.timeout(HEALTH_TIMEOUT_S):
            return await health()
    except TimeoutError:
        return Health("unavailable", (f"the health check took over {HEALTH_TIMEOUT_S:g} s",))
    except Unavailable as error:
        return Health("unavailable", (error.detail,))
