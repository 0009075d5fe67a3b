"""The inbox: server-rendered pages, the fragments that keep them live, and captured documents."""

import hashlib
from functools import partial
from importlib import resources
from typing import Annotated, Literal, TypedDict

import jinja2
from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import RedirectResponse, Response

from notifier.core.errors import Invalid, NotFound
from notifier.mailbox import documents
from notifier.mailbox.apart import apart
from notifier.mailbox.desk import Desk
from notifier.mailbox.live import live_stream
from notifier.mailbox.records import Totals
from notifier.mailbox.search import parse_query
from notifier.mailbox.views import PaneView, RowView, pane_view, row_view, sized

PAGE_ROWS = 100
PAGE_ROWS_MAX = 1000
PAGE_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; frame-src 'self'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}
Before = Annotated[int | None, Query(ge=1, lt=2**63)]  # what SQLite can compare
_STATIC_TYPES = {
    "mailbox.css": "text/css; charset=utf-8",
    "mailbox.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}


class ListView(TypedDict):
    """The list pane."""

    rows: list[RowView]
    more: int | None
    shown: int
    totals: Totals
    q: str
    problem: str | None


class Ui:
    """The templates and static files, read once from the package."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        files = resources.files("notifier.mailbox") / "ui"
        self.static = {
            name: (files / "static" / name).read_bytes() for name in sorted(_STATIC_TYPES)
        }
        digest = hashlib.sha256(b"".join(self.static.values())).hexdigest()[:12]
        environment = jinja2.Environment(
            loader=jinja2.PackageLoader("notifier.mailbox", "ui"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        environment.globals.update(version=digest, sized=sized)
        self._template = environment.get_template

    def page(self, name: str, status: int = 200, **context: object) -> Response:
        """A whole page or a fragment, with the policy of our own pages."""
        host, port = self._desk.smtp_address
        text = self._template(name).render(
            smtp_host=host, smtp_port=port, banner=self._desk.banner, **context
        )
        return Response(text, status, PAGE_HEADERS, media_type="text/html; charset=utf-8")


def create_pages(desk: Desk) -> APIRouter:
    """Routes below `/mailbox`; none of them is part of the API's description."""
    router = APIRouter(prefix="/mailbox", include_in_schema=False, tags=["mailbox"])
    ui = Ui(desk)
    _add_inbox(router, desk, ui)
    _add_message(router, desk, ui)
    _add_documents(router, desk)
    _add_live(router, desk)
    _add_static(router, ui)
    return router


def _add_inbox(router: APIRouter, desk: Desk, ui: Ui) -> None:
    @router.get("")
    async def inbox(q: str = "", before: Before = None) -> Response:
        """The inbox, nothing opened."""
        listing = await _listing(desk, q, before=before)
        return ui.page("inbox.html", listing=listing, pane=None, missing=False)

    @router.get("/")
    async def inbox_with_slash() -> Response:
        """The address as people type it."""
        return RedirectResponse("/mailbox", 308)

    @router.get("/list")
    async def listing(
        q: str = "",
        before: Before = None,
        rows: Annotated[int, Query(ge=1, le=PAGE_ROWS_MAX)] = PAGE_ROWS,
    ) -> Response:
        """The list alone, for a page that is open."""
        return ui.page("list.html", listing=await _listing(desk, q, before=before, rows=rows))


def _add_message(router: APIRouter, desk: Desk, ui: Ui) -> None:
    @router.get("/messages/{message_id}")
    async def message(message_id: str, q: str = "", tab: str | None = None) -> Response:
        """The inbox with this mail opened. Reading it by address marks nothing."""
        listing = await _listing(desk, q)
        try:
            pane = await _pane(desk, message_id, tab)
        except NotFound:
            return ui.page("inbox.html", 404, listing=listing, pane=None, missing=True)
        return ui.page("inbox.html", listing=listing, pane=pane, missing=False)

    @router.get("/messages/{message_id}/pane")
    async def pane(message_id: str, tab: str | None = None) -> Response:
        """The opened mail alone, for a page that is open."""
        try:
            shown = await _pane(desk, message_id, tab)
        except NotFound:
            return ui.page("missing.html", 404)
        return ui.page("pane.html", pane=shown)

    @router.post("/messages/{message_id}/read", status_code=204)
    async def read(message_id: str) -> Response:
        """Marks read: a POST, so that a foreign page's image marks nothing."""
        await desk.store.mark(message_id, is_read=True)
        return Response(status_code=204)

    @router.post("/messages/{message_id}/unread", status_code=204)
    async def unread(message_id: str) -> Response:
        """Marks unread."""
        await desk.store.mark(message_id, is_read=False)
        return Response(status_code=204)


def _add_documents(router: APIRouter, desk: Desk) -> None:
    @router.get("/messages/{message_id}/frame")
    async def frame(
        request: Request, message_id: str, images: Literal["true"] | None = None
    ) -> Response:
        """The HTML of the mail, for the sandboxed frame."""
        mail = await desk.store.mail(message_id)
        size, load = len(mail.html or ""), images is not None
        return await apart(size, documents.frame, request, message_id, mail, load_remote=load)

    @router.get("/messages/{message_id}/inline/{number}")
    async def inline(message_id: str, number: int) -> Response:
        """An image of the mail's own."""
        return documents.inline_image(await documents.part_of(desk, message_id, number))


def _add_live(router: APIRouter, desk: Desk) -> None:
    @router.get("/events")
    async def events(last_event_id: Annotated[str | None, Header()] = None) -> Response:
        """Every change, as it is committed."""
        return live_stream(desk.store, last_event_id)


def _add_static(router: APIRouter, ui: Ui) -> None:
    @router.get("/static/{name}")
    async def static(name: str) -> Response:
        """Styles, script, icon; their address changes with their content."""
        if name not in ui.static:
            raise NotFound("There is no such file.")
        return Response(
            ui.static[name],
            media_type=_STATIC_TYPES[name],
            headers={
                "Cache-Control": "public, max-age=31536000, immutable",
                "X-Content-Type-Options": "nosniff",
            },
        )


async def _listing(
    desk: Desk, q: str, *, before: int | None = None, rows: int = PAGE_ROWS
) -> ListView:
    totals = await desk.store.totals()
    view = partial(ListView, totals=totals, q=q)
    try:
        query = parse_query(q)
    except Invalid as error:
        detail = error.errors[0].detail if error.errors else error.detail
        return view(rows=[], more=None, shown=0, problem=detail)
    found = await desk.store.page(query, rows + 1, before=before)
    shown = found[:rows]
    return view(
        rows=[row_view(each) for each in shown],
        more=shown[-1].seq if len(found) > rows else None,
        shown=len(shown),
        problem=None,
    )


async def _pane(desk: Desk, message_id: str, tab: str | None) -> PaneView:
    captured = await desk.store.get(message_id)
    raw = await desk.store.raw(message_id)
    mail = await desk.store.parsed(raw)
    return await apart(len(raw), pane_view, captured, mail, raw, tab)
