"""A scripted SMTP server: behaves well until told otherwise, and keeps a journal.

    async with ScriptedSmtp() as server:
        server.on(Step.RCPT, Say(550, "5.1.1 no such user"), recipient="bob@example.org")
        server.on(Step.DOT, Drop(taken=True), times=1)
        relays = Relays([server.target()], helo_name=None, observe=facts.append)
        ...
        assert [mail.rcpt_to for mail in server.accepted] == ["ann@example.org"]

**Rules.** `on(step, act, ...)` adds one; the first that fits and is not used up answers, else
the server answers as a good one does. `times`: how often it fires (None: always). `recipient`,
`sender`: only for that RCPT or MAIL address (for DATA, BODY, DOT: of the open transaction).
`connection`: only on the n-th connection (from 1). `skip`: let so many pass first. `hits`
counts. Acts are in `smtp_acts`: Say, Drop, CLOSING (421 and drop), Reset, Hold, Hang, Stall, Drip,
Garbage, Flood, Inject, Forget. BODY fires on the first line after 354; when its act keeps the
connection the body is read on as usual. A `Hold` at BODY stops reading: back-pressure.

**Journal** (the ground truth): `accepted` has every mail that the server took responsibility
for, with its exact bytes (dot-unstuffed) and whether the 250 was `acknowledged`; `connections`
every connection with its command lines in order. `pipelined` of a connection is whether
commands came before the answer to the one before, `chained` how many mails' commands came before
the answer to the dot of the one before. `await until(predicate)` returns when the
journal satisfies it.

**TLS.** `tls=context` offers STARTTLS; with `implicit=True` it speaks TLS at once. trustme makes
contexts: `authority.issue_cert("localhost").configure_cert(context)`. `users` offers
AUTH with `mechanisms` (PLAIN, LOGIN). `data_without_rcpt` answers 354 also when every RCPT was
refused. `close()` and `open()` again keep the port: a relay that goes away and comes back.
"""

import asyncio
import socket
from typing import Any, Self

from notifier.settings.relay import RelayTarget, Tls
from notifier.settings.sections import RelaySettings
from tests.support.smtp_acts import (
    CLOSING,
    Act,
    Drip,
    Drop,
    Flood,
    Forget,
    Garbage,
    Hang,
    Hold,
    Inject,
    Reset,
    Say,
    Stall,
)
from tests.support.smtp_script import EXTENSIONS, Connection, Mail, Rule, Script, Step
from tests.support.smtp_session import Session

__all__ = [
    "CLOSING",
    "EXTENSIONS",
    "Act",
    "Connection",
    "Drip",
    "Drop",
    "Flood",
    "Forget",
    "Garbage",
    "Hang",
    "Hold",
    "Inject",
    "Mail",
    "Reset",
    "Rule",
    "Say",
    "ScriptedSmtp",
    "Stall",
    "Step",
]

LIMIT = 64 * 1024 * 1024


class ScriptedSmtp(Script):
    """The server; an async context manager. Listens on 127.0.0.1, on a free port."""

    port: int = 0
    _server: asyncio.Server | None = None

    def __init__(self, **manners: Any) -> None:
        super().__init__(**manners)
        self._tasks: set[asyncio.Task[Any]] = set()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def open(self) -> None:
        """Listen; on the port of the last time, if there was one."""
        listener = socket.create_server(("127.0.0.1", self.port), backlog=200)
        # Small, so that a client's back-pressure shows with bodies of some megabytes.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
        self._server = await asyncio.start_server(
            self._serve, sock=listener, limit=LIMIT, ssl=self.tls if self.implicit else None
        )
        self.port = listener.getsockname()[1]

    async def close(self) -> None:
        """Stop listening and cut every connection."""
        if self._server is None:
            return
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()
        self._server = None

    def target(
        self,
        name: str = "main",
        *,
        tls: Tls = "none",
        host: str = "127.0.0.1",
        user: tuple[str, str] | None = None,
        captures: bool = False,
        **limits: Any,
    ) -> RelayTarget:
        """This server as a relay; `limits` are fields of RelaySettings."""
        username, password = user or (None, None)
        settings = RelaySettings(**limits)
        return RelayTarget(name, host, self.port, tls, username, password, captures, settings)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        log = Connection(len(self.connections) + 1)
        self.connections.append(log)
        self.note()
        try:
            await Session(self, log, reader, writer).run()
        except (OSError, EOFError, asyncio.CancelledError):
            pass  # the client is gone, or the test is over
        finally:
            writer.transport.abort()
            log.open = False
            self._tasks.discard(task)
            self.note()
