"""The reference at `/docs`, from files of this package alone, and the document that it shows."""

from pathlib import Path
from typing import Final

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response

from notifier.api.frame import frame_of
from notifier.api.openapi import document_bytes
from notifier.core.errors import NotFound

_ASSETS: Final = Path(__file__).parent / "assets"
_PAGE: Final = _ASSETS / "docs" / "docs.html"
_FILES: Final = {
    "docs.js": (_ASSETS / "docs" / "docs.js", "text/javascript"),
    "docs.css": (_ASSETS / "docs" / "docs.css", "text/css"),
    "swagger-ui-bundle.js": (_ASSETS / "swagger" / "swagger-ui-bundle.js", "text/javascript"),
    "swagger-ui.css": (_ASSETS / "swagger" / "swagger-ui.css", "text/css"),
    "favicon.png": (_ASSETS / "swagger" / "favicon-32x32.png", "image/png"),
}
_HEADERS: Final = {
    # Images: the reference's icons are data: URLs.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; "
        "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


def docs_router(*, home: str) -> APIRouter:
    """`/docs` with its files, `/openapi.json`, and `/`, which leads to `home`."""
    router = APIRouter(include_in_schema=False)

    @router.get("/")
    async def front_door() -> Response:
        return RedirectResponse(home, 307)

    @router.get("/docs")
    async def docs_page() -> Response:
        return FileResponse(_PAGE, media_type="text/html; charset=utf-8", headers=_HEADERS)

    @router.get("/docs/{asset}")
    async def docs_asset(asset: str) -> Response:
        if asset not in _FILES:
            raise NotFound("There is nothing at this path.")
        path, media_type = _FILES[asset]
        return FileResponse(path, media_type=media_type, headers=_HEADERS)

    @router.get("/openapi.json")
    async def openapi_document(request: Request) -> Response:
        return Response(await _document(request), media_type="application/json")

    return router


async def _document(request: Request) -> bytes:
    """Built on first use, in a thread; two first calls at once may both build it."""
    state = request.app.state
    if getattr(state, "openapi_bytes", None) is None:
        public_url = frame_of(request).settings.public_url
        state.openapi_bytes = await run_in_threadpool(document_bytes, request.app, public_url)
    built: bytes = state.openapi_bytes
    return built
