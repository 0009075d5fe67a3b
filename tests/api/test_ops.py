"""Probes, and the mailbox's password."""

import asyncio
import base64
from collections.abc import AsyncIterator
from dataclasses import replace

import httpx2
import pytest
from starlette.responses import PlainTextResponse

from notifier.api.app import create_app
from notifier.api.frame import Frame, Health
from notifier.api.ops import ops_app
from notifier.core.errors import Unavailable
from notifier.observe.exposition import Page
from tests.api.door import Door, assert_problem, dev, form_router, production

pytestmark = pytest.mark.anyio


def ops_client(door: Door, host: str) -> httpx2.AsyncClient:
    transport = httpx2.ASGITransport(app=ops_app(door.frame()))
    return httpx2.AsyncClient(transport=transport, base_url=f"http://{host}")


async def test_healthz_is_200_whatever_is_the_matter() -> None:
    door = dev()
    door.health = Health("unavailable", ("store away",))
    async with door.client() as http:
        answer = await http.get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "alive"})
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("health", "status"),
    [
        (Health("ready"), 200),
        (Health("degraded", ("relay main: refuses the password",)), 200),
        (Health("draining", ("stopping",)), 503),
        (Health("unavailable", ("schema behind", "store away")), 503),
    ],
)
@pytest.mark.parametrize("where", ["main", "ops"])
async def test_readyz_says_whether_to_send_work_and_why(
    health: Health, status: int, where: str
) -> None:
    door = dev()
    door.health = health
    async with door.client() if where == "main" else ops_client(door, "10.0.0.9:9000") as http:
        answer = await http.get("/readyz")
    assert answer.status_code == status
    assert answer.json() == {"status": health.status, "reasons": list(health.reasons)}


async def scrape(accept: str) -> Page:
    return Page(b"notifier_up 1\n", f"text/{accept or 'plain'}")


def measured(door: Door) -> Frame:
    return replace(door.frame(), scrape=scrape)


def main_client(frame: Frame, peer: str = "127.0.0.1") -> httpx2.AsyncClient:
    app = create_app(routers=[], frame=frame)
    transport = httpx2.ASGITransport(app=app, client=(peer, 50000))
    return httpx2.AsyncClient(transport=transport, base_url="http://localhost")


def metrics_client(door: Door, host: str = "10.0.0.9:9000") -> httpx2.AsyncClient:
    transport = httpx2.ASGITransport(app=ops_app(measured(door)))
    return httpx2.AsyncClient(transport=transport, base_url=f"http://{host}")


async def test_metrics_are_on_the_ops_port_in_the_format_that_is_asked_for() -> None:
    async with metrics_client(production(ops={"port": 9000})) as http:
        answer = await http.get("/metrics", headers={"Accept": "open"})
        assert (await http.head("/metrics")).status_code == 200
    assert (answer.status_code, answer.text) == (200, "notifier_up 1\n")
    assert answer.headers["content-type"] == "text/open"
    assert answer.headers["cache-control"] == "no-store"


async def test_the_api_s_own_port_shows_metrics_in_dev_alone() -> None:
    async with main_client(measured(dev())) as http:
        assert (await http.get("/metrics")).text == "notifier_up 1\n"
    async with main_client(measured(production())) as http:
        assert (await http.get("/readyz")).status_code == 200
        assert_problem(await http.get("/metrics"), 404)


async def test_a_stranger_sees_no_metrics_in_dev() -> None:
    async with main_client(measured(dev(host="0.0.0.0")), peer="10.0.0.7") as http:
        assert_problem(await http.get("/metrics"), 403)
    async with main_client(measured(dev())) as http:
        assert_problem(await http.get("/metrics", headers={"X-Forwarded-For": "10.0.0.7"}), 403)


async def test_metrics_are_answered_while_the_limiter_is_full() -> None:
    door = dev(max_concurrency=1)

    async def slow_form() -> AsyncIterator[bytes]:
        yield b"t="
        door.inside.set()
        await door.held.wait()

    app = create_app(routers=[form_router()], frame=measured(door))
    transport = httpx2.ASGITransport(app=app)
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as http:
        waiting = asyncio.create_task(http.post("/confirm", content=slow_form(), headers=form))
        await door.inside.wait()
        assert_problem(await http.get("/docs"), 503)
        assert (await http.get("/metrics")).status_code == 200
        door.held.set()
        await waiting


async def test_the_ops_port_tells_no_foreign_name_its_metrics() -> None:
    async with metrics_client(production(), "evil.org") as http:
        assert_problem(await http.get("/metrics"), 400, "host_not_allowed")


async def test_a_store_that_is_away_makes_the_probe_503_and_not_500() -> None:
    door = dev()
    door.health_error = Unavailable("The database does not answer.")
    async with door.client() as http:
        answer = await http.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["reasons"] == ["The database does not answer."]


async def test_outside_dev_probes_are_on_the_ops_port_alone_where_there_is_one() -> None:
    alone = production(ops={"port": 9000}, is_dev=False)
    async with alone.client() as http:
        assert_problem(await http.get("/readyz"), 404)
    async with production().client() as http:
        assert (await http.get("/readyz")).status_code == 200
    async with ops_client(alone, "10.0.0.9:9000") as http:
        assert (await http.head("/healthz")).status_code == 200
        assert (await http.get("/readyz")).headers["x-request-id"]


async def test_the_ops_port_does_not_answer_to_foreign_names() -> None:
    async with ops_client(production(), "evil.org") as http:
        assert_problem(await http.get("/readyz"), 400, "host_not_allowed")


@pytest.mark.parametrize(("door", "home"), [(dev(), "/mailbox"), (production(), "/docs")])
async def test_the_front_door_leads_to_what_one_wants_to_see(door: Door, home: str) -> None:
    async with door.client() as http:
        answer = await http.get("/")
    assert (answer.status_code, answer.headers["location"]) == (307, home)


def basic(text: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(text.encode()).decode()}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (basic("me:pä:ss"), 200),
        (basic(":pä:ss"), 200),
        (basic("pä:ss"), 401),
        (basic("me:pä:s"), 401),
        (basic("me:"), 401),
        ({"Authorization": "Basic !!!"}, 401),
        ({"Authorization": "Bearer pä:ss".encode()}, 401),
        ({}, 401),
    ],
)
async def test_the_mailbox_asks_for_its_password(headers: dict[str, str], status: int) -> None:
    door = Door(dev().settings.model_validate({"is_dev": True, "mailbox": {"password": "pä:ss"}}))
    frame = replace(door.frame(), mounts={"/mailbox": PlainTextResponse("inbox")})
    transport = httpx2.ASGITransport(app=create_app(routers=[], frame=frame))
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as http:
        answer = await http.get("/mailbox/1", headers=headers)
        assert (await http.get("/healthz")).status_code == 200
    assert answer.status_code == status
    if status == 401:
        assert_problem(answer, 401, "password_needed")
        assert answer.headers["www-authenticate"].startswith('Basic realm="Notifier mailbox"')
    else:
        assert answer.text == "inbox"


async def test_a_mounted_house_has_the_same_guards() -> None:
    frame = replace(dev().frame(), mounts={"/mailbox": PlainTextResponse("inbox")})
    transport = httpx2.ASGITransport(app=create_app(routers=[], frame=frame))
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as http:
        assert (await http.get("/mailbox/", headers={"Host": "evil.org"})).status_code == 400
        foreign = {"Origin": "https://evil.org"}
        assert (await http.delete("/mailbox/x", headers=foreign)).status_code == 403
        assert (await http.delete("/mailbox/x")).status_code == 200
