"""One connection to a relay: opening it, and knowing at any moment how far it got."""

import asyncio
import contextlib
import time
from collections.abc import Iterable
from typing import Final

from aiosmtplib import (
    SMTP,
    SMTPConnectResponseError,
    SMTPHeloError,
    SMTPResponse,
    SMTPResponseException,
)

from notifier.core.reply import LinkFailure, LinkFault, Outcome, Phase
from notifier.settings.relay import RelayTarget
from notifier.smtp.helo import own_name
from notifier.smtp.replies import LINK_ERRORS, failure_of
from notifier.smtp.trust import Trust
from notifier.smtp.wire import Wire

QUIT_TIMEOUT_S: Final = 2.0
# RFC 5321 §4.2.4: "command not recognised" and "not implemented"; then HELO is worth a try.
_EHLO_UNKNOWN: Final = {500, 502}
_AUTH_ORDER: Final = ("plain", "login", "cram-md5")


class Client(SMTP):
    """A connection that is opened once, carries mails by its courier, and is left.

    `phase` is how far its opening got; `opened_at` is in the monotonic clock's time.
    """

    def __init__(self, target: RelayTarget, trust: Trust, helo_name: str | None) -> None:
        super().__init__(
            hostname=target.host,
            port=target.port,
            use_tls=target.tls == "implicit",
            start_tls=False,  # when and whether is decided here
            local_hostname="localhost",  # else aiosmtplib asks the resolver; EHLO says its own
            timeout=target.limits.command_timeout_s,
        )
        self.target = target
        self.phase = Phase.CONNECT
        self.opened_at = 0.0
        self._wire: Wire | None = None
        self._trust = trust
        self._helo_name = helo_name

    @property
    def wire(self) -> Wire:
        """The protocol below; only of an opened client."""
        assert self._wire is not None
        return self._wire

    @property
    def encrypted(self) -> bool:
        """Whether the link is under TLS."""
        return self.is_connected and self.get_transport_info("sslcontext") is not None

    def offers(self, extension: str) -> bool:
        """Whether the last EHLO reply named this extension."""
        return extension in self.esmtp_extensions

    async def open(self) -> Outcome | None:
        """Connect, greet, encrypt and authenticate as the target says.

        None: ready for mails. Else what went wrong, and the connection is closed.
        """
        try:
            outcome = await self._open()
            if outcome is None:
                self.wire.check()  # something may have come behind the last reply
        except LINK_ERRORS as error:
            outcome = self.failed(error)
        if outcome is not None:
            self.abort()
        return outcome

    def failed(self, error: BaseException) -> Outcome:
        """What an exception of `LINK_ERRORS` means at this point of the dialogue."""
        return failure_of(self.phase, error, garbled=self._wire is not None and self._wire.garbled)

    def abort(self) -> None:
        """Close at once. The relay delivers nothing that had no final dot."""
        if self._wire is not None:
            self._wire.abort()
        self.close()

    async def leave(self) -> None:
        """Say QUIT, wait for its answer for a moment, close; whatever the relay does."""
        try:
            # The mails before it have their answers: nothing depends on this one.
            with contextlib.suppress(*LINK_ERRORS):
                await self.quit(timeout=QUIT_TIMEOUT_S)
        finally:
            self.abort()

    # The steps of opening

    async def _open(self) -> Outcome | None:
        await self.connect(timeout=self.target.limits.connect_timeout_s)
        await self._hello()
        return await self._encrypt() or await self._authenticate()

    async def _create_connection(self, timeout: float | None) -> SMTPResponse:  # noqa: ASYNC109 - the base's name
        """As the base does it, with `Wire` as the protocol and the banner's own time limit."""
        loop = asyncio.get_running_loop()
        self.phase = Phase.CONNECT
        wire = self._wire = Wire(loop, self._on_connection_lost)
        context = await self._trust.context() if self.use_tls else None
        async with asyncio.timeout(timeout):
            transport, _ = await loop.create_connection(
                lambda: wire, self.target.host, self.target.port, ssl=context
            )
        self.protocol, self.transport = wire, transport
        self.opened_at = time.monotonic()
        self.phase = Phase.BANNER
        greeting = await wire.read_response(self.timeout)
        if greeting.code != 220:
            raise SMTPConnectResponseError(greeting.code, greeting.message)
        return greeting

    async def _hello(self) -> None:
        self.phase = Phase.EHLO
        name = self._helo_name or own_name(self.get_transport_info("sockname"))
        try:
            await self.ehlo(hostname=name)
        except SMTPHeloError as error:
            if error.code not in _EHLO_UNKNOWN:
                raise
            await self.helo(hostname=name)

    async def _encrypt(self) -> LinkFailure | None:
        tls = self.target.tls
        if tls not in {"required", "opportunistic"}:
            return None
        self.phase = Phase.STARTTLS
        if not self.offers("starttls"):
            return _missing_starttls() if tls == "required" else None
        context = await self._trust.context()
        try:
            await self.starttls(tls_context=context)
        except SMTPResponseException as error:
            if tls == "required" or not 400 <= error.code <= 599 or not self.is_connected:
                raise
            return None
        await self._hello()  # RFC 3207 §4.2: what was said before the handshake is void
        return None

    async def _authenticate(self) -> LinkFailure | None:
        if self.target.username is None:
            return None
        self.phase = Phase.AUTH
        if not self.encrypted and self.target.tls != "none":
            return _failure_at_auth(
                LinkFault.STARTTLS_MISSING, "no encryption: the password is kept back"
            )
        mechanism = _first_of(_AUTH_ORDER, self.server_auth_methods)
        if mechanism is None:
            offered = ", ".join(self.server_auth_methods) or "none"
            return _failure_at_auth(LinkFault.AUTH_MISSING, f"mechanisms offered: {offered}")
        login = {"plain": self.auth_plain, "login": self.auth_login, "cram-md5": self.auth_crammd5}
        await login[mechanism](self.target.username, self.target.password or "")
        return None


def _missing_starttls() -> LinkFailure:
    return LinkFailure(
        Phase.STARTTLS, LinkFault.STARTTLS_MISSING, "the relay does not offer STARTTLS"
    )


def _failure_at_auth(fault: LinkFault, detail: str) -> LinkFailure:
    return LinkFailure(Phase.AUTH, fault, detail)


def _first_of(wanted: Iterable[str], offered: Iterable[str]) -> str | None:
    there = set(offered)
    return next((name for name in wanted if name in there), None)
