"""Finding out whether a relay would take our mail, without sending any."""

import asyncio
import ssl
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from aiosmtplib import SMTPResponse

from notifier.core.reply import Outcome, Phase
from notifier.settings.relay import RelayTarget
from notifier.smtp.client import Client
from notifier.smtp.replies import LINK_ERRORS, reply_of
from notifier.smtp.trust import Trust

_MATTER: Final = ("pipelining", "size", "8bitmime", "smtputf8")


@dataclass(frozen=True, slots=True)
class Certificate:
    """The relay's, which was checked."""

    names: tuple[str, ...]
    ends_at: datetime


@dataclass(frozen=True, slots=True)
class Probe:
    """What came of a dialogue up to MAIL, without RCPT.

    `refusal` None: all of it was taken. `reached` is how far it got. `peer` is the address that
    was connected to. `certificate` is None without TLS, and where nobody checks it.
    """

    refusal: Outcome | None
    reached: Phase
    peer: str | None = None
    banner: str | None = None
    tls: str | None = None
    certificate: Certificate | None = None
    extensions: tuple[str, ...] = ()
    logged_in: bool = False


class _Client(Client):
    """Keeps what it was greeted with."""

    greeting: SMTPResponse | None = None

    async def _create_connection(self, timeout: float | None) -> SMTPResponse:  # noqa: ASYNC109 - the base's name
        self.greeting = await super()._create_connection(timeout)
        return self.greeting


async def probe(
    target: RelayTarget, mail_from: str, *, helo_name: str | None, within_s: float
) -> Probe:
    """Connect, greet, encrypt, log in, offer MAIL, take it back with RSET and leave.

    Never raises for anything that a relay does, and is over after `within_s` and a moment.
    """
    client = _Client(target, Trust(target), helo_name)
    try:
        async with asyncio.timeout(within_s):
            refusal = await client.open() or await _offer(client, mail_from)
            if client.is_connected:
                return _seen(client, refusal)
            return Probe(refusal, client.phase, banner=_banner(client))
    except TimeoutError:
        refusal = client.failed(TimeoutError(f"no answer within {within_s:g} s"))
        return Probe(refusal, client.phase, banner=_banner(client))
    finally:
        await client.leave()


async def _offer(client: Client, mail_from: str) -> Outcome | None:
    client.phase = Phase.MAIL
    try:
        client.wire.send(b"MAIL FROM:<%b>\r\n" % mail_from.encode(), replies=1)
        answer = await client.wire.read_response(client.target.limits.command_timeout_s)
    except LINK_ERRORS as error:
        return client.failed(error)
    if not 200 <= answer.code <= 299:
        return reply_of(Phase.MAIL, answer)
    with suppress(*LINK_ERRORS):  # it took the sender: what it says now is of no interest
        await client.rset()
    return None


def _seen(client: _Client, refusal: Outcome | None) -> Probe:
    peer = client.get_transport_info("peername")
    tls = client.get_transport_info("ssl_object") if client.encrypted else None
    certificate = client.get_transport_info("peercert") if client.encrypted else None
    return Probe(
        refusal=refusal,
        reached=client.phase,
        peer=str(peer[0]) if peer else None,
        banner=_banner(client),
        tls=tls.version() if tls is not None else None,
        certificate=_certificate(certificate) if certificate else None,
        extensions=tuple(_extensions(client)),
        logged_in=client.target.username is not None,
    )


def _banner(client: _Client) -> str | None:
    greeting = client.greeting
    if greeting is None:
        return None
    return "".join(c if c.isprintable() else "?" for c in greeting.message)[:200]


def _extensions(client: Client) -> Iterable[str]:
    for name in _MATTER:
        if client.offers(name):
            value = client.esmtp_extensions.get(name, "")
            yield f"{name.upper()} {value}".strip()


def _certificate(found: Mapping[str, Any]) -> Certificate:
    names = tuple(str(name) for _, name in found.get("subjectAltName", ()))
    seconds = ssl.cert_time_to_seconds(str(found["notAfter"]))
    return Certificate(names, datetime.fromtimestamp(seconds, UTC))
