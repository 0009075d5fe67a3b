"""Which Host is answered."""

from typing import Any

import pytest

from notifier.api.hosts import AllowedHosts
from notifier.settings import Settings
from tests.api.door import Door, assert_problem, dev, production

DEV: dict[str, Any] = {"is_dev": True}
SERVED: dict[str, tuple[dict[str, Any], str, bool]] = {
    "localhost": (DEV, "localhost", True),
    "any port": (DEV, "localhost:9999", True),
    "any case": (DEV, "LOCALHOST:8000", True),
    "a dot at the end": (DEV, "localhost.:8000", True),
    "IPv4": (DEV, "127.0.0.1:8000", True),
    "IPv6": (DEV, "[::1]:8000", True),
    "a rebound name": (DEV, "evil.example:8000", False),
    "a name below localhost": (DEV, "evil.localhost", False),
    "a name that begins alike": (DEV, "localhost.evil.example", False),
    "another address": (DEV, "192.168.1.7:8000", False),
    "notifier, not open": (DEV, "notifier:8000", False),
    "notifier, open": ({**DEV, "dev": {"open": True}}, "notifier:8000", True),
    "notifier, open but not dev": ({"dev": {"open": True}}, "notifier:8000", False),
    "the public host": ({"public_url": "https://n.example.org/x"}, "n.example.org", True),
    "a sibling": ({"public_url": "https://n.example.org"}, "m.example.org", False),
    "an allowed one": ({"http": {"allowed_hosts": ["API.internal"]}}, "api.internal:80", True),
    "below a wildcard": ({"http": {"allowed_hosts": ["*.a.org"]}}, "x.y.a.org", True),
    "the wildcard's own": ({"http": {"allowed_hosts": ["*.a.org"]}}, "a.org", False),
    "the address bound": ({"http": {"host": "10.0.0.5"}}, "10.0.0.5:8000", True),
    "the wildcard address": ({"http": {"host": "0.0.0.0"}}, "0.0.0.0:8000", False),
}


@pytest.mark.anyio
@pytest.mark.parametrize(("settings", "host", "served"), SERVED.values(), ids=SERVED)
async def test_hosts(settings: dict[str, Any], host: str, served: bool) -> None:
    door = Door(Settings.model_validate(settings))
    async with door.client() as http:
        answer = await http.get("/healthz", headers={"Host": host})
    if served:
        assert answer.status_code == 200
    else:
        detail = assert_problem(answer, 400, "host_not_allowed")["detail"]
        assert "NOTIFIER_HTTP__ALLOWED_HOSTS" in detail


@pytest.mark.parametrize(
    "authority",
    [
        "",
        "localhost:",
        "localhost:port",
        "user@localhost",
        "localhost/x",
        "a b",
        "[::1",
        "::1",
        "localhost:123456",
        "localhost\t",
        "löcalhost",
        "[localhost]",
    ],
)
def test_what_is_no_authority_is_refused(authority: str) -> None:
    assert not AllowedHosts(frozenset({"localhost", "::1"})).allow(authority)


@pytest.mark.anyio
async def test_two_hosts_are_refused() -> None:
    async with dev().client() as http:
        twice = [("Host", "localhost"), ("Host", "localhost")]
        assert_problem(await http.get("/healthz", headers=twice), 400, "host_not_allowed")


@pytest.mark.parametrize(("authority", "served"), [("10.1.2.3:9000", True), ("evil.org", False)])
def test_probes_may_come_to_an_address(authority: str, served: bool) -> None:
    assert AllowedHosts(frozenset(), any_address=True).allow(authority) is served


@pytest.mark.anyio
async def test_an_answer_never_holds_the_host_it_was_asked_by() -> None:
    async with production().client() as http:
        for path in ("/", "/docs", "/openapi.json", "/nothing"):
            answer = await http.get(path, headers={"Host": "localhost:4711"})
            assert "4711" not in answer.text + str(answer.headers)
