"""Days in the life of a relay, with time limits scaled to a thousandth."""

import asyncio
from typing import Any

import pytest

from notifier.core.verdict import Action
from tests.smtp.desk import PATIENT, desk, short
from tests.support.scripted_smtp import Act, Hold, Say, ScriptedSmtp, Step

pytestmark = pytest.mark.anyio
# RFC 5321 §4.5.3.2 in thousandths: 5 minutes a command, 2 for DATA, 3 a block, 10 for the dot.
SCALED: dict[str, Any] = {
    "connect_timeout_s": 5,
    "command_timeout_s": 0.3,
    "data_timeout_s": 0.12,
    "block_timeout_s": 0.18,
    "dot_timeout_s": 0.6,
    "rest_s": 3600,
}


async def answered_after(step: Step, minutes: float) -> str:
    """The outcome of a mail at a relay that lets us wait so long at this step."""
    gate = asyncio.Event()
    async with ScriptedSmtp() as server:
        rule = server.on(step, Hold(gate))
        async with desk(server.target(**SCALED)) as sender:
            task = sender.begin()
            await server.until(lambda: rule.hits == 1)
            asyncio.get_running_loop().call_later(minutes * 0.06, gate.set)
            return short((await task).outcome)


@pytest.mark.parametrize(
    ("step", "minutes", "outcome"),
    [
        (Step.DOT, 9, "dot 250"),
        (Step.DOT, 12, "dot timeout"),
        (Step.MAIL, 4, "dot 250"),
        (Step.MAIL, 7, "mail timeout"),
        (Step.DATA, 1, "dot 250"),
        (Step.DATA, 4, "data timeout"),
    ],
)
async def test_a_slow_relay_has_the_time_that_the_standard_gives_it(
    step: Step, minutes: float, outcome: str
) -> None:
    assert await answered_after(step, minutes) == outcome


async def test_recipients_that_are_taken_put_off_and_refused_are_told_apart() -> None:
    fates: dict[str, tuple[Act | None, Action]] = {
        "good@example.org": (None, Action.SENT),
        "later@example.org": (Say(450, "4.2.1 busy"), Action.RETRY),
        "never@example.org": (Say(550, "5.1.1 no such user"), Action.BOUNCED),
    }
    async with ScriptedSmtp() as server:
        for address, (act, _) in fates.items():
            if act is not None:
                server.on(Step.RCPT, act, recipient=address)
        async with desk(server.target(connections=1, **PATIENT)) as sender:
            attempts = await asyncio.gather(*[sender.send(to=to) for to in list(fates) * 3])
        assert len(server.connections) == 1
    assert [attempt.verdict.action for attempt in attempts] == [a for _, a in fates.values()] * 3
    assert {mail.rcpt_to for mail in server.accepted} == {"good@example.org"}
    assert len(server.accepted) == 3


async def test_a_list_of_which_every_recipient_is_refused_leaves_the_relay_up() -> None:
    async with ScriptedSmtp() as server:
        server.on(Step.RCPT, Say(550, "5.1.1 no such user"))
        async with desk(server.target(**PATIENT)) as sender:
            attempts = await asyncio.gather(*[sender.send(to=f"{n}@x.org") for n in range(50)])
            assert sender.relays.health()[0].state == "up"
        assert server.accepted == []
    assert {attempt.verdict.action for attempt in attempts} == {Action.BOUNCED}


async def test_a_greylisted_recipient_is_taken_when_he_comes_back() -> None:
    async with ScriptedSmtp() as server:
        server.on(Step.RCPT, Say(451, "4.7.1 Greylisted, come back in 5 minutes"), times=1)
        async with desk(server.target(**PATIENT)) as sender:
            first, second = await sender.send(), await sender.send()
            assert sender.told() == []
    assert (first.verdict.action, first.verdict.greylisted) == (Action.RETRY, True)
    assert second.verdict.action is Action.SENT
