"""`/confirm`: the browser's way to confirm. Looking never confirms, only the button does.

Mail scanners open links, some even run what they find; a GET therefore changes nothing, and a
second POST is a success like the first.
"""

from pathlib import Path
from typing import Annotated, Final
from urllib.parse import parse_qsl, urlsplit

from fastapi import APIRouter, Query
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from notifier.api.confirm_words import LANGUAGES, TONES, State, language_of
from notifier.api.deps import DeskDep, bell_task
from notifier.api.json_body import parse
from notifier.api.refusals import Malformed, UnsupportedBody
from notifier.core.errors import Gone, NotFound, NotifierError, Unavailable
from notifier.flows.confirmation import Confirmed, confirm_by_token, peek
from notifier.flows.desk import Desk
from notifier.store.registrations import Registration

_PAGES: Final = Path(__file__).parent / "pages"
_MAX_TOKEN_CHARS: Final = 128
_JSON_DEPTH: Final = 2
_STATUS: Final[dict[State, int]] = {"dead": 410, "unknown": 404, "later": 503}
_PRIVATE: Final = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex",
}


def confirm_router() -> APIRouter:
    """The page, its action and its stylesheet: all that has to face the internet."""
    router = APIRouter(tags=["Confirmation page"])
    pages = ConfirmPages()
    router.get("/confirm", response_class=Response, operation_id="confirm_page")(pages.show)
    router.post("/confirm", response_class=Response, operation_id="confirm")(pages.confirm)
    router.get("/confirm/page.css", include_in_schema=False)(pages.stylesheet)
    return router


class ConfirmPages:
    """Renders the page; holds its compiled template."""

    def __init__(self) -> None:
        environment = Environment(
            loader=FileSystemLoader(_PAGES), autoescape=True, undefined=StrictUndefined
        )
        self._page = environment.get_template("confirm.html")
        self._css = (_PAGES / "page.css").read_bytes()

    async def show(
        self, request: Request, desk: DeskDep, t: Annotated[str, Query()] = ""
    ) -> Response:
        """A page with one button. Looking at it changes nothing."""
        try:
            registration = await _peek(desk, t)
        except Unavailable as error:
            return self._later(request, desk, error)
        return self._answer(request, desk, _state_of(desk, registration), registration, t)

    async def confirm(self, request: Request, desk: DeskDep) -> Response:
        """Confirm with the token `t` of a form or of a JSON object."""
        token, is_json = await _token_of(request)
        try:
            done = await confirm_by_token(desk, token[:_MAX_TOKEN_CHARS])
        except (Gone, NotFound) as error:
            return await self._refused(request, desk, error, token if not is_json else None)
        except Unavailable as error:
            if is_json:
                raise
            return self._later(request, desk, error)
        if is_json:
            return _json_answer(done, request)
        target = done.registration.redirect_to
        if target is not None:
            where = with_registration(target, done.registration.id)
            return RedirectResponse(where, 303, _PRIVATE, bell_task(request))
        state: State = "already" if done.already else "done"
        answer = self._answer(request, desk, state, done.registration)
        answer.background = bell_task(request)
        return answer

    async def stylesheet(self) -> Response:
        """The page's only asset."""
        headers = {"Cache-Control": "public, max-age=3600", "X-Content-Type-Options": "nosniff"}
        return Response(self._css, 200, headers, "text/css")

    async def _refused(
        self, request: Request, desk: Desk, error: NotifierError, token: str | None
    ) -> Response:
        if token is None:
            raise error
        state: State = "dead" if isinstance(error, Gone) else "unknown"
        return self._answer(request, desk, state, await _peek(desk, token))

    def _later(self, request: Request, desk: Desk, error: Unavailable) -> Response:
        """A person sees a page, not a problem in JSON, also while the store is away."""
        answer = self._answer(request, desk, "later", None)
        answer.headers["Retry-After"] = str(error.retry_after_s)
        return answer

    def _answer(
        self,
        request: Request,
        desk: Desk,
        state: State,
        registration: Registration | None,
        token: str = "",
    ) -> Response:
        locale = registration.locale if registration else None
        lang = language_of(locale, request.headers.get("accept-language", ""))
        html = self._page.render(
            lang=lang,
            words=LANGUAGES[lang][state],
            tone=TONES[state],
            brand=desk.settings.brand,
            token=token if state == "ask" else "",
        )
        policy = {"Content-Security-Policy": _policy(registration)}
        return Response(html, _STATUS.get(state, 200), _PRIVATE | policy, "text/html")


def with_registration(target: str, registration_id: str) -> str:
    """`target` with the registration's id in its query. It proves nothing: the caller's back end
    reads the registration.
    """
    # Put in by hand: taken apart and joined again, `myapp:///x` and `?flag` come out changed.
    base, hash_, fragment = target.partition("#")
    joint = "&" if "?" in base else "?"
    return f"{base}{joint}registration_id={registration_id}{hash_}{fragment}"


async def _peek(desk: Desk, token: str) -> Registration | None:
    try:
        return await peek(desk, token[:_MAX_TOKEN_CHARS])
    except NotFound:
        return None


def _state_of(desk: Desk, registration: Registration | None) -> State:
    if registration is None:
        return "unknown"
    if registration.status == "confirmed":
        return "already"
    return "dead" if registration.expires_at <= desk.now() else "ask"


async def _token_of(request: Request) -> tuple[str, bool]:
    """The token, and whether it came as JSON. Raises Malformed, UnsupportedBody."""
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    body = await request.body()
    if media == "application/json":
        value, faults = parse(body, _JSON_DEPTH)
        token = value.get("t") if isinstance(value, dict) else None
        if faults or not isinstance(token, str):
            raise Malformed("Send an object whose `t` is the token of the link.")
        return token, True
    if media != "application/x-www-form-urlencoded":
        raise UnsupportedBody("Send `t` as a form field or in a JSON object.")
    try:
        fields = dict(parse_qsl(body.decode("ascii"), max_num_fields=10))
    except ValueError:
        raise Malformed("The form cannot be read.") from None
    return fields.get("t", ""), False


def _json_answer(done: Confirmed, request: Request) -> Response:
    answer = {
        "object": "confirmation",
        "status": done.registration.status,
        "already": done.already,
        "registration_id": done.registration.id,
        "redirect_to": done.registration.redirect_to,
    }
    return JSONResponse(answer, 200, _PRIVATE, background=bell_task(request))


def _policy(registration: Registration | None) -> str:
    """Browsers apply `form-action` to the redirect after the form as well."""
    targets = "'self'"
    if registration is not None and registration.redirect_to is not None:
        parts = urlsplit(registration.redirect_to)
        origin = f"{parts.scheme}://{parts.netloc}"
        targets += f" {origin if parts.scheme in {'http', 'https'} else parts.scheme + ':'}"
    return (
        "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'; "
        f"form-action {targets}"
    )
