"""`/v1/notifications`: accept, read, and tell the story of a notification."""

import json
from typing import Annotated, Final

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from notifier.api.auth import Caller, caller
from notifier.api.deps import DeskDep, bell_task, client_of
from notifier.api.idempotency import REPLAYED, fingerprint, idempotency_key
from notifier.api.json_body import v1_router
from notifier.api.notification_models import (
    Notification,
    NotificationBody,
    StoryPage,
    event_json,
    notification_json,
)
from notifier.api.problems import problem_responses
from notifier.core.errors import NotFound
from notifier.core.ids import is_id
from notifier.flows.intake import Once, accept
from notifier.store import notifications
from notifier.store.events import StoryPart, story
from notifier.store.notifications import NotificationView

_MOST: Final = 1000
_COMPACT: Final = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False)
_LIMIT = Query(ge=1, le=_MOST)
_AFTER = Query(pattern="^evt_[0-9a-f]{32}$", description="id of the last event of the page before")


def notifications_router() -> APIRouter:
    """The routes."""
    router = v1_router("Notifications")
    router.post(
        "/notifications",
        status_code=202,
        response_model=Notification,
        responses=problem_responses(413, 415),
    )(create_notification)
    router.get(
        "/notifications/{notification_id}",
        response_model=Notification,
        responses=problem_responses(404),
    )(get_notification)
    router.get(
        "/notifications/{notification_id}/events",
        response_model=StoryPage,
        responses=problem_responses(404),
    )(list_notification_events)
    return router


async def create_notification(
    request: Request,
    body: NotificationBody,
    who: Annotated[Caller, caller("send")],
    desk: DeskDep,
) -> Response:
    """Accept a notification: it is stored durably and sent in the background.

    202 means that it was committed, with its mail finished, and will be attempted.
    """
    key = idempotency_key(request)
    once = None
    if key is not None:
        once = Once("create_notification", key, fingerprint(await request.json()))
    accepted = await accept(desk, client_of(who), body.to_request(), _answer, once)
    headers = {"Location": f"/v1/notifications/{accepted.notification_id}"}
    if accepted.replayed:
        headers[REPLAYED] = "true"
    bell = bell_task(request, who.route)
    return Response(accepted.answer, 202, headers, "application/json", bell)


async def get_notification(
    notification_id: str, who: Annotated[Caller, caller("read")], desk: DeskDep
) -> Response:
    """A notification as it stands now."""
    view = await _find(desk, who, notification_id)
    return JSONResponse(notification_json(view))


async def list_notification_events(
    notification_id: str,
    who: Annotated[Caller, caller("read")],
    desk: DeskDep,
    limit: Annotated[int, _LIMIT] = _MOST,
    after: Annotated[str | None, _AFTER] = None,
) -> Response:
    """The whole story, one row per step, oldest first."""
    await _find(desk, who, notification_id)
    asked = StoryPart(who.project, notification_id, after, limit + 1)
    told = await desk.store.read(story, asked)
    has_more = len(told) > limit
    page = [event_json(event) for event in told[:limit]]
    cursor = page[-1]["id"] if has_more else None
    return JSONResponse(
        {"object": "list", "data": page, "has_more": has_more, "next_cursor": cursor}
    )


async def _find(desk: DeskDep, who: Caller, notification_id: str) -> NotificationView:
    found = None
    if is_id(notification_id, "ntf"):
        found = await desk.store.read(notifications.find, who.project, notification_id, desk.now())
    if found is None:
        raise NotFound("There is no such notification in this project.")
    return found


def _answer(view: NotificationView) -> str:
    return _COMPACT.encode(notification_json(view))
