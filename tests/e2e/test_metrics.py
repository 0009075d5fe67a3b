"""What a machine reads of a real `notifier serve`: metrics, probes, and a log without people."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest

from tests.e2e.process import KEY, Service, eventually, free_port, started
from tests.observe.test_metrics import OPEN
from tests.observe.test_metrics import parsed as parsed_text
from tests.support.office import code_in, parsed, text_of, token_in
from tests.support.scripted_smtp import Act, Drop, Say, ScriptedSmtp, Step

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(90)]
Settings = dict[str, object]


@pytest.fixture
async def relay() -> AsyncIterator[ScriptedSmtp]:
    async with ScriptedSmtp() as running:
        yield running


@pytest.fixture
def settings(relay: ScriptedSmtp, tmp_path: Path) -> Settings:
    secret = tmp_path / "key"
    secret.write_text(KEY + "\n")
    return {
        "PUBLIC_URL": "http://127.0.0.1:9",
        "SECRET_KEY": "0123456789abcdef0123456789abcdef",
        "MAIL__FROM": "Shop <shop@example.com>",
        "RELAYS__MAIN__URL": f"smtp://127.0.0.1:{relay.port}?tls=none",
        "KEYS__SHOP__SECRET_FILE": secret,
        "DISPATCH__POLL_S": 0.1,
    }


async def scraped(service: Service, accept: str = "") -> httpx2.Response:
    """From the ops port, whatever the API's own is doing."""
    async with httpx2.AsyncClient(headers={"Accept": accept}, timeout=10) as http:
        return await http.get(service.probe.replace("/readyz", "/metrics"))


async def numbers(service: Service) -> dict[str, float]:
    return parsed_text((await scraped(service)).text)


async def test_a_mail_is_in_the_metrics_of_the_process_that_sent_it(
    settings: Settings, tmp_path: Path
) -> None:
    async with started(tmp_path, "serve", **settings) as service:
        before = await numbers(service)
        await service.until(await service.send("ann@example.org"), "sent")
        found = await numbers(service)
        assert (
            (await scraped(service, OPEN))
            .headers["content-type"]
            .startswith("application/openmetrics-text")
        )
        assert (await service.web.get("/metrics")).status_code == 404
        assert await service.terminate() == 0
    for name in ("messages_total{status=sent}", "attempts_total{relay=main,verdict=sent}"):
        assert (before[f"notifier_{name}"], found[f"notifier_{name}"]) == (0, 1)
    assert found["notifier_accepted_total{stream=transactional}"] == 1
    assert found["notifier_delivery_seconds_count{stream=transactional}"] == 1
    assert found["notifier_http_request_seconds_count{route=/v1/notifications,status=202}"] == 1
    assert found["notifier_store_writes_total"] >= 3
    assert found["notifier_seats{state=busy}"] == 0
    assert found["notifier_relay_up{relay=main}"] == 1
    assert found["notifier_relay_connections{relay=main}"] == 1
    assert found["process_open_fds"] > 10


@pytest.mark.parametrize(
    ("role", "has", "lacks"),
    [
        ("worker", "notifier_seats{state=free}", None),
        ("serve --no-dispatch", "notifier_store_up", "notifier_seats{state=free}"),
        ("mailbox", "notifier_mailbox_captured_total", "notifier_store_up"),
    ],
)
async def test_every_role_has_its_metrics(
    role: str, has: str, lacks: str | None, settings: Settings, tmp_path: Path
) -> None:
    ports = {"MAILBOX__SMTP_PORT": free_port(), "MAILBOX__COMPAT_PORT": free_port()}
    async with started(tmp_path, *role.split(), **settings, **ports) as service:
        found = await numbers(service)
        assert await service.terminate() == 0
    assert has in found
    assert lacks not in found
    (build,) = [name for name in found if name.startswith("notifier_build_info")]
    assert f"role={role.split(maxsplit=1)[0]}" in build


async def test_metrics_are_answered_while_callers_get_503(
    settings: Settings, tmp_path: Path
) -> None:
    async with started(tmp_path, "serve", **settings, HTTP__MAX_CONCURRENCY=1) as service:
        assert service.web.base_url.port is not None
        _, writer = await asyncio.open_connection("127.0.0.1", service.web.base_url.port)
        head = f"POST /v1/notifications HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {KEY}"
        writer.write(
            f"{head}\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{{".encode()
        )
        await writer.drain()

        async def refused() -> bool:
            return (await service.web.post("/v1/notifications", json={})).status_code == 503

        await eventually(refused, "the only seat is taken")
        found = await numbers(service)
        assert found["notifier_store_up"] == 1
        assert found["notifier_http_request_seconds_count{route=-,status=503}"] >= 1
        writer.close()
        assert await service.terminate() == 0


async def test_what_waits_and_why_is_told_while_the_relay_is_away(
    settings: Settings, relay: ScriptedSmtp, tmp_path: Path
) -> None:
    await relay.close()
    async with started(tmp_path, "serve", **settings) as service:
        await service.send(["ann@example.org", "bob@example.org"])

        async def is_down() -> bool:
            return (await numbers(service))["notifier_relay_up{relay=main}"] == 0

        await eventually(is_down, "the relay rests")
        ready = await service.web.get(service.probe)
        found = await numbers(service)
        assert await service.terminate() == 0
    assert (ready.status_code, ready.json()["status"]) == (200, "degraded")
    assert ready.json()["reasons"][0].startswith("relay main is resting: connect: refused")
    assert found["notifier_relay_state{relay=main,state=resting}"] == 1
    assert found["notifier_messages_total{status=sent}"] == 0


REFUSALS: dict[str, Act] = {
    "zebrafink.gone@example.org": Say(550, "5.1.1 <zebrafink.gone@example.org>: not known"),
    "zebrafink.grey@example.org": Say(451, "4.7.1 zebrafink.grey@example.org is greylisted"),
    "zebrafink.spam@example.org": Say(550, "5.7.1 no mail for zebrafink.spam@example.org"),
    "zebrafink.lost@example.org": Drop(taken=True),
}
ENDED = [f"notifier_messages_total{{status={one}}}" for one in ("sent", "bounced", "rejected")]
DEFERRED = "notifier_messages_total{status=deferred}"


async def post_birds(service: Service) -> None:
    """Mails whose every part would be known again in the log."""
    bird = "zebrafink@example.org"
    await service.post("/v1/registrations", email=bird, name="Wellensittich")
    await service.post(to=bird, subject="Nachtigall im Titel", text="Rotkehlchen im Text")
    for recipient in REFUSALS:
        await service.send(recipient)

    async def over() -> bool:
        found = await numbers(service)
        return sum(found[name] for name in ENDED) >= 4 and found[DEFERRED] >= 2

    await eventually(over, "each mail has had its try")


async def test_the_log_names_nobody_and_gives_no_secret_away(
    settings: Settings, relay: ScriptedSmtp, tmp_path: Path
) -> None:
    for recipient, act in REFUSALS.items():
        step = Step.DOT if isinstance(act, Drop) else Step.RCPT
        relay.on(step, act, recipient=recipient, times=1)
    async with started(tmp_path, "serve", **settings, LOG__LEVEL="debug") as service:
        await post_birds(service)
        (mail,) = [one for one in relay.accepted if b"/confirm?t=3D" in one.content]
        text = text_of(parsed(mail.content))
        token, code = token_in(text), code_in(text)
        await service.web.get("/confirm", params={"t": token})
        assert (await service.web.post("/confirm", data={"t": token})).status_code == 200
        await service.web.get("/v1/zebrafink", params={"q": "zebrafink@example.org"})
        assert await service.terminate() == 0
    log = service.log
    assert "message.alarmed" in log
    assert "z***@example.org" in log
    birds = ("zebrafink", "Wellensittich", "Nachtigall", "Rotkehlchen")
    secrets = (token, code, f"{code[:3]} {code[3:]}", KEY, str(settings["SECRET_KEY"]))
    assert [word for word in (*birds, *secrets) if word in log] == []
