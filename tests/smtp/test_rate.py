"""A relay's rate: what waits for it holds no connection, and urgent mail goes first."""

import asyncio

import pytest

from notifier.core.envelope import Envelope
from notifier.core.errors import Unavailable
from notifier.core.verdict import Action
from notifier.smtp.allowance import Grant, OwnRates, slice_mails
from notifier.smtp.relays import Attempt, Relays
from tests.smtp.desk import ANN, BOB, MAIL, PATIENT, SENDER
from tests.support.scripted_smtp import ScriptedSmtp

pytestmark = pytest.mark.anyio


class Purse:
    """Grants of one mail each, when the test says so."""

    def __init__(self) -> None:
        self.asked = 0
        self._given: asyncio.Queue[Grant | Unavailable] = asyncio.Queue()

    def give(self, *grants: Grant | Unavailable) -> None:
        for grant in grants:
            self._given.put_nowait(grant)

    async def __call__(self, name: str, rate_per_s: float) -> Grant:
        self.asked += 1
        grant = await self._given.get()
        if isinstance(grant, Unavailable):
            raise grant
        return grant


ONE = Grant(1, 0.0, 60.0)


def relays_with(server: ScriptedSmtp, purse: Purse, rate_per_s: float = 10) -> Relays:
    target = server.target(rate_per_s=rate_per_s, **PATIENT)
    return Relays([target], helo_name="client.test", observe=lambda _: None, grants=purse)


def send(relays: Relays, to: str, *, urgent: bool = False) -> "asyncio.Task[Attempt]":
    envelope = Envelope(SENDER, to)
    return asyncio.create_task(relays.send("live", envelope, MAIL, urgent=urgent))


async def test_a_mail_that_waits_for_the_rate_holds_no_connection() -> None:
    purse = Purse()
    async with ScriptedSmtp() as server:
        relays = relays_with(server, purse)
        task = send(relays, ANN)
        await asyncio.sleep(0.02)
        assert (len(server.connections), relays.health()[0].waiting) == (0, 1)
        purse.give(ONE)
        assert (await task).verdict.action is Action.SENT
        await relays.aclose()


async def test_urgent_mail_goes_first_when_the_rate_lets_one_out() -> None:
    purse = Purse()
    async with ScriptedSmtp() as server:
        relays = relays_with(server, purse)
        normal = send(relays, ANN)
        await asyncio.sleep(0)
        urgent = send(relays, BOB, urgent=True)
        await asyncio.sleep(0)
        purse.give(ONE)
        assert (await urgent).verdict.action is Action.SENT
        assert not normal.done()
        purse.give(ONE)
        await normal
        await relays.aclose()
    assert [mail.rcpt_to for mail in server.accepted] == [BOB, ANN]


async def test_while_the_store_is_away_a_limited_relay_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("notifier.smtp.allowance._STORE_PAUSE_S", 0.01)
    purse = Purse()
    purse.give(*[Unavailable("away", code="store_away")] * 3, ONE)
    async with ScriptedSmtp() as server:
        relays = relays_with(server, purse)
        attempt = await send(relays, ANN)
        await relays.aclose()
    assert (attempt.verdict.action, purse.asked) == (Action.SENT, 4)


async def test_what_is_left_of_a_slice_lapses_with_it() -> None:
    purse = Purse()
    purse.give(Grant(5, 0.0, 0.01))
    async with ScriptedSmtp() as server:
        relays = relays_with(server, purse)
        await send(relays, ANN)
        await asyncio.sleep(0.03)
        task = send(relays, ANN)
        await asyncio.sleep(0.02)
        assert not task.done()
        purse.give(ONE)
        await task
        await relays.aclose()


async def test_room_is_what_leaves_in_the_next_moments() -> None:
    purse = Purse()
    async with ScriptedSmtp() as server:
        relays = relays_with(server, purse, rate_per_s=3)
        assert relays.room("live") == 6
        tasks = [send(relays, ANN) for _ in range(4)]
        await asyncio.sleep(0)
        assert relays.room("live") == 0
        usable = asyncio.create_task(relays.usable("live"))
        purse.give(ONE)
        await usable
        assert relays.room("live") == 3
        purse.give(ONE, ONE, ONE)
        await asyncio.gather(*tasks)
        await relays.aclose()


async def test_a_mail_that_is_called_back_while_it_waits_is_not_sent() -> None:
    purse = Purse()
    async with ScriptedSmtp() as server:
        relays = relays_with(server, purse)
        first, second = send(relays, ANN), send(relays, BOB)
        await asyncio.sleep(0)
        first.cancel()
        purse.give(ONE)
        assert (await second).verdict.action is Action.SENT
        await relays.aclose()
    assert [mail.rcpt_to for mail in server.accepted] == [BOB]


@pytest.mark.parametrize(("rate", "mails"), [(0.1, 1), (9, 1), (50, 5), (1000, 100)])
def test_a_slice_is_a_tenth_of_a_second_and_one_mail_at_least(rate: float, mails: int) -> None:
    assert slice_mails(rate) == mails


async def test_slices_of_one_process_follow_each_other() -> None:
    rates = OwnRates()
    starts = [(await rates("main", 50)).starts_in_s for _ in range(3)]
    assert starts == pytest.approx([0.0, 0.1, 0.2], abs=0.02)
