"""Keys, scopes, and the one case in which no key is needed."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from notifier.settings import Settings
from tests.api.door import BEARER, JSON, LIVE, NOW, Door, assert_problem, dev, production, with_key

pytestmark = pytest.mark.anyio
BODY = b'{"to":"a"}'


async def test_a_key_gives_its_project_route_and_domains() -> None:
    async with production().client() as http:
        answer = await http.post("/v1/things", content=BODY, headers={**BEARER, **JSON})
    assert answer.status_code == 202
    assert answer.json() == {
        "project": "shop",
        "key_id": "key_1",
        "scopes": ["send"],
        "route": "live",
        "from_domains": ["example.org"],
    }


async def test_a_test_key_is_known_as_one() -> None:
    async with with_key(production(), route="test").client() as http:
        answer = await http.post("/v1/things", content=BODY, headers={**BEARER, **JSON})
    assert answer.json()["route"] == "test"


async def test_without_a_key_the_answer_is_401_with_a_challenge() -> None:
    async with production().client() as http:
        answer = await http.get("/v1/things/a")
    assert_problem(answer, 401, "unauthenticated")
    assert answer.headers["www-authenticate"] == "Bearer"


BAD = {
    "unknown": (f"Bearer {LIVE.plaintext[:-1]}x".encode(), "key_unknown"),
    "another scheme": (b"Basic bnRmOng=", "key_malformed"),
    "no token": (b"Bearer", "key_malformed"),
    "empty": (b"", "key_malformed"),
    "the bare key": (LIVE.plaintext.encode(), "key_malformed"),
    "far too long": (b"Bearer " + b"x" * 5000, "key_malformed"),
    "not ascii": (b"Bearer \xff\xfe", "key_unknown"),
}


@pytest.mark.parametrize(("credentials", "code"), BAD.values(), ids=BAD)
@pytest.mark.parametrize("door", [dev(), production()], ids=["dev", "production"])
async def test_a_bad_key_is_401_also_where_none_is_needed(
    door: Door, credentials: bytes, code: str
) -> None:
    async with door.client() as http:
        answer = await http.get("/v1/things/a", headers=[(b"Authorization", credentials)])
    assert_problem(answer, 401, code)
    assert answer.headers["www-authenticate"] == 'Bearer error="invalid_token"'
    assert LIVE.plaintext[:-1] not in answer.text


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"revoked_at": NOW - timedelta(days=1)}, "key_revoked"),
        ({"expires_at": NOW}, "key_expired"),
    ],
)
async def test_a_key_whose_time_is_over_is_401(changes: dict[str, Any], code: str) -> None:
    async with with_key(production(), **changes).client() as http:
        assert_problem(await http.get("/v1/things/a", headers=BEARER), 401, code)


async def test_a_missing_scope_is_403_and_named() -> None:
    async with production().client() as http:
        answer = assert_problem(await http.get("/v1/secrets", headers=BEARER), 403, "scope_missing")
    assert "admin" in answer["detail"]


async def test_admin_has_every_scope() -> None:
    async with with_key(production(), scopes=frozenset({"admin"})).client() as http:
        assert (await http.get("/v1/things/a", headers=BEARER)).status_code == 200


async def test_the_key_is_asked_for_before_the_body_is_read() -> None:
    read = False

    async def body() -> AsyncIterator[bytes]:
        nonlocal read
        read = True
        yield b"{}"

    async with production().client() as http:
        assert_problem(await http.post("/v1/things", content=body(), headers=JSON), 401)
    assert not read


async def test_an_unknown_path_below_v1_does_not_tell_a_stranger_so() -> None:
    async with production().client() as http:
        assert_problem(await http.get("/v1/nothing"), 401)
        assert_problem(await http.get("/v1/nothing", headers=BEARER), 404)


async def test_public_paths_need_no_key() -> None:
    async with production().client() as http:
        for path in ("/healthz", "/readyz", "/docs", "/openapi.json"):
            assert (await http.get(path)).status_code == 200


KEYLESS: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, str], bool]] = {
    # settings, client, headers, and whether it is allowed
    "dev, from this machine": ({"is_dev": True}, {}, {}, True),
    "by 127.0.0.1": ({"is_dev": True}, {"host": "127.0.0.1:8000"}, {}, True),
    "by [::1]": ({"is_dev": True}, {"host": "[::1]:8000", "peer": "::1"}, {}, True),
    "a mapped peer": ({"is_dev": True}, {"peer": "::ffff:127.0.0.1"}, {}, True),
    "not dev": ({}, {}, {}, False),
    "not dev, though open": ({"dev": {"open": True}}, {}, {}, False),
    "from another machine": ({"is_dev": True}, {"peer": "192.168.1.7"}, {}, False),
    "bound to the network": ({"is_dev": True, "http": {"host": "0.0.0.0"}}, {}, {}, False),
    "another allowed host": (
        {"is_dev": True, "http": {"allowed_hosts": ["app.test"]}},
        {"host": "app.test"},
        {},
        False,
    ),
    "X-Forwarded-For": ({"is_dev": True}, {}, {"X-Forwarded-For": "127.0.0.1"}, False),
    "X-Forwarded-Host": ({"is_dev": True}, {}, {"X-Forwarded-Host": "localhost"}, False),
    "Forwarded": ({"is_dev": True}, {}, {"Forwarded": "for=127.0.0.1"}, False),
    "Via": ({"is_dev": True}, {}, {"Via": "1.1 proxy"}, False),
    "X-Forwarded": ({"is_dev": True}, {}, {"X-Forwarded": "for=127.0.0.1"}, False),
    "Fly-Client-IP": ({"is_dev": True}, {}, {"Fly-Client-IP": "127.0.0.1"}, False),
    "CF-Connecting-IP": ({"is_dev": True}, {}, {"CF-Connecting-IP": "127.0.0.1"}, False),
    "X-Original-Forwarded-For": (
        {"is_dev": True},
        {},
        {"X-Original-Forwarded-For": "127.0.0.1"},
        False,
    ),
    "X-Real-IP": ({"is_dev": True}, {}, {"X-Real-IP": "127.0.0.1"}, False),
    "behind a trusted proxy": (
        {"is_dev": True, "http": {"trusted_proxies": ["127.0.0.1"]}},
        {},
        {"X-Forwarded-For": "127.0.0.1"},
        False,
    ),
    "in a container": (
        {"is_dev": True, "dev": {"open": True}, "http": {"host": "0.0.0.0"}},
        {"peer": "172.17.0.1"},
        {},
        True,
    ),
    "between containers": (
        {"is_dev": True, "dev": {"open": True}, "http": {"host": "0.0.0.0"}},
        {"peer": "172.17.0.3", "host": "notifier:8000"},
        {},
        True,
    ),
    "in a container, by proxy": (
        {"is_dev": True, "dev": {"open": True}, "http": {"host": "0.0.0.0"}},
        {"peer": "172.17.0.1"},
        {"X-Forwarded-For": "1.2.3.4"},
        False,
    ),
}


@pytest.mark.parametrize(
    ("settings", "client", "headers", "allowed"), KEYLESS.values(), ids=KEYLESS
)
async def test_keyless_calls(
    settings: dict[str, Any], client: dict[str, Any], headers: dict[str, str], allowed: bool
) -> None:
    door = Door(Settings.model_validate(settings))
    async with door.client(**client) as http:
        answer = await http.post("/v1/things", content=BODY, headers={**JSON, **headers})
    assert answer.status_code == (202 if allowed else 401), answer.text
    if allowed:
        assert (answer.json()["project"], answer.json()["key_id"]) == ("default", None)
