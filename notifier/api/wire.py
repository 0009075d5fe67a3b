"""Reading an ASGI scope: headers and peers, without building a request object."""

from collections.abc import Iterator

from starlette.types import Scope

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


def header(scope: Scope, name: bytes) -> str | None:
    """The first header of this lower-case name, or None."""
    return next(headers(scope, name), None)


def headers(scope: Scope, name: bytes) -> Iterator[str]:
    """Every header of this lower-case name, in order."""
    return (v.decode("latin-1") for k, v in scope["headers"] if k == name)


def method(scope: Scope) -> str:
    """The HTTP method; `GET` for a websocket, which is one on the wire."""
    return str(scope.get("method", "GET"))


def peer(scope: Scope) -> str | None:
    """The address at the other end of the socket, whatever any header says."""
    client = scope.get("notifier.peer", scope.get("client"))
    return client[0] if client else None


def split_authority(authority: str) -> tuple[str, str]:
    """`host:port` as a lower-case host without brackets and dot at the end, and the port or ""."""
    if authority.startswith("["):
        host, _, rest = authority[1:].partition("]")
        port = rest.removeprefix(":")
    else:
        host, _, port = authority.partition(":")
    return host.lower().removesuffix("."), port
