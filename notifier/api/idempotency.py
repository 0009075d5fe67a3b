"""The `Idempotency-Key` header (draft-ietf-httpapi-idempotency-key-header)."""

import hashlib
import json
import re
from typing import Any, Final

from starlette.requests import Request

from notifier.api.refusals import Malformed

HEADER: Final = "Idempotency-Key"
REPLAYED: Final = "Idempotency-Replayed"

_BARE: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,256}")
_QUOTED: Final = re.compile(r'"([\x20\x21\x23-\x5b\x5d-\x7e]{1,256})"')


def idempotency_key(request: Request) -> str | None:
    """The key, bare or quoted, 1 to 256 printable ASCII characters. Raises Malformed."""
    given = request.headers.getlist(HEADER)
    if not given:
        return None
    quoted = _QUOTED.fullmatch(given[0])
    key = quoted[1] if quoted else given[0]
    if len(given) > 1 or not (quoted or _BARE.fullmatch(key)):
        raise Malformed(
            "Send one Idempotency-Key of 1 to 256 printable ASCII characters.",
            code="idempotency_key_malformed",
        )
    return key


def fingerprint(body: Any) -> str:
    """SHA-256 of the canonical body: the order of names and white space do not count."""
    canonical = json.dumps(body, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode("ascii")).hexdigest()
