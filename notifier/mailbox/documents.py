"""Captured bytes as HTTP answers, each with the policy that makes opening it harmless.

The policy holds in the frame and when the address is opened on its own: `sandbox` gives the
document an origin of its own and no script, and nothing is loaded but what is named here.
"""

import re
from urllib.parse import quote

from fastapi import Request
from fastapi.responses import Response

from notifier.core.errors import NotFound
from notifier.mailbox.desk import Desk
from notifier.mailbox.parse import Mail, Part
from notifier.mailbox.sanitise import sanitise

_SANDBOX = "sandbox allow-popups allow-popups-to-escape-sandbox"
_NOTHING = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
SEALED = {
    "Content-Security-Policy": f"sandbox; {_NOTHING}",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-DNS-Prefetch-Control": "off",
    "Cache-Control": "private, no-store",
}
_MEDIA_TYPE = re.compile(r"[a-z0-9!#$&^_.+-]{1,64}/[a-z0-9!#$&^_.+-]{1,64}")
_AUTHORITY = re.compile(r"[A-Za-z0-9.-]+(?::[0-9]{1,5})?")
_FILE_NAME = re.compile(r"[^\w .()+@-]")
_WHITE_PAGE = "<!doctype html><meta name=color-scheme content='light dark'><p></p>"


def frame(request: Request, message_id: str, mail: Mail, *, load_remote: bool) -> Response:
    """The HTML of a mail as a document for the sandboxed frame."""
    inline = f"/mailbox/messages/{message_id}/inline/"
    numbers = {part.content_id: part.number for part in mail.parts if part.content_id}

    def cid_url(content_id: str) -> str | None:
        number = numbers.get(content_id) or numbers.get(_unquoted(content_id))
        return f"{inline}{number}" if number else None

    shown = sanitise(mail.html or _WHITE_PAGE, cid_url, load_remote=load_remote)
    own = f"{_origin(request)}{inline}" if _origin(request) else "'self'"
    images = f"img-src data: {own}{' http: https:' if load_remote else ''}"
    policy = f"{_SANDBOX}; {_NOTHING}; style-src 'unsafe-inline'; {images}"
    return Response(
        shown.html,
        media_type="text/html; charset=utf-8",
        headers={**SEALED, "Content-Security-Policy": policy},
    )


def remote_images(mail: Mail) -> int:
    """How many images the mail would load from elsewhere."""
    return sanitise(mail.html, lambda _: None).remote_images if mail.html else 0


def _unquoted(content_id: str) -> str:
    return re.sub(r"%40", "@", content_id)


def _origin(request: Request) -> str | None:
    """The page's own origin, when its Host can stand in a policy (an IPv6 literal cannot)."""
    host = request.headers.get("host", "")
    return f"{request.url.scheme}://{host}" if _AUTHORITY.fullmatch(host) else None


def inline_image(part: Part) -> Response:
    """A part that the mail's HTML shows. Raises `NotFound` for anything but an image."""
    if not part.content_type.startswith("image/") or not _MEDIA_TYPE.fullmatch(part.content_type):
        raise NotFound("This part is not an image.")
    # An SVG on its own is a document that may hold frames, and Chromium connects for a remote
    # one even where the policy blocks it. As a download it is still shown inside the mail.
    own = {"Content-Disposition": "attachment"} if "xml" in part.content_type else {}
    return Response(part.content, media_type=part.content_type, headers={**SEALED, **own})


def download(content: bytes, media_type: str, filename: str) -> Response:
    """Bytes that a browser saves and never shows."""
    known = _MEDIA_TYPE.fullmatch(media_type.split(";", maxsplit=1)[0])
    headers = {**SEALED, "Content-Disposition": _disposition(filename)}
    kind = media_type if known else "application/octet-stream"
    return Response(content, media_type=kind, headers=headers)


def plain(text: str) -> Response:
    """Text that nothing in it can turn into anything else."""
    return Response(text.encode("utf-8", "replace"), media_type="text/plain", headers=SEALED)


def _disposition(filename: str) -> str:
    """RFC 6266, without path and without anything that hides the real extension."""
    name = _FILE_NAME.sub("_", filename.replace("\\", "/").rpartition("/")[2]).strip(". ")[:150]
    name = name or "attachment"
    fallback = name.encode("ascii", "replace").decode().replace("?", "_")
    return f"attachment; filename=\"{fallback}\"; filename*=UTF-8''{quote(name, safe='')}"


async def part_of(desk: Desk, message_id: str, number: int) -> Part:
    """The part with this number. Raises `NotFound`."""
    mail = await desk.store.mail(message_id)
    found = next((part for part in mail.parts if part.number == number), None)
    if found is None:
        raise NotFound("This mail has no such part.")
    return found
