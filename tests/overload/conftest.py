"""A sink, and what an operator sets for a `serve` that sends to it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.e2e.process import KEY
from tests.proof.sink import Sink

Settings = dict[str, object]


@pytest.fixture
async def sink() -> AsyncIterator[Sink]:
    async with Sink(keeps_bodies=False) as running:
        yield running


@pytest.fixture
def settings(sink: Sink, tmp_path: Path) -> Settings:
    secret = tmp_path / "key"
    secret.write_text(KEY + "\n")
    return {
        "PUBLIC_URL": "http://127.0.0.1:9",
        "SECRET_KEY": "0123456789abcdef0123456789abcdef",
        "MAIL__FROM": "Shop <shop@example.com>",
        "RELAYS__MAIN__URL": sink.url,
        "KEYS__SHOP__SECRET_FILE": secret,
    }
