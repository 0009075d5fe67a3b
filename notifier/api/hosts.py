"""Which `Host` is answered: the defence against DNS rebinding.

A foreign name that resolves to this machine makes a browser treat the foreign page as ours; only
the Host header tells. The answer is 400 and not 421: a client may retry a 421 on a new connection
(RFC 9110 §15.5.20), which would fail the same way.
"""

import ipaddress
import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Receive, Scope, Send

from notifier.api.problems import send_problem
from notifier.api.refusals import HostNotAllowed
from notifier.api.wire import LOOPBACK_NAMES, headers, split_authority
from notifier.settings import Settings
from notifier.settings.loopback import WILDCARDS

_SHAPE: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?")
_REFUSAL: Final = (
    "This service does not answer to that Host. "
    "If it should, its operator adds the name to NOTIFIER_HTTP__ALLOWED_HOSTS."
)


@dataclass(frozen=True, slots=True)
class AllowedHosts:
    """Lower-case host names without port. `*.example.org` allows every name below it.

    `any_address` allows every IP address: no DNS name can be rebound to look like one. It is
    for probes, which know a pod by its address only.
    """

    names: frozenset[str]
    any_address: bool = False

    def allow(self, authority: str) -> bool:
        """Whether a `Host` header's value is answered. The port does not matter."""
        if not _SHAPE.fullmatch(authority):
            return False
        host, _ = split_authority(authority)
        return host in self.names or self._below_a_wildcard(host) or self._is_address(host)

    def _below_a_wildcard(self, host: str) -> bool:
        _, dot, parent = host.partition(".")
        while dot:
            if f"*.{parent}" in self.names:
                return True
            _, dot, parent = parent.partition(".")
        return False

    def _is_address(self, host: str) -> bool:
        if not self.any_address:
            return False
        try:
            ipaddress.ip_address(host)
        except ValueError:
            return False
        return True


def allowed_hosts(settings: Settings, *, any_address: bool = False) -> AllowedHosts:
    """Loopback's names, the address bound, `PUBLIC_URL`'s host and `HTTP__ALLOWED_HOSTS`."""
    names = set(LOOPBACK_NAMES)
    names |= {split_authority(h)[0] for h in settings.http.allowed_hosts}
    if settings.http.host not in WILDCARDS:
        names.add(settings.http.host.lower())
    if settings.public_url:
        names.add((urlsplit(settings.public_url).hostname or "").lower())
    if settings.is_dev and settings.dev.open:
        names.add("notifier")
    return AllowedHosts(frozenset(names - {""}), any_address)


class HostGuard:
    """Answers 400 unless there is exactly one `Host` header (RFC 9112 §3.2) and it is allowed."""

    def __init__(self, app: ASGIApp, hosts: AllowedHosts) -> None:
        self._app = app
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] in ("http", "websocket"):
            found = list(headers(scope, b"host"))
            if len(found) != 1 or not self._hosts.allow(found[0]):
                await send_problem(HostNotAllowed(_REFUSAL), scope, receive, send)
                return
        await self._app(scope, receive, send)
