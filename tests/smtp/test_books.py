"""Double entry: what is reported of each mail against what the server took, under random faults."""

import asyncio
import random
from collections import Counter
from typing import Any

import pytest

from notifier.core.verdict import Action
from notifier.smtp.relays import Attempt
from tests.smtp.desk import QUICK, Desk, desk
from tests.support.scripted_smtp import (
    CLOSING,
    Act,
    Drop,
    Forget,
    Garbage,
    Hang,
    Inject,
    Reset,
    Say,
    ScriptedSmtp,
    Step,
)

pytestmark = pytest.mark.anyio
MAILS = 200
STEPS = [Step.CONNECT, Step.EHLO, Step.MAIL, Step.RCPT, Step.DATA, Step.BODY, Step.DOT, Step.RSET]
ACTS: list[Act] = [
    CLOSING,
    Drop(),
    Reset(),
    Garbage(),
    Say(451, "4.3.0 later"),
    Say(550, "5.1.1 no"),
    Say(503, "5.5.1 what"),
    Hang(),
]
AT_THE_DOT: list[Act] = [
    *ACTS,
    Drop(taken=True),
    Drop(b"250 2.0.0 ok\r\n", taken=True),
    Drop(b"250 2.0.0 ok\r\n421 4.3.2 enough\r\n", taken=True),
    Inject(b"421 4.3.2 enough\r\n"),
    Forget(),
]
NOT_TAKEN = {Action.RETRY, Action.BOUNCED, Action.REJECTED}
KEPT = {Action.RELAY_DOWN, Action.RELAY_MISCONFIGURED}


def script(server: ScriptedSmtp, chance: random.Random) -> None:
    for _ in range(40):
        step = chance.choice(STEPS)
        acts = AT_THE_DOT if step is Step.DOT else ACTS
        if step is Step.BODY:  # an answer there and then one to the dot would be two for one
            acts = [act for act in ACTS if not isinstance(act, Say)]
        act = chance.choice(acts)
        server.on(step, act, times=1, skip=chance.randrange(MAILS // 2))


async def one(sender: Desk, name: str, chance: random.Random) -> Attempt | None:
    """One mail, perhaps urgent, large, given up or called back; None: called back."""
    body = b"Subject: x\r\n\r\n" + b"x\r\n" * chance.choice([1, 1, 1, 60_000])
    options: dict[str, Any] = {"sender": name, "urgent": chance.random() < 0.1}
    if chance.random() < 0.05:
        options["abort"] = lambda: True
    task = sender.begin(body, **options)
    if chance.random() < 0.1:
        await asyncio.sleep(chance.random() * 0.01)
        task.cancel()
        await asyncio.wait({task})
    return None if task.cancelled() else await task


async def until_taken_or_refused(
    sender: Desk, name: str, chance: random.Random
) -> list[Attempt | None]:
    """Try while the relay is to blame and nothing was tried, as the dispatcher does."""
    attempts: list[Attempt | None] = []
    while True:
        await sender.relays.usable("live")
        attempt = await one(sender, name, chance)
        attempts.append(attempt)
        if attempt is None or attempt.verdict.action not in KEPT:
            return attempts


def check(attempts: list[Attempt | None], taken: int) -> None:
    """The last attempt decides; all before it did not let the mail out."""
    last = attempts[-1]
    if last is None or last.verdict.ambiguous:
        assert taken <= 1
    elif last.verdict.action is Action.SENT:
        assert taken == 1
    else:
        assert last.verdict.action in NOT_TAKEN
        assert taken == 0


@pytest.mark.parametrize("chaining", [True, False], ids=["chained", "unchained"])
@pytest.mark.parametrize("seed", range(3))
async def test_what_is_reported_is_what_the_server_took(seed: int, *, chaining: bool) -> None:
    chance = random.Random(seed)
    names = [f"{n}@example.org" for n in range(MAILS)]
    async with ScriptedSmtp() as server:
        script(server, chance)
        limits = {**QUICK, "connections": 6, "mails_per_connection": 20}
        async with desk(server.target(chaining=chaining, **limits)) as sender:
            rows = await asyncio.gather(
                *[until_taken_or_refused(sender, name, chance) for name in names]
            )
            (health,) = sender.relays.health()
            assert (health.waiting, health.under_way) == (0, 0)
            if chaining:
                assert sum(connection.chained for connection in server.connections) > 10
        taken = Counter(mail.mail_from for mail in server.accepted)
    assert sum(rule.hits for rule in server.rules) > 10
    for name, attempts in zip(names, rows, strict=True):
        check(attempts, taken[name])
