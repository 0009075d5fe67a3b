"""The loop of this room."""

import sys
from typing import Any

import pytest


@pytest.fixture(scope="session")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """What a user runs: uvloop, where there is one. The matrix runs on asyncio's own loop too."""
    return "asyncio", {"use_uvloop": sys.platform != "win32"}
