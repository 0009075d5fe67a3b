"""Reading a JSON body strictly, once, and handing it to FastAPI.

Strict: UTF-8 without a byte order mark, no NaN or Infinity (RFC 8259 §6), no name twice in one
object (RFC 7493 §2.3: receivers disagree on which one counts), nesting bounded, and no string
with NUL or half a surrogate pair, which neither database keeps.

Make routers with `v1_router("Notifications")` and declare bodies as FastAPI has it:
`async def create(body: NotificationBody, ...)`.
"""

import json
import math
import re
from collections.abc import Callable, Coroutine, Iterable, Iterator
from itertools import islice
from typing import Any, Final, NoReturn

from fastapi import APIRouter
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

from notifier.api.body_limits import body_length
from notifier.api.field_errors import field_errors, json_pointer
from notifier.api.frame import frame_of
from notifier.api.problems import invalid, problem_responses
from notifier.api.refusals import UnreadableJson, UnsupportedBody
from notifier.core.errors import FieldError

# What a body may be made of: each name and each bracket costs far more memory than its bytes.
MAX_NAMES: Final = 10_000  # of one object
MAX_BRACKETS: Final = 1_000_000  # of all, those inside strings too
MAX_TEXT_FAULTS: Final = 1000

_BOM: Final = b"\xef\xbb\xbf"
_SUSPECT_ESCAPE: Final = re.compile(r"\\u(?:0000|[dD][89a-fA-F])")
_NUL: Final = "This text holds a NUL character."
_SURROGATE: Final = "This text holds half of a surrogate pair, which is no character."

Path = tuple[str | int, ...]
Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class StrictRoute(APIRoute):
    """An `APIRoute` that refuses any body but plain JSON and reads what it declares by `parse`."""

    def get_route_handler(self) -> Handler:
        """FastAPI's handler behind the strict reader."""
        handle = super().get_route_handler()

        async def strict(request: Request) -> Response:
            if body_length(request.scope) == 0:
                return await handle(request)
            require_json(request)
            if self.body_field is None:
                return await handle(request)
            body = await request.body()
            value, faults = parse(body, frame_of(request).settings.http.max_json_depth)
            if faults:
                raise invalid(self._all_faults(value, faults))
            return await handle(_Parsed(request, body, value))

        return strict

    def _all_faults(self, value: object, faults: list[FieldError]) -> tuple[FieldError, ...]:
        """`faults` of the text, and what the model says about all other places."""
        assert self.body_field is not None
        _, said = self.body_field.validate(value, {}, loc=("body",))
        seen = {fault.pointer for fault in faults}
        others = field_errors(said, value) if said else ()
        return (*faults, *(e for e in others if e.pointer not in seen))


class _Parsed(Request):
    """A request whose body has been read and parsed already."""

    def __init__(self, request: Request, body: bytes, value: object) -> None:
        super().__init__(request.scope, request.receive)
        self._bytes = body
        self._value = value

    async def body(self) -> bytes:
        return self._bytes

    async def json(self) -> object:
        return self._value


def v1_router(tag: str) -> APIRouter:
    """A router below `/v1` with strict bodies and its errors documented.

    The operation id of a route is its function's name, so that has to be unique and stable.
    """
    return APIRouter(
        prefix="/v1",
        tags=[tag],
        route_class=StrictRoute,
        responses=problem_responses(400, 401, 403, 422, 429, 503),
        generate_unique_id_function=lambda route: route.name,
    )


def require_json(request: Request) -> None:
    """Raises `UnsupportedBody` unless the body is announced as plain JSON in UTF-8."""
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise UnsupportedBody("Send the body without Content-Encoding.", code="content_encoding")
    media, _, parameters = request.headers.get("content-type", "").partition(";")
    kind, _, subtype = media.strip().lower().partition("/")
    if kind != "application" or not (subtype == "json" or subtype.endswith("+json")):
        raise UnsupportedBody("Send the body as `Content-Type: application/json`.")
    charset = re.search(r"charset\s*=\s*\"?([^\s;\"]+)", parameters.lower())
    if charset is not None and charset[1] not in ("utf-8", "utf8"):
        raise UnsupportedBody("Send the body in UTF-8.")


def parse(body: bytes, max_depth: int) -> tuple[object, list[FieldError]]:
    """The value in `body`, and the places whose text cannot be kept.

    Raises `UnreadableJson`. Costs about 1.5 times `json.loads`.
    """
    if body.startswith(_BOM):
        raise UnreadableJson("The body begins with a byte order mark; send it without.")
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise UnreadableJson("The body is not UTF-8.") from None
    brackets = text.count("[") + text.count("{")
    if brackets > MAX_BRACKETS:
        raise UnreadableJson("The body has too many arrays and objects.", "too_many_parts")
    value = _decode(text)
    if brackets > max_depth and _deeper_than(value, max_depth):
        raise _too_deep()
    if _SUSPECT_ESCAPE.search(text) is None:
        return value, []
    return value, list(islice(_unkeepable(value), MAX_TEXT_FAULTS))


def _decode(text: str) -> object:
    try:
        return _DECODER.decode(text)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise UnreadableJson(f"The body is not JSON: {error.msg} ({where}).") from None
    except ValueError:
        # The limit of int() on digits (CVE-2020-10735).
        raise UnreadableJson("The body holds a number with too many digits.") from None
    except RecursionError:
        raise _too_deep() from None


def _unique_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(pairs) > MAX_NAMES:
        raise UnreadableJson(f"An object has more than {MAX_NAMES:,} names.", "too_many_parts")
    found = dict(pairs)
    if len(found) != len(pairs):
        raise UnreadableJson("An object in the body has the same name twice.", "duplicate_name")
    return found


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise UnreadableJson("The body holds a number that is too large.", "not_finite")
    return number


def _no_constant(_: str) -> NoReturn:
    raise UnreadableJson("The body holds NaN or Infinity, which JSON does not have.", "not_finite")


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_unique_names, parse_float=_finite, parse_constant=_no_constant
)


def _too_deep() -> UnreadableJson:
    return UnreadableJson("The body is nested too deeply.", "nested_too_deep")


def _deeper_than(root: object, limit: int) -> bool:
    """Whether arrays and objects are nested more than `limit` deep."""
    depth = 0
    level: list[object] = [root] if isinstance(root, dict | list) else []
    while level and depth <= limit:
        depth += 1
        level = [child for one in level for child in _children(one)]
    return depth > limit


def _children(value: object) -> Iterator[object]:
    inner = value.values() if isinstance(value, dict) else value
    assert isinstance(inner, Iterable)
    return (child for child in inner if isinstance(child, dict | list))


def _unkeepable(root: object) -> Iterator[FieldError]:
    """Every string, names included, with a NUL or half a surrogate pair."""
    waiting: list[Iterator[tuple[Path, object]]] = [iter([((), root)])]
    while waiting:
        found = next(waiting[-1], None)
        if found is None:
            waiting.pop()
            continue
        path, value = found
        if isinstance(value, str):
            yield from _faults_of(value, path)
            continue
        for name in value if isinstance(value, dict) else ():
            yield from _faults_of(name, path)
        waiting.append(_inside(value, path))


def _inside(value: object, path: Path) -> Iterator[tuple[Path, object]]:
    """What in an array or object may hold text, one by one: an array may be as large as a body."""
    assert isinstance(value, dict | list)
    steps = value.items() if isinstance(value, dict) else enumerate(value)
    return (((*path, step), v) for step, v in steps if isinstance(v, str | list | dict))


def _faults_of(text: str, path: tuple[str | int, ...]) -> Iterator[FieldError]:
    if "\0" in text:
        yield FieldError(json_pointer(path), "nul_character", _NUL)
    elif any("\ud800" <= c <= "\udfff" for c in text):
        yield FieldError(json_pointer(path), "lone_surrogate", _SURROGATE)
