"""The mailbox as a part of a process."""

import asyncio

import pytest

from tests.mailbox.boxes import OpenMailbox

pytestmark = pytest.mark.anyio


async def test_watching_ends_when_told(open_box: OpenMailbox) -> None:
    async with open_box() as box:
        stop = asyncio.Event()
        stop.set()
        await box.house.watch(stop)


async def test_watching_says_what_ended_the_feed(open_box: OpenMailbox) -> None:
    async with open_box() as box:
        box.house.tasks[0].cancel()
        with pytest.raises(asyncio.CancelledError):
            await box.house.watch(asyncio.Event())
