"""Who really called, when a proxy that we trust says so."""

import ipaddress
from collections.abc import Sequence

from starlette.types import ASGIApp, Receive, Scope, Send

from notifier.api.wire import headers, split_authority
from notifier.core.errors import Misconfigured

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

SETTING = "NOTIFIER_HTTP__TRUSTED_PROXIES"
_SECURE = {"http": "https", "ws": "wss"}
_PLAIN = {secure: plain for plain, secure in _SECURE.items()}


class TrustedProxies:
    """Sets the client and scheme of a request from `X-Forwarded-For` and `-Proto`.

    Only if the peer is trusted. Of the addresses listed, the last one that is not a trusted
    proxy counts: those before it may be made up. The peer stays in `notifier.peer`.
    """

    def __init__(self, app: ASGIApp, trusted: Sequence[str]) -> None:
        self._app = app
        self._networks = networks(trusted)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] in ("http", "websocket"):
            peer = scope.get("client")
            scope["notifier.peer"] = peer
            if peer and self._networks and self._trusts(_address(peer[0])):
                self._believe(scope)
        await self._app(scope, receive, send)

    def _believe(self, scope: Scope) -> None:
        hops = ",".join(headers(scope, b"x-forwarded-for")).split(",")
        for hop in reversed(hops):
            address = _address(hop.strip())
            if address is None:
                break
            scope["client"] = (str(address), 0)
            if not self._trusts(address):
                break
        proto = ",".join(headers(scope, b"x-forwarded-proto")).rpartition(",")[2].strip().lower()
        if proto in ("http", "https"):
            table = _SECURE if proto == "https" else _PLAIN
            scope["scheme"] = table.get(scope["scheme"], scope["scheme"])

    def _trusts(self, address: Address | None) -> bool:
        return address is not None and any(address in network for network in self._networks)


def networks(trusted: Sequence[str]) -> tuple[Network, ...]:
    """The networks in the setting. Raises `Misconfigured` that names every bad one's place."""
    found, bad = [], []
    for position, text in enumerate(trusted, 1):
        try:
            found.append(ipaddress.ip_network(text.strip(), strict=False))
        except ValueError:
            bad.append(f"{SETTING}: entry {position} is neither an address nor a network")
    if bad:
        raise Misconfigured("; ".join(bad), problems=bad)
    return tuple(found)


def _address(text: str) -> Address | None:
    for candidate in (text, split_authority(text)[0]):
        try:
            address = ipaddress.ip_address(candidate)
        except ValueError:
            continue
        return getattr(address, "ipv4_mapped", None) or address
    return None
