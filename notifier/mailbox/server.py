"""The capture server: aiosmtpd with a body reader, limits and an address reader of our own.

Never relays: there is no code here that opens a connection.
"""

import asyncio
import re
import socket
from collections import defaultdict
from typing import Any, cast

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword
from aiosmtpd.smtp import Envelope as SmtpEnvelope
from aiosmtpd.smtp import Session as SmtpSession

from notifier.core.errors import Unavailable
from notifier.mailbox.body import BodyReader, Gate
from notifier.mailbox.records import Arrival, SessionInfo
from notifier.mailbox.store import Store
from notifier.observe.door_facts import CaptureRefused, MailCaptured
from notifier.observe.facts import Observer
from notifier.settings.sections import MailboxSettings

HOSTNAME = "localhost"
IDENT = "Notifier mailbox"
COMMAND_BYTES = 8 * 1024
READ_BYTES = 64 * 1024
IDLE_S = 300.0
CLOSE_GRACE_S = 2.0

_PATH = re.compile(
    r"""<\s*(?:@[^:<>"]+:)?   # a source route is ignored (RFC 5321 appendix C)
        ((?:"(?:[^"\\]|\\.)*"|[^<>"\s])*)\s*>""",
    re.VERBOSE,
)
_BARE = re.compile(r"[^<>\s]+")


class CaptureServer:
    """Listens until closed. `port` is where, once started."""

    def __init__(self, store: Store, limits: MailboxSettings, observe: Observer) -> None:
        self._gate = Gate(store, limits, observe)
        self._connections: set[CaptureProtocol] = set()
        self._server: asyncio.Server | None = None

    async def start(self, where: socket.socket | tuple[str, int]) -> tuple[str, int]:
        """Listens on a bound socket or (host, port); returns the address. Raises `OSError`."""
        loop = asyncio.get_running_loop()
        if isinstance(where, socket.socket):
            self._server = await loop.create_server(self._protocol, sock=where)
        else:
            self._server = await loop.create_server(self._protocol, *where)
        host, port = self._server.sockets[0].getsockname()[:2]
        return host, port

    async def close(self) -> None:
        """Takes no more; mails that are being committed get their answer, then all end."""
        self._gate.closing = True
        if self._server is not None:
            self._server.close()
        committing = [each.committing for each in self._connections if each.committing]
        if committing:
            await asyncio.wait(committing, timeout=CLOSE_GRACE_S)
            await asyncio.sleep(0)  # lets each connection write its answer
        for connection in list(self._connections):
            connection.hang_up()

    def _protocol(self) -> asyncio.Protocol:
        if len(self._connections) >= self._gate.limits.max_connections:
            self._gate.observe(CaptureRefused("connections", "MAILBOX__MAX_CONNECTIONS are open."))
            return _Overfull()
        return CaptureProtocol(self._gate, self._connections)


class _Overfull(asyncio.Protocol):
    """Answers a connection over the limit."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        writable = cast(asyncio.WriteTransport, transport)  # uvloop's is none by its class
        writable.write(b"421 4.7.0 Too many connections, try again later\r\n")
        writable.close()


class CaptureProtocol(SMTP):
    """One SMTP session. Any credentials are accepted; a password is never kept."""

    line_length_limit = READ_BYTES
    command_size_limit = COMMAND_BYTES

    def __init__(self, gate: Gate, connections: "set[CaptureProtocol]") -> None:
        super().__init__(
            _Hooks(gate),
            data_size_limit=gate.limits.max_message_bytes,
            enable_SMTPUTF8=True,
            hostname=HOSTNAME,
            ident=IDENT,
            timeout=IDLE_S,
            auth_require_tls=False,
            authenticator=_accept_anyone,
            loop=asyncio.get_running_loop(),
        )
        # The class's own is shared by all sessions and grows with every EHLO.
        self.command_size_limits = defaultdict(lambda: COMMAND_BYTES)
        self.committing: asyncio.Task[str] | None = None
        self._gate = gate
        self._connections = connections

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A session begins, or begins anew after STARTTLS."""
        self._connections.add(self)
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        """The session is over."""
        self._connections.discard(self)
        super().connection_lost(error)

    def hang_up(self) -> None:
        """Ends the session at once, with a word."""
        if self.transport is not None:
            transport = cast(asyncio.WriteTransport, self.transport)
            transport.write(b"421 4.3.2 The mailbox is closing\r\n")
            transport.close()

    def _getaddr(self, arg: str) -> tuple[str | None, str | None]:
        """The address as it was written, quoted parts and all; `<>` for the null path.

        aiosmtpd's own goes through `email`, which rewrites odd addresses and raises on others.
        """
        text = arg.strip()
        found = _PATH.match(text)
        if found is not None:
            return found[1] or "<>", text[found.end() :]
        bare = _BARE.match(text)
        return (bare[0], text[bare.end() :]) if bare else (None, None)

    async def smtp_POST(self, arg: str) -> None:  # noqa: ARG002, N802
        """Hangs up on a web page that makes a browser send SMTP in the body of an HTTP request."""
        await self.push("421 4.7.0 This is no web server")
        await self.smtp_QUIT("")

    smtp_GET = smtp_PUT = smtp_PATCH = smtp_DELETE = smtp_OPTIONS = smtp_HEAD = smtp_POST  # noqa: N815

    async def smtp_DATA(self, arg: str) -> None:  # noqa: N802
        """Reads the body to its end whatever happens, then answers once."""
        if await self.check_helo_needed():
            return
        assert self.envelope is not None
        if not self.envelope.rcpt_tos:
            await self.push("503 5.5.1 Error: need RCPT command")
            return
        if arg:
            await self.push("501 5.5.4 Syntax: DATA")
            return
        await self.push("354 End data with <CR><LF>.<CR><LF>")
        body = BodyReader(self._gate)
        try:
            refusal = await body.read(self._reader, self._reset_timeout)
            if refusal is None:
                self.envelope.content = self.envelope.original_content = body.content()
                refusal = await self._call_handler_hook("DATA")
        finally:
            body.release()
        self.envelope = self._create_envelope()
        await self.push(refusal)


class _Hooks:
    """What aiosmtpd asks on each command."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    async def handle_EHLO(  # noqa: N802 - aiosmtpd's name
        self,
        _server: CaptureProtocol,
        session: SmtpSession,
        _envelope: SmtpEnvelope,
        hostname: str,
        responses: list[str],
    ) -> list[str]:
        session.host_name = hostname
        # Commands are read one by one from a buffer, so RFC 2920 costs nothing.
        return [responses[0], "250-PIPELINING", *responses[1:]]

    async def handle_MAIL(  # noqa: N802
        self,
        _server: CaptureProtocol,
        _session: SmtpSession,
        envelope: SmtpEnvelope,
        address: str,
        options: list[str],
    ) -> str:
        try:
            await self._gate.store.check_room(_declared_size(options))
        except Unavailable as error:
            return self._refuse(error)
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 2.1.0 OK"

    async def handle_RCPT(  # noqa: N802
        self,
        _server: CaptureProtocol,
        _session: SmtpSession,
        envelope: SmtpEnvelope,
        address: str,
        options: list[str],
    ) -> str:
        if address == "<>":
            return "553 5.1.3 A recipient cannot be empty"
        if len(envelope.rcpt_tos) >= self._gate.limits.max_recipients:
            return "452 4.5.3 Too many recipients"
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 2.1.5 OK"

    async def handle_DATA(  # noqa: N802
        self, server: CaptureProtocol, session: SmtpSession, envelope: SmtpEnvelope
    ) -> str:
        """250 only after the commit. A client that hangs up meanwhile undoes nothing."""
        arrival = _arrival(session, envelope)
        server.committing = asyncio.ensure_future(self._capture(arrival))
        try:
            return await asyncio.shield(server.committing)
        finally:
            server.committing = None

    async def _capture(self, arrival: Arrival) -> str:
        try:
            stored = await self._gate.store.capture(arrival)
        except Unavailable as error:
            return self._refuse(error)
        self._gate.observe(MailCaptured(stored, len(arrival.rcpt_to), len(arrival.raw)))
        return f"250 2.0.0 OK: captured as {stored}"

    def _refuse(self, error: Unavailable) -> str:
        self._gate.observe(CaptureRefused(error.code, error.detail))
        return f"452 4.3.1 {_one_line(error.detail)}"

    async def handle_exception(self, error: Exception) -> str:
        """A fault of ours costs the client one command, and is told once, here."""
        self._gate.observe(CaptureRefused("fault", f"{type(error).__name__}: {error}"))
        return "451 4.3.0 The mailbox met a fault of its own; nothing was stored"


def _accept_anyone(
    _server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any
) -> AuthResult:
    """The signature is aiosmtpd's."""
    return AuthResult(success=True, auth_data=data)


def _declared_size(options: list[str]) -> int:
    sizes = [option[5:] for option in options if option.startswith("SIZE=")]
    return int(sizes[0]) if sizes else 0


def _arrival(session: SmtpSession, envelope: SmtpEnvelope) -> Arrival:
    login: object = session.auth_data
    mail_from = _text(envelope.mail_from or "")
    assert isinstance(envelope.content, bytes)
    return Arrival(
        raw=envelope.content,
        mail_from="" if mail_from == "<>" else mail_from,
        rcpt_to=tuple(_text(address) for address in envelope.rcpt_tos),
        session=SessionInfo(
            peer=_peer(session.peer),
            helo=_text(session.host_name or ""),
            auth_user=login.login.decode("utf-8", "replace")
            if isinstance(login, LoginPassword)
            else None,
            tls=session.ssl is not None,
            smtputf8=bool(envelope.smtp_utf8),
        ),
    )


def _peer(peer: Any) -> str:
    return f"{peer[0]}:{peer[1]}" if isinstance(peer, tuple) else ""


def _text(value: str) -> str:
    """Bytes that are no UTF-8 came as surrogates, which no file takes: read them as Latin-1."""
    raw = value.encode("utf-8", "surrogateescape")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _one_line(text: str) -> str:
    return " ".join(text.split()).encode("ascii", "replace").decode()[:400]
