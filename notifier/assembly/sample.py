"""The first mail of a new data folder: posted over HTTP, sent over SMTP, seen in the inbox."""

import asyncio
import json
import os
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Final

from notifier.assembly.keys import given_key
from notifier.assembly.listening import Listening
from notifier.core.api_key import ENTROPY_BYTES, ApiKey, mint

_MARK: Final = "sample-sent"
_TIMEOUT_S: Final = 10.0

BODY: Final = {
    "to": "Ada Lovelace <ada@example.com>",
    "template": {
        "name": "notification",
        "variables": {
            "title": "Your first notification",
            "message": "It was posted over HTTP, rendered from a template, stored, and sent over "
            "SMTP to the inbox that you are looking at. Nothing left this machine.",
        },
    },
    "reference": "first-steps",
}


def sample_key() -> tuple[str, dict[str, ApiKey]]:
    """A test key that lives as long as this process: its mail can reach the capture server only.

    Returns the plaintext, and the key by its digest.
    """
    plaintext = mint(os.urandom(ENTROPY_BYTES), "test").plaintext
    digest, key = given_key("first-steps", plaintext, "default", frozenset({"send"}))
    return plaintext, {digest: key}


async def send_sample(sockets: Listening, plaintext: str, data_dir: Path) -> bool:
    """Post the sample, once per data folder. False: it was sent at an earlier start, or failed."""
    mark = data_dir / _MARK
    if mark.exists():
        return False
    status = await asyncio.to_thread(_post, sockets.http_host, sockets.http_port, plaintext)
    if status != 202:
        return False
    mark.touch()
    return True


def _post(host: str, port: int, plaintext: str) -> int | None:
    connection = HTTPConnection(host, port, timeout=_TIMEOUT_S)
    try:
        connection.request(
            "POST",
            "/v1/notifications",
            json.dumps(BODY),
            {"Content-Type": "application/json", "Authorization": f"Bearer {plaintext}"},
        )
        return connection.getresponse().status
    except (OSError, HTTPException):
        return None
    finally:
        connection.close()
