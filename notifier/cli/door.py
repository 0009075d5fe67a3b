"""A running Notifier's API, as one command needs it; standard library only."""

import json
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import Any, Final
from urllib.parse import urlsplit

from notifier import __version__
from notifier.core.errors import FieldError, Refused, Unavailable
from notifier.settings.loopback import is_loopback

_MOST_BYTES: Final = 16 * 1024 * 1024
_PATIENCE_S: Final = 30.0


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """The key goes where it was sent, and nowhere else."""

    def redirect_request(self, *_: Any) -> None:
        return None


@dataclass(frozen=True, slots=True)
class Door:
    """Where a Notifier answers, and the key for it."""

    url: str
    key: str | None = field(repr=False)

    def post(self, path: str, body: dict[str, Any], headers: dict[str, str]) -> dict[str, Any]:
        """The answer's object. Raises `Refused` and `Unavailable`."""
        data = json.dumps(body).encode()
        return self._call("POST", path, data, {"Content-Type": "application/json", **headers})

    def get(self, path: str) -> dict[str, Any]:
        """The object at `path`. Raises as `post`."""
        return self._call("GET", path, None, {})

    def _call(
        self, method: str, path: str, data: bytes | None, headers: dict[str, str]
    ) -> dict[str, Any]:
        headers = {"Accept": "application/json", "User-Agent": f"notifier/{__version__}", **headers}
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        request = urllib.request.Request(  # noqa: S310 - `send` takes http and https only
            self.url + path, data, headers, method=method
        )
        try:
            with self._opener().open(request, timeout=_PATIENCE_S) as answer:
                return self._object(answer.read(_MOST_BYTES))
        except urllib.error.HTTPError as error:
            with error:
                raise _refusal(error.code, error.read(_MOST_BYTES)) from None
        except (OSError, HTTPException) as error:
            raise Unavailable(
                f"nothing usable answers at {self.url} ({_reason(error)}): start it with "
                "`notifier dev`, or say where it is with --url"
            ) from None

    def _opener(self) -> urllib.request.OpenerDirector:
        handlers: list[urllib.request.BaseHandler] = [_NoRedirects()]
        if is_loopback(urlsplit(self.url).hostname or ""):
            # A proxy of the environment cannot reach this machine.
            handlers.append(urllib.request.ProxyHandler({}))
        return urllib.request.build_opener(*handlers)

    def _object(self, content: bytes) -> dict[str, Any]:
        try:
            found = json.loads(content)
        except ValueError:
            found = None
        if not isinstance(found, dict) or "id" not in found:
            raise Unavailable(f"what answers at {self.url} is not Notifier: name it with --url")
        return found


def _reason(error: Exception) -> object:
    """In a few words; `URLError` wraps what the operating system said."""
    cause = getattr(error, "reason", error)
    return getattr(cause, "strerror", None) or cause


def _refusal(status: int, content: bytes) -> Refused | Unavailable:
    """The problem (RFC 9457) that a Notifier answered, or what can be said of any server."""
    try:
        problem = json.loads(content)
    except ValueError:
        problem = None
    if not isinstance(problem, dict) or "code" not in problem:
        return Unavailable(f"the server answered {status}, and not as Notifier does: check --url")
    detail = str(problem.get("detail") or problem.get("title") or "refused")
    if status in {429, 503}:
        return Unavailable(f"{detail} ({problem['code']})")
    errors = [
        FieldError(
            str(one.get("pointer", "")), str(one.get("code", "")), str(one.get("detail", ""))
        )
        for one in problem.get("errors") or ()
        if isinstance(one, dict)
    ]
    way_out = (
        "" if status != 401 else " Give a key with --key-file; `notifier keys create` makes one."
    )
    return Refused(f"{detail.rstrip('.')} ({problem['code']}).{way_out}", errors=errors)
