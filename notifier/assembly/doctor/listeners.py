"""The ports that Notifier wants: free, or its own already."""

import json
import socket
from collections.abc import Iterator
from contextlib import suppress
from http.client import HTTPConnection, HTTPException
from typing import Final

from notifier.api.listen import PortBusy, bind
from notifier.assembly.doctor.check import Check, failed, ok, warning
from notifier.core.errors import Misconfigured
from notifier.mailbox.server import IDENT
from notifier.settings import Settings
from notifier.settings.defaults import COMPAT_PORT, HTTP_PORT, SMTP_PORT, as_seen_from_here

_PATIENCE_S: Final = 2.0
_OUR_PROBLEMS: Final = "urn:notifier:problem:"


def of_listeners(settings: Settings) -> Iterator[Check]:
    """HTTP, the ops port if there is one, and in dev those of the mailbox."""
    http, ops, mailbox = settings.http, settings.ops, settings.mailbox
    yield _http(http.host, http.port or HTTP_PORT, "NOTIFIER_HTTP__PORT", settings)
    if ops.port is not None:
        yield _http(ops.host, ops.port, "NOTIFIER_OPS__PORT", settings)
    if settings.is_dev:
        yield _http(
            http.host, mailbox.compat_port or COMPAT_PORT, "NOTIFIER_MAILBOX__COMPAT_PORT", settings
        )
        yield _smtp(mailbox.smtp_host, mailbox.smtp_port or SMTP_PORT)


def _http(host: str, port: int, setting: str, settings: Settings) -> Check:
    if _is_free(host, port, setting):
        return ok(setting, f"port {port} is free")
    if _answers_as_notifier(as_seen_from_here(host), port):
        return ok(setting, f"port {port} is Notifier's own")
    return _taken(setting, port, moves_on=settings.is_dev)


def _smtp(host: str, port: int) -> Check:
    setting = "NOTIFIER_MAILBOX__SMTP_PORT"
    if _is_free(host, port, setting):
        return ok(setting, f"port {port} is free")
    if IDENT in _greeting(as_seen_from_here(host), port):
        return ok(setting, f"port {port} is Notifier's own")
    return _taken(setting, port, moves_on=True)


def _taken(setting: str, port: int, *, moves_on: bool) -> Check:
    says, remedy = f"another program has port {port}", f"end it, or set {setting}"
    if moves_on:
        return warning(setting, f"{says}; unless it is set, dev takes another", remedy)
    return failed(setting, says, remedy)


def _is_free(host: str, port: int, setting: str) -> bool:
    try:
        bind(host, port, fixed=True, setting=setting).close()
    except (PortBusy, Misconfigured):
        return False
    return True


def _answers_as_notifier(host: str, port: int) -> bool:
    """Where there is an ops port the API knows no `/healthz`, and says so in its own way."""
    connection = HTTPConnection(host.strip("[]"), port, timeout=_PATIENCE_S)
    try:
        connection.request("GET", "/healthz")
        found = json.loads(connection.getresponse().read(1000))
    except (OSError, HTTPException, ValueError):
        return False
    finally:
        connection.close()
    if not isinstance(found, dict):
        return False
    return found == {"status": "alive"} or str(found.get("type")).startswith(_OUR_PROBLEMS)


def _greeting(host: str, port: int) -> str:
    with suppress(OSError), socket.create_connection((host.strip("[]"), port), _PATIENCE_S) as link:
        link.settimeout(_PATIENCE_S)
        return link.recv(500).decode("ascii", "replace")
    return ""
