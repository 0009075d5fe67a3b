"""More than it can take: refused in time and by name, and whatever was accepted is sent."""

import asyncio
import os
import time
from pathlib import Path

import pytest

from tests.e2e.process import KEY, Service, started
from tests.overload.conftest import Settings
from tests.overload.flood import Line, Reply, flood, posted, resident_bytes, watched
from tests.proof.sink import Sink

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]

MIB = 1024 * 1024
SECONDS = float(os.environ.get("NOTIFIER_TEST_OVERLOAD_S", "10"))


def ports(service: Service) -> tuple[int, int]:
    """Of the API and of the probes."""
    api = service.web.base_url.port
    assert api is not None
    return api, int(service.probe.rpartition(":")[2].partition("/")[0])


def is_refusal(reply: Reply) -> bool:
    return reply.status in {429, 503} and reply.retry_after


async def test_ten_times_its_capacity_is_refused_and_every_202_is_sent(
    sink: Sink, settings: Settings, tmp_path: Path
) -> None:
    """Small groups and few places make the capacity small, so that ten times as much can be
    offered by one machine.
    """
    small = {"HTTP__MAX_CONCURRENCY": 20, "DATABASE__GROUP_MAX": 1, "DATABASE__QUEUE_MAX": 10}
    async with started(tmp_path, "serve", **settings, **small) as service:
        api, ops = ports(service)
        async with flood(api) as callers, watched(service.process.pid, ops) as watch:
            capacity = await callers.pace(4, 2)
            before = resident_bytes(service.process.pid)
            callers.replies.clear()
            await callers.open_loop(10 * capacity, SECONDS, most_open=400)
            assert all(one.status == 202 or is_refusal(one) for one in callers.replies)
            assert callers.statuses[503] > callers.statuses[202] > 0
            assert max(watch.rss) - before < 48 * MIB
            assert sorted(watch.waits_s)[len(watch.waits_s) * 99 // 100] < 2
            began = time.monotonic()
            told = await service.send("last@example.org")
            assert time.monotonic() - began < 5
            await sink.until(lambda: len(sink.distinct) > len(callers.accepted))
        await service.until(told, "sent")
        assert {one.rcpt_to for one in sink.journal} == callers.accepted | {"last@example.org"}
        assert len(sink.journal) == len(callers.accepted) + 1
        assert await service.terminate() == 0
    assert "Traceback" not in service.log


async def test_big_bodies_at_once_are_bounded_together(
    sink: Sink, settings: Settings, tmp_path: Path
) -> None:
    bounds = {"HTTP__MAX_BODIES_BYTES": 16 * MIB, "LIMITS__TEXT_BYTES": 8 * MIB}
    big = {"subject": "Hello", "text": "line of text\r\n" * (4 * MIB // 14), "to": "a@example.org"}
    request = posted(big)
    async with started(tmp_path, "serve", **settings, **bounds) as service:
        api, ops = ports(service)
        lines = [await Line.open(api) for _ in range(40)]
        before = resident_bytes(service.process.pid)
        async with watched(service.process.pid, ops) as watch:
            replies = await asyncio.gather(*(line.call(request) for line in lines))
        for line in lines:
            line.close()
        accepted = [reply for reply in replies if reply.status == 202]
        assert accepted
        assert all(reply.status == 202 or is_refusal(reply) for reply in replies)
        assert max(watch.rss) - before < 200 * MIB
        await sink.until(lambda: len(sink.distinct) >= len(accepted))
        await service.send("last@example.org")
        assert await service.terminate() == 0


async def test_callers_that_send_a_byte_a_second_keep_nobody_out(
    sink: Sink, settings: Settings, tmp_path: Path
) -> None:
    """Strangers in the middle of a head or of a body, and some who have a key."""
    bounds = {"HTTP__MAX_CONCURRENCY": 20, "HTTP__REQUEST_TIMEOUT_S": 2}
    known = posted({"to": "slow@example.org", "subject": "Hello", "text": "It works."})
    stranger = known.replace(KEY.encode(), b"x" * len(KEY))
    async with started(tmp_path, "serve", **settings, **bounds) as service:
        lines = [await Line.open(ports(service)[0]) for _ in range(55)]
        for line in lines[15:]:
            line.writer.write(stranger[:60])
        body = [stranger] * 10 + [known] * 5
        slow = asyncio.gather(*(drip(line, one) for line, one in zip(lines, body, strict=False)))
        for number in range(20):
            await service.send(f"p{number}@example.org")
        assert [reply.status for reply in await slow] == [401] * 10 + [408] * 5
        for line in lines:
            line.close()
        await sink.until(lambda: len(sink.distinct) >= 20)
        assert {one.rcpt_to for one in sink.journal} == {f"p{n}@example.org" for n in range(20)}
        assert await service.terminate() == 0


async def drip(line: Line, request: bytes) -> Reply:
    """Say a part of the body, then a byte a second, until somebody loses patience."""
    begun = request.index(b"\r\n\r\n") + 10
    answer = asyncio.create_task(line.call(request[:begun]))
    for byte in request[begun:]:
        done, _ = await asyncio.wait({answer}, timeout=1)
        if done:
            break
        line.writer.write(bytes((byte,)))
    return await answer
