"""The script and the journal of a scripted SMTP server; see `scripted_smtp`."""

import asyncio
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from tests.support.smtp_acts import Act

EXTENSIONS = ("PIPELINING", "8BITMIME", "SMTPUTF8", "SIZE 50000000", "ENHANCEDSTATUSCODES")


class Party(Protocol):
    """What a rule needs to know of a connection."""

    log: "Connection"
    sender: str | None
    recipient: str | None


class Step(StrEnum):
    """Where a rule can bite."""

    CONNECT = "connect"
    EHLO = "ehlo"
    STARTTLS = "starttls"
    AUTH = "auth"
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"
    BODY = "body"
    DOT = "dot"
    RSET = "rset"
    QUIT = "quit"


@dataclass(slots=True)
class Rule:
    """One entry of the script."""

    step: Step
    act: Act
    times: int | None
    recipient: str | None
    sender: str | None
    connection: int | None
    skip: int
    hits: int = 0

    def fires(self, party: Party) -> bool:
        """Whether it answers now; counts when it does."""
        if self.times is not None and self.hits >= self.times:
            return False
        for wanted, found in (
            (self.recipient, party.recipient),
            (self.sender, party.sender),
            (self.connection, party.log.number),
        ):
            if wanted is not None and wanted != found:
                return False
        if self.skip:
            self.skip -= 1
            return False
        self.hits += 1
        return True


@dataclass(slots=True)
class Mail:
    """A mail that the server took responsibility for; `at` is in the monotonic clock's time."""

    mail_from: str
    rcpt_to: str
    content: bytes
    options: str
    connection: int
    encrypted: bool
    user: str | None
    acknowledged: bool
    at: float = field(default_factory=time.monotonic)


@dataclass(slots=True)
class Connection:
    """What happened on one connection. `chained` mails began before the dot had its answer."""

    number: int
    commands: list[str] = field(default_factory=list)
    pipelined: bool = False
    chained: int = 0
    open: bool = True

    def verbs(self) -> list[str]:
        """The first words of its commands."""
        return [command.split(" ")[0].split(":")[0].upper() for command in self.commands]


class Script:
    """Rules, manners and journal of one server."""

    def __init__(
        self,
        *,
        extensions: Sequence[str] = EXTENSIONS,
        tls: ssl.SSLContext | None = None,
        implicit: bool = False,
        users: Mapping[str, str] | None = None,
        mechanisms: Sequence[str] = ("PLAIN", "LOGIN"),
        data_without_rcpt: bool = False,
    ) -> None:
        self.extensions = list(extensions)
        self.tls = tls
        self.implicit = implicit
        self.users = dict(users or {})
        self.mechanisms = tuple(mechanisms)
        self.data_without_rcpt = data_without_rcpt
        self.rules: list[Rule] = []
        self.accepted: list[Mail] = []
        self.connections: list[Connection] = []
        self._changed = asyncio.Event()

    def on(
        self,
        step: Step,
        act: Act,
        *,
        times: int | None = None,
        recipient: str | None = None,
        sender: str | None = None,
        connection: int | None = None,
        skip: int = 0,
    ) -> Rule:
        """Add a rule to the end of the script."""
        rule = Rule(step, act, times, recipient, sender, connection, skip)
        self.rules.append(rule)
        return rule

    async def until(self, predicate: Callable[[], bool]) -> None:
        """Return as soon as the journal satisfies `predicate`."""
        while not predicate():
            await self._changed.wait()

    def note(self) -> None:
        """Wake up those who wait for the journal."""
        self._changed.set()
        self._changed = asyncio.Event()

    def rule_for(self, step: Step, party: Party) -> Rule | None:
        """The rule that answers now."""
        return next((r for r in self.rules if r.step is step and r.fires(party)), None)
