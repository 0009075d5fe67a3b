"""The feed and its streams under bad readers, and the whole house on another loop."""

import asyncio
import json
import os
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
import uvloop
from starlette.types import Message

from notifier.core.ids import IdSource
from notifier.mailbox import live
from notifier.mailbox.feed import BACKLOG_MAX, Subscription
from notifier.mailbox.house import open_mailbox
from notifier.mailbox.records import Change
from notifier.settings.sections import MailboxSettings
from tests.mailbox.boxes import Mailbox
from tests.mailbox.test_server import HEAD, conversation, dialogue

pytestmark = pytest.mark.anyio


async def test_a_reader_that_takes_nothing_is_given_up(
    box: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "SLOW_S", 0.1)
    stuck = asyncio.Event()

    async def send(message: Message) -> None:
        if message["type"] == "http.response.body":
            stuck.set()
            await asyncio.Event().wait()

    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    stream = live.live_stream(box.house.store, None)
    scope = {"type": "http", "asgi": {"spec_version": "2.4"}, "method": "GET", "headers": []}
    async with asyncio.timeout(5):
        await stream(scope, receive, send)
    assert stuck.is_set()
    assert not box.house.store.feed._listeners


async def test_a_listener_with_too_much_unread_is_dropped_and_told() -> None:
    subscription = Subscription()
    for n in range(BACKLOG_MAX + 1):
        subscription.offer([Change(n, "new", ("x",))])
    assert subscription.dropped
    assert await subscription.next(5) == []


async def test_a_dropped_stream_says_reset_and_ends(box: Mailbox) -> None:
    events = live._events(box.house.store, None)
    assert (await anext(events)).startswith("retry:")
    waiting = asyncio.ensure_future(anext(events))
    await asyncio.sleep(0)
    (subscription,) = box.house.store.feed._listeners
    subscription.offer([Change(n, "new", ("x",)) for n in range(BACKLOG_MAX + 1)])
    assert "event: reset" in await waiting
    with pytest.raises(StopAsyncIteration):
        await anext(events)


async def test_a_quiet_stream_beats(box: Mailbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "HEARTBEAT_S", 0.05)
    events = live._events(box.house.store, None)
    await anext(events)
    assert await anext(events) == ": still here\n\n"
    await events.aclose()


async def test_the_feed_forgets_its_oldest_entries_and_says_reset(box: Mailbox) -> None:
    await box.send(HEAD)
    await box.house.store._writer.run(
        lambda connection: connection.execute("DELETE FROM change").rowcount
    )
    await box.send(HEAD)
    events = live._events(box.house.store, "0")
    await anext(events)
    first = await anext(events)
    assert "event: reset" in first
    assert json.loads(first.split("data: ")[1]) == {}
    await events.aclose()


def test_the_house_stands_on_uvloop_too(tmp_path: Path) -> None:
    def now() -> datetime:
        return datetime.now(UTC)

    async def walk() -> tuple[bytes, int]:
        async with open_mailbox(
            MailboxSettings(),
            tmp_path,
            now=now,
            new_id=IdSource(now, os.urandom),
            observe=lambda _: None,
        ) as house:
            port = await house.listen(("127.0.0.1", 0))
            answer = await dialogue(port, conversation(HEAD + b".x\r\n" * 50_000))
            return answer, (await house.store.totals()).messages

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        answer, messages = runner.run(walk())
    assert b"250 2.0.0 OK" in answer
    assert messages == 1
    assert "mailbox-writer" not in {thread.name for thread in threading.enumerate()}
