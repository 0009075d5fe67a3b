"""What holds where nothing is set, as far as it depends on more than the setting itself."""

from typing import Final

from notifier.core.errors import Misconfigured
from notifier.settings.loopback import WILDCARDS
from notifier.settings.sections import Settings

HTTP_PORT: Final = 8000
SMTP_PORT: Final = 1025
COMPAT_PORT: Final = 8025

DEV_SENDER: Final = "Notifier <notifier@example.test>"
"""`.test` belongs to nobody (RFC 6761), so that no answer to it reaches anybody."""


def listener_url(settings: Settings, *, http_port: int) -> str:
    """Where the API answers on `http_port`, as seen from this machine."""
    return f"http://{as_seen_from_here(settings.http.host)}:{http_port}"


def as_seen_from_here(host: str) -> str:
    """A name for the address that a listener was bound to, fit for a URL on this machine."""
    if host in WILDCARDS:
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host


def public_url(settings: Settings, *, http_port: int) -> str:
    """The base of links, without a slash at its end: in dev, where it may be unset, the listener.

    Raises `Misconfigured` where it is unset and has to be set.
    """
    if settings.public_url:
        return settings.public_url.rstrip("/")
    if not settings.is_dev:
        raise Misconfigured("NOTIFIER_PUBLIC_URL is missing.")
    return listener_url(settings, http_port=http_port)
