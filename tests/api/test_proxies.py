"""X-Forwarded-* is believed from trusted proxies only."""

from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from notifier.api.proxies import TrustedProxies, networks
from notifier.core.errors import Misconfigured

CASES: dict[str, tuple[list[str], str, list[str], str]] = {
    # trusted, peer, X-Forwarded-For, and who is believed to have called
    "nobody trusted": ([], "10.0.0.1", ["1.2.3.4"], "10.0.0.1"),
    "a stranger": (["10.0.0.2"], "10.0.0.1", ["1.2.3.4"], "10.0.0.1"),
    "one proxy": (["10.0.0.1"], "10.0.0.1", ["1.2.3.4"], "1.2.3.4"),
    "a network": (["10.0.0.0/8"], "10.9.9.9", ["1.2.3.4"], "1.2.3.4"),
    "a made-up first hop": (["10.0.0.1"], "10.0.0.1", ["6.6.6.6, 1.2.3.4"], "1.2.3.4"),
    "two proxies": (["10.0.0.0/8"], "10.0.0.1", ["6.6.6.6, 1.2.3.4, 10.0.0.2"], "1.2.3.4"),
    "two headers": (["10.0.0.1"], "10.0.0.1", ["6.6.6.6", "1.2.3.4"], "1.2.3.4"),
    "proxies only": (["10.0.0.0/8"], "10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
    "no header": (["10.0.0.1"], "10.0.0.1", [], "10.0.0.1"),
    "rubbish": (["10.0.0.1"], "10.0.0.1", ["<script>"], "10.0.0.1"),
    "rubbish before": (["10.0.0.0/8"], "10.0.0.1", ["x, 10.0.0.2"], "10.0.0.2"),
    "with a port": (["10.0.0.1"], "10.0.0.1", ["1.2.3.4:5678"], "1.2.3.4"),
    "IPv6": (["::1"], "::1", ["2001:db8::1"], "2001:db8::1"),
    "IPv6 with a port": (["::1"], "::1", ["[2001:db8::1]:443"], "2001:db8::1"),
    "mapped": (["10.0.0.1"], "::ffff:10.0.0.1", ["1.2.3.4"], "1.2.3.4"),
}


async def seen(trusted: list[str], scope: Scope) -> Scope:
    async def app(scope: Scope, receive: Receive, send: Send) -> None: ...

    async def nothing(*_: Any) -> Any: ...

    await TrustedProxies(app, trusted)(scope, nothing, nothing)
    return scope


def scope(peer: str, *headers: tuple[str, str]) -> Scope:
    raw = [(name.lower().encode(), value.encode()) for name, value in headers]
    return {"type": "http", "client": (peer, 1), "scheme": "http", "headers": raw}


@pytest.mark.anyio
@pytest.mark.parametrize(("trusted", "peer", "hops", "client"), CASES.values(), ids=CASES)
async def test_client(trusted: list[str], peer: str, hops: list[str], client: str) -> None:
    found = await seen(trusted, scope(peer, *(("X-Forwarded-For", hop) for hop in hops)))
    assert found["client"][0] == client
    assert found["notifier.peer"][0] == peer


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("trusted", "proto", "scheme"),
    [
        (["10.0.0.1"], "https", "https"),
        (["10.0.0.1"], "HTTPS", "https"),
        (["10.0.0.1"], "http, https", "https"),
        (["10.0.0.1"], "javascript", "http"),
        ([], "https", "http"),
    ],
)
async def test_scheme(trusted: list[str], proto: str, scheme: str) -> None:
    found = await seen(trusted, globals()["scope"]("10.0.0.1", ("X-Forwarded-Proto", proto)))
    assert found["scheme"] == scheme


def test_bad_networks_are_all_named_at_start() -> None:
    with pytest.raises(Misconfigured) as caught:
        networks(["10.0.0.1", "proxy.local", "10.0.0.0/99"])
    assert [p.split(":")[1] for p in caught.value.problems] == [
        " entry 2 is neither an address nor a network",
        " entry 3 is neither an address nor a network",
    ]
    assert all(p.startswith("NOTIFIER_HTTP__TRUSTED_PROXIES") for p in caught.value.problems)
