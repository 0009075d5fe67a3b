"""The stream that keeps an open page up to date (server-sent events)."""

import asyncio
import json
from collections.abc import AsyncGenerator

from fastapi.sse import EventSourceResponse
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Scope, Send

from notifier.mailbox.feed import Feed, Subscription
from notifier.mailbox.records import Change
from notifier.mailbox.store import Store

HEARTBEAT_S = 15.0
SLOW_S = 10.0
RECONNECT_MS = 1000
REPLAY_MAX = 500


class LiveStream(EventSourceResponse):
    """An event stream that gives a reader up who takes nothing for `SLOW_S` seconds."""

    def __init__(self, events: AsyncGenerator[str, None]) -> None:
        super().__init__(events, headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        self._events = events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""

        async def send_in_time(message: Message) -> None:
            async with asyncio.timeout(SLOW_S):
                await send(message)

        try:
            await super().__call__(scope, receive, send_in_time)
        except (TimeoutError, ClientDisconnect):
            return  # the browser comes back with Last-Event-ID and misses nothing
        finally:
            # Left where it stood, it would stay subscribed until it is collected.
            await self._events.aclose()


def live_stream(store: Store, last_event_id: str | None) -> LiveStream:
    """Every change from now on, or after `last_event_id`; `reset` when that is too long ago."""
    return LiveStream(_events(store, last_event_id))


async def _events(store: Store, last_event_id: str | None) -> AsyncGenerator[str, None]:
    with store.feed.subscribe() as news:
        yield f"retry: {RECONNECT_MS}\n\n"
        position = store.feed.position
        if last_event_id is not None:
            replayed = await _replay(store, last_event_id)
            if replayed is None:
                yield _event("reset", position, {})
            else:
                for change in replayed:
                    position = max(position, change.id)
                    yield _change_event(change)
        async for text in _follow(news, store.feed, position):
            yield text


async def _replay(store: Store, last_event_id: str) -> list[Change] | None:
    """What came after it; None when that is no longer known, or too much to tell one by one."""
    oldest, newest = await store.feed_bounds()
    if not (last_event_id.isascii() and last_event_id.isdigit()):
        return None
    if not oldest <= int(last_event_id) <= newest:
        return None
    changes = await store.changes(int(last_event_id), REPLAY_MAX + 1)
    return None if len(changes) > REPLAY_MAX else changes


async def _follow(news: Subscription, feed: Feed, position: int) -> AsyncGenerator[str, None]:
    while not news.over():
        changes = await news.next(HEARTBEAT_S)
        for change in changes:
            if change.id > position:
                yield _change_event(change)
        if not changes and not news.over():
            yield ": still here\n\n"
    if news.dropped:
        yield _event("reset", feed.position, {})


def _change_event(change: Change) -> str:
    return _event("change", change.id, {"kind": change.kind, "ids": change.message_ids})


def _event(name: str, place: int, data: dict[str, object]) -> str:
    return f"id: {place}\nevent: {name}\ndata: {json.dumps(data)}\n\n"
