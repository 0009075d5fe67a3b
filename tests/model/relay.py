"""The world outside: relays that say and do what the machine decides, and what they delivered."""

import asyncio
from collections import Counter
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Literal

from notifier.core.envelope import Envelope
from notifier.core.reply import LinkFailure, LinkFault, Outcome, Phase, Reply
from notifier.core.route import Route
from notifier.smtp.relays import Attempt

Ending = Literal["sent", "bounced", "rejected", "again", "doubt", "untouched", "given back"]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a relay says, whether it delivered, and what that has to mean for the message."""

    outcome: Outcome
    ending: Ending
    delivers: bool = False
    reached_mail: bool = True

    @property
    def after_dot(self) -> bool:
        """Whether the final dot was sent before it."""
        return self.outcome.phase is Phase.DOT

    @property
    def attempt(self) -> Attempt:
        queue_id = "Q1" if self.ending == "sent" else None
        return Attempt("main", False, self.outcome, self.reached_mail, 1.0, queue_id)


def _says(phase: Phase, code: int, enhanced: str) -> Reply:
    return Reply(phase, code, enhanced, "as scripted")


def _breaks(phase: Phase, fault: LinkFault) -> LinkFailure:
    return LinkFailure(phase, fault, "as scripted")


ANSWERS = {
    "takes it": Answer(_says(Phase.DOT, 250, "2.0.0"), "sent", delivers=True),
    "defers the recipient": Answer(_says(Phase.RCPT, 450, "4.2.0"), "again"),
    "greylists": Answer(_says(Phase.RCPT, 451, "4.7.1"), "again"),
    "defers at the dot": Answer(_says(Phase.DOT, 451, "4.2.0"), "again"),
    "drops in the body": Answer(_breaks(Phase.BODY, LinkFault.DROPPED), "again"),
    "closes at MAIL": Answer(_says(Phase.MAIL, 421, "4.3.2"), "again"),
    "has no such user": Answer(_says(Phase.RCPT, 550, "5.1.1"), "bounced"),
    "refuses the content": Answer(_says(Phase.DOT, 554, "5.6.0"), "rejected"),
    "takes it and drops": Answer(_breaks(Phase.DOT, LinkFault.DROPPED), "doubt", delivers=True),
    "loses it after the dot": Answer(_breaks(Phase.DOT, LinkFault.TIMEOUT), "doubt"),
    "talks nonsense after the dot": Answer(
        _breaks(Phase.DOT, LinkFault.GARBAGE), "doubt", delivers=True
    ),
    "is down": Answer(_breaks(Phase.CONNECT, LinkFault.REFUSED), "untouched", reached_mail=False),
    "rests": Answer(_breaks(Phase.CONNECT, LinkFault.RESTING), "untouched", reached_mail=False),
    "refuses our login": Answer(_says(Phase.AUTH, 535, "5.7.8"), "untouched", reached_mail=False),
}

RESTS = ANSWERS["rests"]
"""No relay may be tried: nothing happened, and there is no event of it."""

CUT_OFF = ANSWERS["loses it after the dot"]
"""What a worker has to say of a mail that it leaves behind the final dot."""

GIVEN_UP = Answer(_breaks(Phase.BODY, LinkFault.DROPPED), "given back")
"""What is left of a mail whose sender saw before the dot that its lease had lapsed."""


@dataclass(slots=True, eq=False)
class Call:
    """A mail that a worker is sending: it hangs until the machine answers it."""

    begun: asyncio.Event = field(default_factory=asyncio.Event)
    answered: "asyncio.Future[Attempt] | None" = None
    rcpt_to: str = ""
    content: bytes = b""
    abort: Callable[[], bool] | None = None

    def is_given_up(self) -> bool:
        """Whether its sender lets go of it when asked before the dot."""
        return self.abort is not None and self.abort()

    def answer(self, answer: Answer) -> None:
        assert self.answered is not None
        self.answered.set_result(answer.attempt)


CALL: ContextVar[Call] = ContextVar("CALL")
"""The call of whoever is asking, also from a task below his."""


@dataclass(slots=True)
class World:
    """In place of `Relays`: every worker's mails come here. `delivered` is ground truth.

    Recipients are unique, so that an address names a message.
    """

    delivered: Counter[str] = field(default_factory=Counter)
    contents: dict[str, set[bytes]] = field(default_factory=dict)

    async def send(
        self,
        _route: Route,
        envelope: Envelope,
        content: bytes,
        *,
        abort: Callable[[], bool] | None = None,
        **_manner: Any,
    ) -> Attempt:
        call = CALL.get()
        call.answered = asyncio.get_running_loop().create_future()
        call.rcpt_to, call.content, call.abort = envelope.rcpt_to, content, abort
        call.begun.set()
        return await call.answered

    def is_usable(self, _route: Route) -> bool:
        return True

    def room(self, _route: Route) -> int | None:
        return None

    def appetite(self, _route: Route) -> int | None:
        return None

    def serves(self, _route: Route) -> bool:
        return True

    def deliver(self, call: Call) -> None:
        """The recipient has the mail, whatever anybody learns of it."""
        self.delivered[call.rcpt_to] += 1
        self.contents.setdefault(call.rcpt_to, set()).add(call.content)
