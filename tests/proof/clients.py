"""Callers of the API: what they post, and what they write down about the answers."""

import asyncio
import time
from collections.abc import Iterator
from itertools import count
from random import Random

import httpx2

from tests.proof.books import Ledger, Post
from tests.proof.fleet import Fleet, Instance
from tests.proof.sink import Sink

BACKLOG = 400
"""Messages that wait at most: callers that post without end would only make the drain longer."""

_PAUSE_S = 0.05


class Callers:
    """Posts of every kind, to any door that is open, until told to stop.

    Half of them have no key and are made once: their call may have taken effect or not when no
    202 came. The others have an Idempotency-Key and are repeated until a 202 comes; some are
    made twice at the same time.
    """

    def __init__(self, fleet: Fleet, ledger: Ledger, sink: Sink, random: Random) -> None:
        self._fleet = fleet
        self._ledger = ledger
        self._sink = sink
        self._random = random
        self._numbers: Iterator[int] = count(1)

    async def run(self, until: float, *, callers: int, a_second: float) -> None:
        """Post until this monotonic time, at most so many posts a second."""
        gap_s = callers / a_second
        await asyncio.gather(*(self._one_caller(until, gap_s) for _ in range(callers)))

    async def _one_caller(self, until: float, gap_s: float) -> None:
        while (began := time.monotonic()) < until:
            await self._sink.until(self._has_room)
            await self.post_something()
            await asyncio.sleep(max(0.0, gap_s - (time.monotonic() - began)))

    def _has_room(self) -> bool:
        return self._ledger.acknowledged - len(self._sink.distinct) < BACKLOG

    async def post_something(self) -> Post:
        """One post of a random kind."""
        number = next(self._numbers)
        recipients = [
            f"p{number}.{n}@example.org" for n in range(self._random.choice((1, 1, 1, 3)))
        ]
        kind = self._random.random()
        if kind < 0.5:
            post = self._ledger.open(recipients)
            await self.call(self._door(), post)
            return post
        post = self._ledger.open(recipients, key=f"key-{number}")
        await asyncio.gather(*(self.until_taken(post) for _ in range(2 if kind > 0.85 else 1)))
        return post

    async def until_taken(self, post: Post) -> None:
        """Repeat a post with a key until it is acknowledged."""
        assert post.key is not None
        while not await self.call(self._door(), post):  # noqa: ASYNC110 - a caller's own backoff
            await asyncio.sleep(_PAUSE_S)

    async def call(self, door: Instance, post: Post) -> bool:
        """One call; True: a 202 came."""
        headers = {} if post.key is None else {"Idempotency-Key": post.key}
        await door.up.wait()
        try:
            answer = await door.web.post("/v1/notifications", json=body_of(post), headers=headers)
        except (httpx2.TransportError, RuntimeError):
            return False  # RuntimeError: the client was closed for the next process's
        if answer.status_code == 202:
            self._ledger.acknowledge(post, answer.json()["id"])
            return True
        if answer.status_code != 503:
            self._ledger.strange[f"{answer.status_code} {answer.text[:200]}"] += 1
        return False

    def _door(self) -> Instance:
        doors = self._fleet.doors()
        return self._random.choice([one for one in doors if one.up.is_set()] or doors)


def body_of(post: Post) -> dict[str, object]:
    """The same for every call of a post."""
    return {
        "to": list(post.recipients),
        "subject": f"For {post.recipients[0]}",
        "text": "Nothing accepted is lost. " * 40,
        "stream": ("urgent", "transactional", "bulk")[len(post.recipients[0]) % 3],
    }
