"""Fixtures of the mailbox's tests."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest

from tests.mailbox.boxes import Mailbox, OpenMailbox, opener, serving


@pytest.fixture
def open_box(tmp_path: Path) -> OpenMailbox:
    """Opens mailboxes on one data folder, with settings by name."""
    return opener(tmp_path)


@pytest.fixture
async def box(open_box: OpenMailbox) -> AsyncIterator[Mailbox]:
    """A mailbox with default settings."""
    async with open_box() as opened:
        yield opened


@pytest.fixture
async def web(box: Mailbox) -> AsyncIterator[httpx2.AsyncClient]:
    """An HTTP client of the box."""
    async with serving(box.house) as base, httpx2.AsyncClient(base_url=base) as client:
        yield client
