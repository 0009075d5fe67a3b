"""The sockets of a process, claimed before anything else is opened."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from notifier.api.listen import PortBusy, bind, bound_port
from notifier.observe.door_facts import ListenerStarted
from notifier.observe.facts import Observer
from notifier.settings import Settings
from notifier.settings.defaults import COMPAT_PORT, HTTP_PORT, SMTP_PORT


@dataclass(frozen=True, slots=True)
class Listening:
    """What a role listens on; None: not that. `moved` are sentences about ports that were busy."""

    http: socket.socket | None = None
    smtp: socket.socket | None = None
    compat: socket.socket | None = None
    ops: socket.socket | None = None
    moved: tuple[str, ...] = ()

    @property
    def http_port(self) -> int:
        """The API's port; 0 where there is none."""
        return bound_port(self.http) if self.http else 0

    @property
    def http_host(self) -> str:
        """An address at which the API can be reached from this machine."""
        host: str = self.http.getsockname()[0] if self.http else ""
        return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)

    @property
    def smtp_port(self) -> int | None:
        """The capture server's port."""
        return bound_port(self.smtp) if self.smtp else None


@contextmanager
def listening(settings: Settings, *, serves: bool, captures: bool) -> Iterator[Listening]:
    """Bind what the role needs. Raises PortBusy, Misconfigured, and then holds nothing.

    In dev a port that was not set may move on to the next free one.
    """
    found: dict[str, socket.socket] = {}
    try:
        moved = _bind_all(settings, found, serves=serves, captures=captures)
        yield Listening(**found, moved=tuple(moved))
    finally:
        for sock in found.values():
            sock.close()


def _bind_all(
    settings: Settings, found: dict[str, socket.socket], *, serves: bool, captures: bool
) -> list[str]:
    moved: list[str] = []
    http, mailbox = settings.http, settings.mailbox
    if serves or captures:
        port = http.port or HTTP_PORT
        fixed = http.port is not None or not settings.is_dev
        found["http"] = bind(http.host, port, fixed=fixed, setting="NOTIFIER_HTTP__PORT")
        moved += _moved(found["http"], port, "NOTIFIER_HTTP__PORT")
    if captures:
        port = mailbox.smtp_port or SMTP_PORT
        found["smtp"] = bind(
            mailbox.smtp_host,
            port,
            fixed=mailbox.smtp_port is not None or not settings.is_dev,
            setting="NOTIFIER_MAILBOX__SMTP_PORT",
        )
        moved += _moved(found["smtp"], port, "NOTIFIER_MAILBOX__SMTP_PORT")
        moved += _bind_compat(settings, found)
    if settings.ops.port is not None:
        found["ops"] = bind(
            settings.ops.host, settings.ops.port, fixed=True, setting="NOTIFIER_OPS__PORT"
        )
    return moved


def _bind_compat(settings: Settings, found: dict[str, socket.socket]) -> list[str]:
    """The port that people have Mailpit's inbox on; done without when it is busy and not set."""
    wanted = settings.mailbox.compat_port
    setting = "NOTIFIER_MAILBOX__COMPAT_PORT"
    port = wanted or COMPAT_PORT
    try:
        found["compat"] = bind(settings.http.host, port, fixed=True, setting=setting)
    except PortBusy:
        if wanted is not None:
            raise
        return [f"Port {port} is in use, so the inbox is not served there ({setting})."]
    return []


def _moved(sock: socket.socket, wanted: int, setting: str) -> list[str]:
    port = bound_port(sock)
    if port == wanted:
        return []
    return [f"Port {wanted} is in use, so this one took {port}; {setting} makes it fixed."]


def log_listeners(sockets: Listening, observe: Observer) -> None:
    """For roles that run unattended; the others tell a person where to look."""
    for purpose, sock in (("api", sockets.http), ("ops", sockets.ops)):
        if sock is not None:
            host, port = sock.getsockname()[:2]
            observe(ListenerStarted(purpose, host, port))
