"""Certificates good and bad, made by trustme, and a relay that trusts their authority."""

import datetime as dt
import ssl
from pathlib import Path

import trustme

YESTERDAY = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)


def server_context(
    authority: trustme.CA, name: str = "127.0.0.1", **issue: object
) -> ssl.SSLContext:
    """A server's context with a certificate of `authority` for `name`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name, **issue).configure_cert(context)  # type: ignore[arg-type]
    return context


def ca_file(authority: trustme.CA, folder: Path) -> Path:
    """The authority's own certificate as a PEM file."""
    path = folder / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return path
