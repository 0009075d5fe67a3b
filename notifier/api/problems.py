"""Errors as RFC 9457 problem details: the only place that knows HTTP status numbers of errors."""

import json
from collections.abc import Mapping
from typing import Any, Final

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import Receive, Scope, Send

from notifier.api import refusals
from notifier.api.field_errors import field_errors
from notifier.core import errors
from notifier.core.errors import FieldError, NotifierError
from notifier.observe.context import REQUEST_ID

MEDIA_TYPE: Final = "application/problem+json"
MAX_ERRORS: Final = 200
MAX_POINTER_CHARS: Final = 256

STATUS: Final[dict[type[NotifierError], tuple[int, str]]] = {
    refusals.Malformed: (400, "The request cannot be read"),
    errors.Unauthenticated: (401, "A valid API key is needed"),
    errors.Forbidden: (403, "This key may not do that"),
    refusals.OriginNotAllowed: (403, "Not from another web page"),
    errors.NotFound: (404, "Not found"),
    refusals.MethodNotAllowed: (405, "Method not allowed"),
    refusals.TooSlow: (408, "The request came too slowly"),
    errors.Conflict: (409, "Not in this state"),
    errors.Gone: (410, "Gone"),
    refusals.BodyTooLarge: (413, "The body is too large"),
    refusals.UnsupportedBody: (415, "Only plain JSON is understood"),
    errors.Invalid: (422, "Some fields do not fit"),
    errors.KeyReused: (422, "The Idempotency-Key was used before"),
    errors.Refused: (422, "Refused"),
    errors.RateLimited: (429, "Too many requests"),
    refusals.HeadersTooLarge: (431, "The headers are too large"),
    errors.Unavailable: (503, "Not now"),
    NotifierError: (500, "Internal error"),
}
"""Status and title of each error; a class that is not here has those of its nearest ancestor."""

_INTERNAL: Final = NotifierError(
    "Something went wrong on our side; the request id leads to it in the log.",
    code="internal_error",
)


class ProblemError(BaseModel):
    """One field that does not fit."""

    pointer: str = Field(
        description="JSON pointer into the body (RFC 6901), or `header:<Name>`, `query:<name>`, "
        "`path:<name>`",
        examples=["/to/0"],
    )
    code: str = Field(examples=["bad_address"])
    detail: str = Field(examples=["This is not a mail address."])


class Problem(BaseModel):
    """What went wrong and what to do about it (RFC 9457)."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "type": "urn:notifier:problem:validation_failed",
                    "title": "Some fields do not fit",
                    "status": 422,
                    "detail": "1 field does not fit.",
                    "instance": "urn:notifier:request:req_0197f0c4a1b27c3d8e4f5a6b7c8d9e0f",
                    "code": "validation_failed",
                    "request_id": "req_0197f0c4a1b27c3d8e4f5a6b7c8d9e0f",
                    "errors": [
                        {
                            "pointer": "/to/0",
                            "code": "bad_address",
                            "detail": "This is not a mail address.",
                        }
                    ],
                }
            ]
        }
    )

    type: str = Field(description="URN that ends with `code`")
    title: str = Field(description="the kind of problem, always the same for one kind")
    status: int
    detail: str = Field(description="a sentence about this very case")
    instance: str | None = Field(description="URN of this occurrence")
    code: str = Field(description="stable, for programs")
    request_id: str | None = Field(description="leads to this request in the service's log")
    errors: list[ProblemError] = Field(description="every field that does not fit; may be empty")


def status_of(error: NotifierError | type[NotifierError]) -> tuple[int, str]:
    """HTTP status and title of an error."""
    kind = error if isinstance(error, type) else type(error)
    return next(STATUS[c] for c in kind.__mro__ if c in STATUS)


def problem(error: NotifierError) -> Response:
    """The response that tells a caller about `error`."""
    status, title = status_of(error)
    request_id = REQUEST_ID.get()
    found: tuple[FieldError, ...] = getattr(error, "errors", ())
    body = {
        "type": f"urn:notifier:problem:{error.code}",
        "title": title,
        "status": status,
        "detail": error.detail,
        "instance": f"urn:notifier:request:{request_id}" if request_id else None,
        "code": error.code,
        "request_id": request_id,
        "errors": [
            {"pointer": e.pointer[:MAX_POINTER_CHARS], "code": e.code, "detail": e.detail}
            for e in found[:MAX_ERRORS]
        ],
        **error.extra,
    }
    return Response(
        # ASCII, so that a lone surrogate in a pointer cannot break the answer.
        json.dumps(body, separators=(",", ":")),
        status,
        headers={"Cache-Control": "no-store", **_headers(error)},
        media_type=MEDIA_TYPE,
    )


async def send_problem(error: NotifierError, scope: Scope, receive: Receive, send: Send) -> None:
    """Answers from a middleware, where no exception handler is near. A websocket is closed."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008, "reason": error.code})
        return
    await problem(error)(scope, receive, send)


def internal_problem() -> Response:
    """The answer to a bug of ours: it says nothing but where to look."""
    return problem(_INTERNAL)


def problem_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """`responses=` of a route that may answer with these problem statuses, for OpenAPI."""
    titles: dict[int, list[str]] = {}
    for status, title in STATUS.values():
        titles.setdefault(status, []).append(title)
    return {
        status: {
            "description": " / ".join(titles[status]),
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status in statuses
    }


async def on_notifier_error(_: Request, exc: Exception) -> Response:
    """Handler of the whole tree; what only an operator can mend is a bug when it gets here."""
    if isinstance(exc, errors.Refused | errors.Unavailable):
        return problem(exc)
    raise exc


async def on_validation_error(_: Request, exc: Exception) -> Response:
    """Handler of FastAPI's own checks of body, query, path and headers."""
    assert isinstance(exc, RequestValidationError)
    if any(error["type"] == "json_invalid" for error in exc.errors()):
        return problem(refusals.UnreadableJson("The body is not JSON."))
    return problem(invalid(field_errors(exc.errors(), exc.body)))


async def on_http_exception(request: Request, exc: Exception) -> Response:
    """Handler of what FastAPI and Starlette raise: unknown paths and methods, bad forms.

    FastAPI wraps what goes wrong while a form is read in a 400; ours is then its cause.
    """
    assert isinstance(exc, HTTPException)
    if isinstance(exc.__cause__, NotifierError):
        return problem(exc.__cause__)
    if exc.status_code == 405:
        return problem(refusals.MethodNotAllowed(", ".join(_methods_here(request))))
    return problem(_from_http(exc))


def invalid(found: tuple[FieldError, ...]) -> errors.Invalid:
    """The `Invalid` that holds `found`."""
    shown = f"; the first {MAX_ERRORS} are listed" if len(found) > MAX_ERRORS else ""
    count = "1 field does" if len(found) == 1 else f"{len(found)} fields do"
    return errors.Invalid(f"{count} not fit{shown}.", errors=found)


def _methods_here(request: Request) -> list[str]:
    """What all routes of this path take together; the router names those of the first alone."""
    found: set[str] = set()
    for route in request.app.routes:
        if isinstance(route, Route) and route.matches(request.scope)[0] != Match.NONE:
            found |= route.methods or set()
    return sorted(found | ({"HEAD"} if "GET" in found else set()))


def _from_http(exc: HTTPException) -> NotifierError:
    match exc.status_code:
        case 404:
            return errors.NotFound("There is nothing at this path.")
        case 413:
            return refusals.Malformed("The form has too many or too large parts.")
        case _:
            return refusals.Malformed("The request cannot be read.")


def _headers(error: NotifierError) -> Mapping[str, str]:
    match error:
        case errors.Unavailable():
            return {"Retry-After": str(error.retry_after_s)}
        case errors.RateLimited():
            return _rate_limit_headers(error)
        case refusals.PasswordNeeded():
            return {"WWW-Authenticate": 'Basic realm="Notifier mailbox", charset="UTF-8"'}
        case errors.Unauthenticated(code="unauthenticated"):
            return {"WWW-Authenticate": "Bearer"}
        case errors.Unauthenticated():
            return {"WWW-Authenticate": 'Bearer error="invalid_token"'}
        case refusals.MethodNotAllowed():
            return {"Allow": error.allow}
        case refusals.BodyTooLarge() | refusals.TooSlow() | refusals.HeadersTooLarge():
            # The rest of the body is still on its way, and nobody is going to read it.
            return {"Connection": "close"}
        case _:
            return {}


def _rate_limit_headers(error: errors.RateLimited) -> Mapping[str, str]:
    """`RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers)."""
    return {
        "Retry-After": str(error.retry_after_s),
        "RateLimit-Policy": f'"default";q={error.limit};w={error.window_s}',
        "RateLimit": f'"default";r=0;t={error.retry_after_s}',
    }
