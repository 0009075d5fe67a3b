"""The OpenAPI 3.1 document: what FastAPI derives from the routes, with our errors and keys."""

import json
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from notifier.api.auth import is_v1
from notifier.api.problems import MEDIA_TYPE, Problem

_DESCRIPTION: Final = """\
Accepts notifications over HTTP, keeps them durably, and delivers them over SMTP.

* **Authentication**: `Authorization: Bearer ntf_live_…`. A test key's mail reaches the capture
  server only. On the developer's own machine no key is needed.
* **Errors** are [RFC 9457](https://www.rfc-editor.org/rfc/rfc9457) problem details with a stable
  `code`; every field that does not fit is listed with a JSON pointer.
* **Retries**: send an `Idempotency-Key`; the same key and body give the first answer again.
* **Request ids**: `X-Request-Id` and `traceparent` are taken and sent back.
"""
_SCHEMES: Final = {
    "apiKey": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "ntf_live_… or ntf_test_…",
        "description": "An API key, made with `notifier keys create`.",
    }
}
_VERBS: Final = frozenset({"get", "put", "post", "delete", "patch"})


def document(app: FastAPI, public_url: str | None) -> dict[str, Any]:
    """The document of `app`. Takes about 100 ms: built when first asked for, never at start."""
    found = get_openapi(
        title=app.title,
        version=app.version,
        summary="A durable notification service",
        description=_DESCRIPTION,
        routes=app.routes,
        servers=[{"url": (public_url or "").rstrip("/") or "/"}],
        license_info={"name": "MIT", "identifier": "MIT"},
    )
    _put_schemas(found)
    for path, operations in found["paths"].items():
        for verb in operations.keys() & _VERBS:
            _finish(operations[verb], secured=is_v1(path))
    return found


def document_bytes(app: FastAPI, public_url: str | None) -> bytes:
    """The document as compact JSON."""
    return json.dumps(document(app, public_url), ensure_ascii=False, separators=(",", ":")).encode()


def _put_schemas(found: dict[str, Any]) -> None:
    components = found.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    schema = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(schema.pop("$defs", {}))
    schemas["Problem"] = schema
    # FastAPI's own error body, which is never sent.
    schemas.pop("HTTPValidationError", None)
    schemas.pop("ValidationError", None)
    components["schemas"] = dict(sorted(schemas.items()))
    components["securitySchemes"] = _SCHEMES


def _finish(operation: dict[str, Any], *, secured: bool) -> None:
    # The first line of a route's docstring says more than its name in capitals.
    summary, _, rest = operation.pop("description", operation["summary"]).partition("\n")
    operation["summary"] = summary.rstrip(".")
    if rest.strip():
        operation["description"] = rest.strip()
    operation["security"] = [{"apiKey": []}] if secured else []
    unprocessable = operation["responses"].get("422")
    if unprocessable and "application/json" in unprocessable.get("content", {}):
        unprocessable["description"] = "Some fields do not fit"
        unprocessable["content"] = {
            MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}
        }
    operation["responses"] = dict(sorted(operation["responses"].items()))
