"""What the tests of this room share: a mail, and relays that are closed in the end."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from notifier.core.envelope import Envelope
from notifier.core.reply import Outcome, Reply
from notifier.core.route import Route
from notifier.observe.facts import Fact
from notifier.settings.relay import RelayTarget
from notifier.smtp.relays import Attempt, Relays

MAIL = b"From: a@example.org\r\nSubject: hello\r\n\r\nHello\r\n"
SENDER = "a@example.org"
ANN = "ann@example.org"
BOB = "bob@example.org"

PATIENT: dict[str, Any] = {"connect_timeout_s": 20, "command_timeout_s": 20, "rest_s": 0.02}
# For tests that wait for a time limit to pass.
QUICK: dict[str, Any] = {
    "connect_timeout_s": 5,
    "command_timeout_s": 0.25,
    "data_timeout_s": 0.25,
    "block_timeout_s": 0.25,
    "dot_timeout_s": 0.25,
    "rest_s": 0.02,
}


class Desk:
    """Relays with a list of the facts that they told."""

    def __init__(self, *targets: RelayTarget, helo_name: str | None = "client.test") -> None:
        self.facts: list[Fact] = []
        self.relays = Relays(
            targets, helo_name=helo_name, observe=self.facts.append, jitter=lambda: 0.0
        )

    async def send(
        self,
        content: bytes = MAIL,
        *,
        to: str = ANN,
        sender: str = SENDER,
        route: Route = "live",
        urgent: bool = False,
        abort: Callable[[], bool] | None = None,
    ) -> Attempt:
        envelope = Envelope(sender, to)
        return await self.relays.send(route, envelope, content, urgent=urgent, abort=abort)

    def begin(self, content: bytes = MAIL, **options: Any) -> "asyncio.Task[Attempt]":
        """Send without waiting for it; stands in line when this returns and the loop turned."""
        return asyncio.create_task(self.send(content, **options))

    def told(self) -> list[str]:
        """The events so far."""
        return [fact.event for fact in self.facts]


@asynccontextmanager
async def desk(*targets: RelayTarget, helo_name: str | None = "client.test") -> AsyncIterator[Desk]:
    """A desk that is closed in the end.

    It limits its block's time itself: pytest-timeout's signal does not get through to a uvloop
    that waits.
    """
    made = Desk(*targets, helo_name=helo_name)
    try:
        async with asyncio.timeout(60):
            yield made
    finally:
        await made.relays.aclose()


def short(outcome: Outcome) -> str:
    """`rcpt 550` or `dot dropped`."""
    what = outcome.code if isinstance(outcome, Reply) else outcome.fault.value
    return f"{outcome.phase.value} {what}"
