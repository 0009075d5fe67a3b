"""Real answers against what the OpenAPI document says of them."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.api.house import BODY, House

pytestmark = pytest.mark.anyio

TYPES: dict[str, Any] = {
    "object": dict, "array": list, "string": str, "integer": int, "number": (int, float),
    "boolean": bool, "null": type(None),
}  # fmt: skip
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def faults(schema: dict[str, Any], value: Any, doc: dict[str, Any], at: str = "") -> Iterator[str]:
    """Where `value` is not what `schema` promises. Unknown members are faults too."""
    if "$ref" in schema:
        schema = doc["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    if "anyOf" in schema:
        branches = [[*faults(one, value, doc, at)] for one in schema["anyOf"]]
        yield from [] if not all(branches) else min(branches, key=len)
        return
    kind = schema.get("type")
    if kind is not None and not isinstance(value, TYPES[kind]):
        yield f"{at}: {type(value).__name__} instead of {kind}"
    elif isinstance(value, dict):
        yield from _of_object(schema, value, doc, at)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from faults(schema["items"], item, doc, f"{at}/{index}")
    else:
        yield from _of_scalar(schema, value, at)


def _of_scalar(schema: dict[str, Any], value: Any, at: str) -> Iterator[str]:
    if value != schema.get("const", value) or value not in schema.get("enum", [value]):
        yield f"{at}: {value} is not one of the documented"
    if schema.get("format") == "date-time" and not TIME.fullmatch(value):
        yield f"{at}: {value} is no time"


def _of_object(
    schema: dict[str, Any], value: dict[str, Any], doc: dict[str, Any], at: str
) -> Iterator[str]:
    known = schema.get("properties", {})
    yield from (f"{at}/{name}: missing" for name in schema.get("required", []) if name not in value)
    for name, item in value.items():
        if name in known:
            yield from faults(known[name], item, doc, f"{at}/{name}")
        elif isinstance(more := schema.get("additionalProperties", False), dict):
            yield from faults(more, item, doc, f"{at}/{name}")
        elif not more:
            yield f"{at}/{name}: not documented"


CALLS: list[tuple[str, str, Any]] = [
    ("POST", "/v1/notifications", BODY),
    ("POST", "/v1/notifications", {**BODY, "to": "x"}),
    ("POST", "/v1/notifications", {
        "to": ["a@example.org", "b@example.org"], "tags": {"a": "b"}, "metadata": {"a": [1]},
        "template": {"name": "notification", "variables": {"title": "T", "message": "M"}},
        "scheduled_at": "2030-03-01T00:00:00Z", "reference": "r",
    }),
    ("GET", "/v1/notifications/{ntf}", None),
    ("GET", "/v1/notifications/{ntf}/events", None),
    ("GET", "/v1/notifications/{ntf}/events?limit=0", None),
    ("GET", "/v1/notifications/{none}", None),
    ("POST", "/v1/registrations", {"email": "ann@example.org", "data": {"a": 1}}),
    ("POST", "/v1/registrations", {}),
    ("GET", "/v1/registrations/{reg}", None),
    ("GET", "/v1/registrations/{none}", None),
    ("POST", "/v1/registrations/{reg}/confirm", {"code": "x"}),
    ("POST", "/v1/registrations/{reg}/confirm", {"code": "{code}"}),
    ("POST", "/v1/registrations/confirm", {"token": "x"}),
    ("POST", "/v1/registrations/confirm", {"token": "{token}"}),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path", "body"), CALLS)
async def test_an_answer_is_what_the_document_says(
    house: House, method: str, path: str, body: Any
) -> None:
    doc = (await house.web.get("/openapi.json")).json()
    names = {
        "none": "x",
        "ntf": (await house.notify())["id"],
        "reg": (await house.register())["id"],
    }
    names["token"], names["code"] = await house.office.secrets_of("ann@example.org")
    if isinstance(body, dict):
        body = {name: names.get(str(item).strip("{}"), item) for name, item in body.items()}
    answer = await house.web.request(method, path.format_map(names), json=body)
    owner = f"{{{path.split('/')[2].removesuffix('s')}_id}}"
    template = re.sub(r"\{\w+\}", owner, path.partition("?")[0])
    said = doc["paths"][template][method.lower()]["responses"][str(answer.status_code)]
    (kind,) = [kind for kind in said["content"] if kind == answer.headers["content-type"]]
    assert [*faults(said["content"][kind]["schema"], answer.json(), doc)] == []


async def test_the_checker_sees_what_is_wrong() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
    assert [*faults(schema, {"b": 1}, {})] == ["/a: missing", "/b: not documented"]
    assert [*faults(schema, {"a": 1}, {})] == ["/a: int instead of string"]
