"""What routes are handed: the desk that flows work with, the bell, and the caller as a client."""

from collections.abc import Callable
from typing import Annotated, Final, cast

from fastapi import Depends
from starlette.background import BackgroundTask
from starlette.requests import Request

from notifier.api.auth import Caller
from notifier.core.route import Route
from notifier.flows.desk import Client, Desk

DESK: Final = "desk"
RING: Final = "ring"
"""Names under which the composition root puts them into `Frame.state`."""


async def _desk(request: Request) -> Desk:
    return cast(Desk, request.app.state.desk)


DeskDep = Annotated[Desk, Depends(_desk)]


def client_of(caller: Caller) -> Client:
    """The caller as flows know him."""
    return Client(caller.project, caller.route, caller.from_domains)


def bell_task(request: Request, route: Route | None = None) -> BackgroundTask:
    """Rings the delivery wing's bell once the response, and so the commit before it, is out.

    `route` is that of the mail; None: not known here.
    """
    ring = cast("Callable[[Route | None], None]", request.app.state.ring)

    # `async`, although nothing is awaited: a plain function would go through the thread pool.
    async def rung() -> None:
        ring(route)

    return BackgroundTask(rung)
