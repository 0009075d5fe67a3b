"""Listening sockets, claimed before anything else is opened."""

import errno
import socket
from typing import Final

from notifier.core.errors import Misconfigured

NEXT_PORTS: Final = 50
_BACKLOG: Final = 2048
_PROBE_S: Final = 0.25


class PortBusy(Misconfigured):
    """Somebody else listens there."""

    code = "port_busy"


def bind(host: str, port: int, *, fixed: bool, setting: str) -> socket.socket:
    """A listening, non-blocking TCP socket on `host` and `port`; port 0 takes any free one.

    It listens when this returns: connections wait in its queue until somebody serves them, and
    a second process cannot claim the same port in between. When the port is busy and not
    `fixed`, the next free one of `NEXT_PORTS` is taken; ask `bound_port`. Raises `PortBusy`, or
    `Misconfigured` for a host or port that cannot be had; both name `setting`.
    """
    family, address = _resolve(host, port, setting)
    last = port if fixed or port == 0 else min(port + NEXT_PORTS, 65535)
    for candidate in range(port, last + 1):
        found = _listener(family, address, candidate, setting)
        if found is not None:
            return found
    if fixed:
        raise PortBusy(
            f"Port {port} on {host} is in use by another program: "
            f"stop that program, or set {setting} to a free port."
        )
    raise PortBusy(
        f"Ports {port} to {last} on {host} are all in use: set {setting} to a free port."
    )


def bound_port(sock: socket.socket) -> int:
    """The port that `sock` listens on."""
    port: int = sock.getsockname()[1]
    return port


def _resolve(host: str, port: int, setting: str) -> tuple[socket.AddressFamily, str]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError:
        raise Misconfigured(
            f"The address to listen on for {setting} cannot be resolved: {host!r}. Set"
            f" {_host_of(setting)} to an address of this machine."
        ) from None
    # `localhost` may be listed as ::1 first; callers print and open 127.0.0.1.
    family, *_, address = min(found, key=lambda one: one[0] != socket.AF_INET)
    return family, str(address[0])


def _listener(
    family: socket.AddressFamily, address: str, port: int, setting: str
) -> socket.socket | None:
    """None when the port is busy."""
    if port and _answers(family, address, port):
        return None
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        # A restart must not wait for the last run's connections in TIME_WAIT.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        sock.bind((address, port))
        sock.listen(_BACKLOG)
    except OSError as error:
        sock.close()
        if error.errno == errno.EADDRINUSE:
            return None
        raise _cannot_listen(error, address, port, setting) from None
    sock.setblocking(False)
    return sock


def _answers(family: socket.AddressFamily, address: str, port: int) -> bool:
    """Whether somebody takes connections there already.

    macOS lets 127.0.0.1 be bound beside another program's 0.0.0.0, whose visitors we would
    then take away.
    """
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.settimeout(_PROBE_S)
        return probe.connect_ex((address, port)) == 0


def _cannot_listen(error: OSError, address: str, port: int, setting: str) -> Misconfigured:
    if error.errno == errno.EACCES:
        why = "this needs a privilege (ports below 1024 usually do)"
    elif error.errno == errno.EADDRNOTAVAIL:
        why = "this machine does not have that address"
    else:
        why = error.strerror or "unknown reason"
    return Misconfigured(
        f"Cannot listen on {address} port {port}: {why}; see {_host_of(setting)} and {setting}."
    )


def _host_of(setting: str) -> str:
    """The setting of the address; the API and the compatible inbox share one."""
    return setting.removesuffix("PORT").replace("MAILBOX__COMPAT_", "HTTP__") + "HOST"
