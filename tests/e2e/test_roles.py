"""`serve` and `worker` on PostgreSQL, with a relay that is real as far as they can tell."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
from sqlalchemy import create_engine, make_url, text

from tests.e2e.process import KEY, START_S, eventually, run, started
from tests.support.postgres import fresh_database
from tests.support.scripted_smtp import ScriptedSmtp

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(90)]
Settings = dict[str, object]


@pytest.fixture
async def relay() -> AsyncIterator[ScriptedSmtp]:
    async with ScriptedSmtp() as running:
        yield running


@pytest.fixture
async def settings(
    postgres_url: str, relay: ScriptedSmtp, tmp_path: Path
) -> AsyncIterator[Settings]:
    """What an operator sets, on a migrated database."""
    with fresh_database(postgres_url) as url:
        secret = tmp_path / "key"
        secret.write_text(KEY + "\n")
        chosen: Settings = {
            "DATABASE__URL": url,
            "PUBLIC_URL": "http://127.0.0.1:9",
            "SECRET_KEY": "0123456789abcdef0123456789abcdef",
            "MAIL__FROM": "Shop <shop@example.com>",
            "MAIL__RETURN_PATH": "bounces@example.com",
            "RELAYS__MAIN__URL": f"smtp://127.0.0.1:{relay.port}?tls=none",
            "KEYS__SHOP__SECRET_FILE": secret,
            "DISPATCH__POLL_S": 0.1,
        }
        code, said = await run(tmp_path, "migrate", **chosen)
        assert code == 0, said
        yield chosen


async def test_serve_sends_by_the_relay_and_ends_with_0(
    settings: Settings, relay: ScriptedSmtp, tmp_path: Path
) -> None:
    async with started(tmp_path, "serve", **settings) as service:
        told = await service.send(["ann@example.org", "bob@example.org"])
        await service.until(told, "sent")
        keyless = await service.web.post(
            "/v1/notifications", json={}, headers={"Authorization": "x"}
        )
        assert keyless.status_code == 401
        for path in ("/readyz", "/mailbox"):
            assert (await service.web.get(path)).status_code == 404
        assert await service.terminate() == 0
    assert sorted((mail.mail_from, mail.rcpt_to) for mail in relay.accepted) == [
        ("bounces@example.com", "ann@example.org"),
        ("bounces@example.com", "bob@example.org"),
    ]
    assert "ann@example.org" not in service.log
    assert "Traceback" not in service.log


async def test_the_api_alone_leaves_mail_to_a_worker(
    settings: Settings, relay: ScriptedSmtp, tmp_path: Path
) -> None:
    async with started(tmp_path, "serve", "--no-dispatch", **settings) as service:
        early = await service.send("ann@example.org")
        assert (await service.read(early))["status"] == "queued"
        assert relay.connections == []
        async with started(tmp_path, "worker", **settings) as worker:
            await service.until(early, "sent")
            late = await service.send("bob@example.org")
            await service.until(late, "sent")
            assert await worker.terminate() == 0
        assert await service.terminate() == 0
    assert [mail.rcpt_to for mail in relay.accepted] == ["ann@example.org", "bob@example.org"]


async def test_a_process_whose_dispatcher_is_dead_ends(settings: Settings, tmp_path: Path) -> None:
    async with started(tmp_path, "serve", **settings) as service:
        url = make_url(str(settings["DATABASE__URL"])).set(drivername="postgresql+psycopg")
        engine = create_engine(url)
        with engine.begin() as connection:
            connection.execute(text("DROP TABLE outbox"))
        engine.dispose()
        code = await asyncio.wait_for(service.process.wait(), START_S)
    assert code != 0


async def test_it_does_not_start_without_what_it_needs(tmp_path: Path) -> None:
    code, said = await run(tmp_path, "serve")
    assert code == 2
    for name in ("NOTIFIER_PUBLIC_URL", "NOTIFIER_SECRET_KEY", "NOTIFIER_MAIL__FROM"):
        assert name in said
    assert "Traceback" not in said


async def test_two_services_on_one_database_send_each_mail_once(
    settings: Settings, relay: ScriptedSmtp, tmp_path: Path
) -> None:
    async with (
        started(tmp_path, "serve", **settings) as one,
        started(tmp_path, "serve", **settings) as other,
    ):
        addresses = [f"p{number}@example.org" for number in range(100)]
        posts = [
            (one if number % 2 else other).send(address) for number, address in enumerate(addresses)
        ]
        told = await asyncio.gather(*posts)

        async def all_sent() -> bool:
            return len(relay.accepted) >= len(addresses)

        await eventually(all_sent, "a hundred mails")
        for answer in told:
            await one.until(answer, "sent")
    assert sorted(mail.rcpt_to for mail in relay.accepted) == sorted(addresses)


async def test_probes_have_a_port_of_their_own(settings: Settings, tmp_path: Path) -> None:
    async with started(tmp_path, "serve", **settings) as service:
        assert (await service.web.get("/healthz")).status_code == 404
    with pytest.raises(httpx2.TransportError):
        await httpx2.AsyncClient().get(str(service.web.base_url))
