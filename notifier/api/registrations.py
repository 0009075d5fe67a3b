"""`/v1/registrations`: begin a sign-up, read it, confirm it by code or token."""

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from notifier.api.auth import Caller, caller
from notifier.api.deps import DeskDep, bell_task, client_of
from notifier.api.json_body import v1_router
from notifier.api.problems import problem_responses
from notifier.api.registration_models import (
    CodeBody,
    Registration,
    RegistrationBody,
    TokenBody,
    registration_json,
)
from notifier.flows.confirmation import confirm_by_code, confirm_by_token
from notifier.flows.desk import Desk
from notifier.flows.registration import find, register
from notifier.store.registrations import Registration as Stored

Who = Annotated[Caller, caller("registrations")]


def registrations_router() -> APIRouter:
    """The routes."""
    router = v1_router("Registrations")
    router.post(
        "/registrations",
        status_code=202,
        response_model=Registration,
        responses=problem_responses(413, 415),
    )(create_registration)
    router.post(
        "/registrations/confirm",
        response_model=Registration,
        responses=problem_responses(404, 410, 413, 415),
    )(confirm_registration_by_token)
    router.get(
        "/registrations/{registration_id}",
        response_model=Registration,
        responses=problem_responses(404),
    )(get_registration)
    router.post(
        "/registrations/{registration_id}/confirm",
        response_model=Registration,
        responses=problem_responses(404, 410, 413, 415),
    )(confirm_registration_by_code)
    return router


async def create_registration(
    request: Request, body: RegistrationBody, who: Who, desk: DeskDep
) -> Response:
    """Begin a sign-up: a confirmation mail with a link and a code goes out.

    The answer is the same whether the address is known or not.
    """
    begun = await register(desk, client_of(who), body.to_sign_up())
    headers = {"Location": f"/v1/registrations/{begun.id}"}
    bell = bell_task(request, who.route)
    return JSONResponse(_json(desk, begun), 202, headers, background=bell)


async def get_registration(registration_id: str, who: Who, desk: DeskDep) -> Response:
    """A registration as it stands now."""
    return JSONResponse(_json(desk, await find(desk, client_of(who), registration_id)))


async def confirm_registration_by_code(
    request: Request, registration_id: str, body: CodeBody, who: Who, desk: DeskDep
) -> Response:
    """Confirm with the code as the person typed it; a second time is a success too.

    A wrong code is a 422 `code_wrong` with `tries_left`; too many burn the code, never the link.
    """
    done = await confirm_by_code(desk, client_of(who), registration_id, body.code)
    return JSONResponse(_json(desk, done.registration), background=bell_task(request, who.route))


async def confirm_registration_by_token(
    request: Request, body: TokenBody, who: Who, desk: DeskDep
) -> Response:
    """Confirm with the token of the link, from your own page; a second time is a success too."""
    done = await confirm_by_token(desk, body.token, client_of(who))
    return JSONResponse(_json(desk, done.registration), background=bell_task(request, who.route))


def _json(desk: Desk, registration: Stored) -> dict[str, object]:
    now = desk.now()
    resend_at = registration.created_at + timedelta(
        seconds=desk.settings.registration.resend_wait_s
    )
    pending = registration.status == "pending" and registration.expires_at > now
    return registration_json(registration, now, resend_at if pending else None)
