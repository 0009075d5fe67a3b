"""Who goes next: urgent mail first, one connection kept for it, the rest in order of arrival."""

import asyncio
from typing import Any

import pytest

from notifier.core.verdict import Action
from notifier.smtp.throughput import Throughput
from tests.smtp.desk import PATIENT, desk
from tests.support.scripted_smtp import Hold, ScriptedSmtp, Step

pytestmark = pytest.mark.anyio
URGENT: dict[str, Any] = {"urgent": True, "sender": "urgent@example.org"}


def senders(server: ScriptedSmtp) -> list[str]:
    return [mail.mail_from.partition("@")[0] for mail in server.accepted]


@pytest.mark.parametrize("chaining", [True, False])
async def test_mails_go_in_the_order_in_which_they_came(*, chaining: bool) -> None:
    async with ScriptedSmtp() as server:
        async with desk(server.target(connections=1, chaining=chaining, **PATIENT)) as sender:
            names = [f"{n}" for n in range(20)]
            await asyncio.gather(*[sender.send(sender=f"{name}@example.org") for name in names])
        assert senders(server) == names


async def test_an_urgent_mail_goes_ahead_of_all_that_wait() -> None:
    gate = asyncio.Event()
    async with ScriptedSmtp() as server:
        server.on(Step.DOT, Hold(gate), times=1)
        async with desk(server.target(connections=1, **PATIENT)) as sender:
            first = sender.begin(sender="0@example.org")
            await server.until(lambda: len(server.accepted) == 1)
            rest = [sender.begin(sender=f"{n}@example.org") for n in (1, 2)]
            await asyncio.sleep(0)
            rest.append(sender.begin(**URGENT))
            await asyncio.sleep(0)
            gate.set()
            await asyncio.gather(first, *rest)
        assert senders(server) == ["0", "urgent", "1", "2"]


async def test_an_urgent_mail_is_not_chained_behind_one_that_is_not() -> None:
    gate = asyncio.Event()
    async with ScriptedSmtp() as server:
        server.on(Step.DATA, Hold(gate), times=1)
        async with desk(server.target(connections=1, **PATIENT)) as sender:
            first = sender.begin(sender="0@example.org")
            await server.until(lambda: any("DATA" in c.verbs() for c in server.connections))
            rest = [sender.begin(**URGENT), sender.begin(sender="1@example.org")]
            await asyncio.sleep(0)
            gate.set()
            await asyncio.gather(first, *rest)
        assert server.connections[0].chained == 0
        assert senders(server) == ["0", "urgent", "1"]


async def test_urgent_mails_are_chained_to_each_other() -> None:
    async with ScriptedSmtp() as server:
        async with desk(server.target(connections=1, **PATIENT)) as sender:
            await asyncio.gather(*[sender.send(**URGENT) for _ in range(3)])
        assert server.connections[0].chained == 2


@pytest.mark.parametrize(("connections", "kept"), [(5, 1), (4, 0)])
async def test_of_five_connections_one_is_kept_for_urgent_mail(connections: int, kept: int) -> None:
    gate = asyncio.Event()
    async with ScriptedSmtp() as server:
        server.on(Step.DOT, Hold(gate), sender="a@example.org")
        target = server.target(connections=connections, chaining=False, **PATIENT)
        async with desk(target) as sender:
            bulk = [sender.begin() for _ in range(8)]
            await server.until(lambda: len(server.accepted) == connections - kept)
            assert len(server.connections) == connections - kept
            urgent = sender.begin(**URGENT)
            if kept:
                assert (await urgent).verdict.action is Action.SENT
            gate.set()
            await asyncio.gather(urgent, *bulk)


async def test_health_tells_connections_line_and_mails_under_way() -> None:
    gate = asyncio.Event()
    async with ScriptedSmtp() as server:
        server.on(Step.DOT, Hold(gate))
        async with desk(server.target(connections=2, **PATIENT)) as sender:
            sends = [sender.begin() for _ in range(6)]
            await server.until(lambda: len(server.accepted) == 2)
            (health,) = sender.relays.health()
            assert (health.connections, health.limit) == (2, 2)
            assert health.waiting + health.under_way == 6
            assert health.under_way in {2, 3, 4}
            gate.set()
            await asyncio.gather(*sends)
            (health,) = sender.relays.health()
            assert (health.waiting, health.under_way, health.retry_at) == (0, 0, None)


async def test_a_slow_relay_is_given_two_mails_for_each_connection() -> None:
    gate = asyncio.Event()
    async with ScriptedSmtp() as server:
        server.on(Step.DOT, Hold(gate))
        async with desk(server.target(connections=2, **PATIENT)) as sender:
            assert sender.relays.appetite("live") == 4
            sends = [sender.begin() for _ in range(3)]
            await server.until(lambda: len(server.accepted) == 2)
            assert sender.relays.appetite("live") == 1
            sends += [sender.begin() for _ in range(3)]
            await asyncio.sleep(0)  # they stand in line
            assert sender.relays.appetite("live") == 0
            gate.set()
            await asyncio.gather(*sends)
            assert sender.relays.appetite("test") is None


def test_a_quick_relay_is_given_what_it_takes_in_a_tenth_of_a_second() -> None:
    now = [100.0]
    throughput = Throughput(lambda: now[0])
    for _ in range(1000):
        throughput.took()
    now[0] += 0.2
    assert throughput.enough(10) == 500
    now[0] += 60
    assert throughput.enough(10) == 20  # nothing since then


async def test_room_has_no_bound_without_a_rate() -> None:
    async with ScriptedSmtp() as server, desk(server.target(**PATIENT)) as sender:
        assert sender.relays.room("live") is None
        assert sender.relays.room("test") == 0
