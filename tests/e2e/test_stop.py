"""SIGTERM: no new claim, what is under way finished or released, exit 0 in the grace and 2 s."""

import asyncio
import fcntl
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.e2e.fleet import Settings, all_are, is_flagged, one, operators
from tests.e2e.process import KEY, Service
from tests.support.scripted_smtp import Hold, ScriptedSmtp, Step

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]

GRACE_S = 4
SLOW_DOT_S = 3
BEYOND_S = 2
LAST_RESORT_S = 3


@pytest.fixture
async def relay() -> AsyncIterator[ScriptedSmtp]:
    async with ScriptedSmtp() as running:
        yield running


@pytest.fixture
def settings(relay: ScriptedSmtp, migrated_sqlite: Path, tmp_path: Path) -> Settings:
    """What an operator sets, on SQLite: nothing of a stop depends on the database."""
    file = tmp_path / "notifier.db"
    file.write_bytes(migrated_sqlite.read_bytes())
    grace = {"DISPATCH__GRACE_S": GRACE_S, "HTTP__GRACE_S": GRACE_S}
    return {**operators(f"sqlite:///{file}", relay, tmp_path), **grace}


async def ends(service: Service, began: float) -> float:
    """Seconds since `began` at its end, which was in order."""
    async with asyncio.timeout(GRACE_S + BEYOND_S + 5):
        code = await service.process.wait()
    took_s = time.monotonic() - began
    assert code == 0, service.log
    assert took_s < GRACE_S + BEYOND_S, took_s
    assert "Traceback" not in service.log
    return took_s


def stop(service: Service) -> float:
    """Ask it to stop; returns when that was."""
    service.process.terminate()
    return time.monotonic()


@pytest.mark.parametrize(
    "role", [("serve",), ("serve", "--no-dispatch"), ("worker",)], ids=" ".join
)
async def test_an_idle_process_does_not_wait_for_its_grace(
    settings: Settings, tmp_path: Path, role: tuple[str, ...]
) -> None:
    async with one(tmp_path, *role, **settings) as service:
        assert await ends(service, stop(service)) < GRACE_S


async def test_a_mail_at_a_slow_dot_is_finished_and_recorded(
    settings: Settings, relay: ScriptedSmtp, tmp_path: Path
) -> None:
    answer = asyncio.Event()
    slow = relay.on(Step.DOT, Hold(answer))
    async with one(tmp_path, "serve", **settings) as service:
        told = await service.send("ann@example.org")
        await relay.until(lambda: slow.hits == 1)
        asyncio.get_running_loop().call_later(SLOW_DOT_S, answer.set)
        assert await ends(service, stop(service)) > SLOW_DOT_S - 1
    async with one(tmp_path, "serve", **settings) as service:
        assert (await service.read(told))["status"] == "sent"
        assert not await is_flagged(service, told)
    assert [mail.rcpt_to for mail in relay.accepted] == ["ann@example.org"]


async def test_a_database_that_hangs_holds_up_a_stop_for_seconds_only(
    settings: Settings, tmp_path: Path
) -> None:
    async with one(tmp_path, "serve", **settings) as service:
        with (tmp_path / "notifier.db.lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # as a frozen process on the same file would
            began = stop(service)
            async with asyncio.timeout(GRACE_S + LAST_RESORT_S + 5):
                assert await service.process.wait() == 1
            assert time.monotonic() - began < GRACE_S + LAST_RESORT_S + 2
        assert "process.stop_forced" in service.log


async def test_no_mail_is_claimed_after_the_signal(
    settings: Settings, relay: ScriptedSmtp, tmp_path: Path
) -> None:
    answer = asyncio.Event()
    slow = relay.on(Step.DOT, Hold(answer))
    alone = {**settings, "DISPATCH__SEATS": 1}
    async with (
        one(tmp_path, "worker", **alone) as worker,
        one(tmp_path, "serve", "--no-dispatch", **settings) as api,
    ):
        await api.send("ann@example.org")
        await relay.until(lambda: slow.hits == 1)
        waiting = await api.send("bob@example.org")
        began = stop(worker)
        answer.set()
        await ends(worker, began)
        assert (await api.read(waiting))["status"] == "queued"
    assert [mail.rcpt_to for mail in relay.accepted] == ["ann@example.org"]


async def test_a_mail_whose_dot_is_slower_than_the_grace_is_sent_again_and_flagged(
    settings: Settings, relay: ScriptedSmtp, tmp_path: Path
) -> None:
    never = relay.on(Step.DOT, Hold(asyncio.Event()), times=1)
    async with one(tmp_path, "serve", **settings) as service:
        told = await service.send("ann@example.org")
        await relay.until(lambda: never.hits == 1)
        await ends(service, stop(service))
    async with one(tmp_path, "serve", **settings) as service:
        await service.until(told, "sent")
        assert await is_flagged(service, told)
    assert [mail.acknowledged for mail in relay.accepted] == [False, True]
    assert len({mail.content for mail in relay.accepted}) == 1


async def test_a_mail_cut_off_before_its_dot_is_sent_by_the_next_process_and_not_flagged(
    settings: Settings, relay: ScriptedSmtp, tmp_path: Path
) -> None:
    """At once, although its lease would run for much longer: it was given back."""
    patient = {**settings, "DISPATCH__LEASE_S": 3600}
    never = relay.on(Step.RCPT, Hold(asyncio.Event()), times=1)
    async with one(tmp_path, "serve", **patient) as service:
        told = await service.send("ann@example.org")
        await relay.until(lambda: never.hits == 1)
        await ends(service, stop(service))
    async with one(tmp_path, "serve", **patient) as service:
        sent = await service.until(told, "sent")
        assert not await is_flagged(service, told)
        assert sent["messages"][0]["status"] == "sent"
    assert len(relay.accepted) == 1


async def test_readyz_says_draining_for_as_long_as_it_takes(
    settings: Settings, relay: ScriptedSmtp, tmp_path: Path
) -> None:
    answer = asyncio.Event()
    slow = relay.on(Step.DOT, Hold(answer))
    async with one(tmp_path, "serve", **settings) as service:
        await service.send("ann@example.org")
        await relay.until(lambda: slow.hits == 1)
        began = stop(service)
        await all_are("draining", [service])
        answer.set()
        await ends(service, began)


async def test_an_open_event_stream_does_not_hold_it_up(tmp_path: Path) -> None:
    async with one(tmp_path, "dev", HTTP__GRACE_S=GRACE_S) as service:
        headers = {"Accept": "text/event-stream"}
        async with service.web.stream("GET", "/mailbox/events", headers=headers) as stream:
            assert stream.status_code == 200
            began = stop(service)
            async for _ in stream.aiter_raw():
                pass
            assert await ends(service, began) < GRACE_S


def request_of(port: int, address: str) -> tuple[bytes, bytes]:
    """Head and body of a POST."""
    body = json.dumps({"to": address, "subject": "Hello", "text": "It works."}).encode()
    head = (
        f"POST /v1/notifications HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
        f"Authorization: Bearer {KEY}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode(), body


async def test_a_post_whose_body_comes_slowly_is_answered_and_kept(
    settings: Settings, relay: ScriptedSmtp, tmp_path: Path
) -> None:
    async with one(tmp_path, "serve", **settings) as service:
        port = service.web.base_url.port
        assert port is not None
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        head, body = request_of(port, "ann@example.org")
        writer.write(head + body[:10])
        await writer.drain()
        await service.web.get("/openapi.json")  # by now the other half-request has been read
        began = stop(service)
        await until_closed(port)
        writer.write(body[10:])
        status = await reader.readline()
        await ends(service, began)
        writer.close()
    assert status.split()[1] == b"202"
    async with one(tmp_path, "serve", **settings):
        await relay.until(lambda: len(relay.accepted) == 1)


async def test_a_post_whose_body_never_ends_does_not_hold_it_up(
    settings: Settings, tmp_path: Path
) -> None:
    async with one(tmp_path, "serve", **settings) as service:
        port = service.web.base_url.port
        assert port is not None
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        head, body = request_of(port, "ann@example.org")
        writer.write(head + body[:10])
        await writer.drain()
        await service.web.get("/openapi.json")
        await ends(service, stop(service))
        writer.close()


async def until_closed(port: int) -> None:
    """Return when nobody listens there any more."""
    async with asyncio.timeout(GRACE_S):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                return
            writer.close()
            await asyncio.sleep(0.01)
