"""Bodies are bounded in size and time, and requests in number."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from notifier.api.body_limits import CONFIRM_BYTES
from notifier.api.limiter import Limiter
from tests.api.door import JSON, assert_problem, dev

pytestmark = pytest.mark.anyio

LIMIT = 2000


def body(size: int) -> bytes:
    return b'{"to":"' + b"a" * (size - 9) + b'"}'


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


@pytest.mark.parametrize(("size", "status"), [(LIMIT, 202), (LIMIT + 1, 413)])
async def test_the_announced_size_is_bounded_to_the_byte(size: int, status: int) -> None:
    async with dev(max_body_bytes=LIMIT).client() as http:
        answer = await http.post("/v1/things", content=body(size), headers=JSON)
    assert answer.status_code == status
    if status == 413:
        assert "2,000 bytes" in assert_problem(answer, 413, "body_too_large")["detail"]
        assert answer.headers["connection"] == "close"


@pytest.mark.parametrize(("size", "status"), [(LIMIT, 202), (LIMIT + 1, 413)])
async def test_the_size_of_a_chunked_body_is_bounded_while_it_arrives(
    size: int, status: int
) -> None:
    sent = body(size)
    door = dev(max_body_bytes=LIMIT)
    async with door.client() as http:
        parts = chunks(sent[:1000], sent[1000:-1], sent[-1:])
        answer = await http.post("/v1/things", content=parts, headers=JSON)
    assert answer.status_code == status
    assert len(door.taken) == (status == 202)


async def test_nothing_is_read_beyond_the_limit() -> None:
    read = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read
        while True:
            read += 1000
            yield b"a" * 1000

    async with dev(max_body_bytes=LIMIT).client() as http:
        assert_problem(await http.post("/v1/things", content=endless(), headers=JSON), 413)
    assert read == 3000


async def test_what_asks_for_no_key_takes_little() -> None:
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    async with dev().client() as http:
        fits = await http.post("/confirm", content=b"t=" + b"a" * 1000, headers=kind)
        assert fits.status_code == 200
        for content in (b"t=" + b"a" * CONFIRM_BYTES, chunks(b"t=", b"a" * CONFIRM_BYTES)):
            assert_problem(await http.post("/confirm", content=content, headers=kind), 413)


async def test_a_form_is_bounded_too() -> None:
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    async with dev(max_body_bytes=LIMIT).client() as http:
        answer = await http.post("/confirm", content=chunks(b"t=", b"a" * LIMIT), headers=kind)
    assert_problem(answer, 413)


async def test_a_body_that_does_not_arrive_is_408() -> None:
    async def stuck() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.Event().wait()

    async with dev(request_timeout_s=0.05).client() as http:
        answer = await http.post("/v1/things", content=stuck(), headers=JSON)
    assert_problem(answer, 408, "request_too_slow")


async def test_the_time_for_the_body_is_no_time_for_the_answer() -> None:
    door = dev(request_timeout_s=0.05)
    async with door.client() as http:
        waiting = asyncio.create_task(
            http.post("/v1/things/wait/stop", content=b"{}", headers=JSON)
        )
        await door.inside.wait()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.15):
                await asyncio.shield(waiting)
        door.held.set()
        assert (await waiting).status_code == 200


async def test_more_requests_than_allowed_are_503_with_retry_after() -> None:
    door = dev(max_concurrency=1)
    async with door.client() as http:
        first = asyncio.create_task(http.post("/v1/things/wait/stop"))
        await door.inside.wait()
        refused = await http.get("/v1/things/a")
        probe = await http.get("/healthz")
        door.held.set()
        assert (await first).status_code == 200
        after = await http.get("/v1/things/a")
    assert_problem(refused, 503, "overloaded")
    assert refused.headers["retry-after"] == "1"
    assert (probe.status_code, after.status_code) == (200, 200)


async def test_a_stranger_who_sends_slowly_keeps_no_caller_with_a_key_out() -> None:
    sending = asyncio.Event()

    async def stuck() -> AsyncIterator[bytes]:
        yield b"t="
        sending.set()
        await asyncio.Event().wait()

    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    async with dev(max_concurrency=4).client() as http:
        slow = asyncio.create_task(http.post("/confirm", content=stuck(), headers=kind))
        await sending.wait()
        assert_problem(await http.post("/confirm", content=b"t=a", headers=kind), 503)
        assert (await http.get("/v1/things/a")).status_code == 200
        slow.cancel()


async def test_bodies_under_way_are_bounded_together() -> None:
    sending, over = asyncio.Event(), asyncio.Event()

    async def held() -> AsyncIterator[bytes]:
        yield b'"' + b"a" * 70_000
        sending.set()
        await over.wait()
        yield b'"'

    large = b'"' + b"b" * 70_000 + b'"'
    async with dev(max_body_bytes=80_000, max_bodies_bytes=100_000).client() as http:
        first = asyncio.create_task(http.post("/v1/things", content=held(), headers=JSON))
        await sending.wait()
        assert_problem(await http.post("/v1/things", content=large, headers=JSON), 503)
        over.set()
        assert (await first).status_code == 422
        assert (await http.post("/v1/things", content=large, headers=JSON)).status_code == 422


async def test_a_seat_is_given_back_after_a_bug() -> None:
    async with dev(max_concurrency=1).client() as http:
        assert (await http.post("/v1/things/bug/stop")).status_code == 500
        assert (await http.get("/v1/things/a")).status_code == 200


async def test_a_stream_gives_its_seat_back_when_it_begins() -> None:
    door = dev(max_concurrency=1)
    async with door.client() as http:
        stream = asyncio.create_task(http.get("/v1/stream"))
        await door.inside.wait()
        assert (await http.get("/v1/things/a")).status_code == 200
        door.held.set()
        assert (await stream).status_code == 200


async def test_asking_for_a_stream_is_not_enough_to_pass_the_limit() -> None:
    door = dev(max_concurrency=1)
    async with door.client() as http:
        first = asyncio.create_task(http.post("/v1/things/wait/stop"))
        await door.inside.wait()
        wish = {"Accept": "text/event-stream"}
        assert_problem(await http.get("/v1/things/a", headers=wish), 503)
        door.held.set()
        await first


async def test_a_cancelled_request_leaves_its_seat() -> None:
    never = asyncio.Event()
    began = asyncio.Event()

    async def app(*_: object) -> None:
        began.set()
        await never.wait()

    async def nothing(*_: object) -> Any: ...

    limiter = Limiter(app, 1)
    task = asyncio.create_task(limiter({"type": "http", "path": "/"}, nothing, nothing))
    await began.wait()
    assert limiter.taken == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert limiter.taken == 0
