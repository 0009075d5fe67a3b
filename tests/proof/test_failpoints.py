"""`kill -9` at every named point round every commit, and at every step of a mail's way out."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from pydantic import SecretStr

from notifier.settings.sections import DatabaseSettings
from tests.proof.failpoints import MOMENTS, used_writes
from tests.proof.house import AT_ONCE, House, house
from tests.proof.sink import Act, Session, Step, Wait
from tests.support.postgres import fresh_database

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(240)]
Reach = Callable[[House], Awaitable[object]]


def holding(held: Step) -> Callable[[Step, Session], Wait | None]:
    """A relay that never answers this step."""
    never = asyncio.Event()
    return lambda step, _session: Wait(never) if step is held else None


async def renewed(one: House) -> None:
    one.sink.manners = holding(Step.DOT)
    await one.post()


async def freed(one: House) -> None:
    """A process dies with a mail in hand, and the next one frees its lease."""
    await renewed(one)
    await one.sink.until(lambda: one.sink.told[Step.DOT] > 0)
    await one.process.kill()
    await one.process.begin()


async def forgotten(one: House) -> None:
    await one.restart(one.age, **AT_ONCE)


async def begun(one: House) -> None:
    await one.restart()


async def stopped(one: House) -> None:
    one.process.strike(15)


async def given_back(one: House) -> None:
    """It is told to stop while a relay does not answer RCPT."""
    before = one.sink.told[Step.RCPT]
    one.sink.manners = holding(Step.RCPT)
    await one.post()
    await one.sink.until(lambda: one.sink.told[Step.RCPT] > before)
    one.process.strike(15)


async def paused(one: House) -> None:
    """The relay does not want us at all, which is the operator's business."""
    one.sink.manners = lambda step, _session: Act.REJECT if step is Step.CONNECT else None
    await one.restart()
    await one.process.answers()
    await one.post()


async def sliced(one: House) -> None:
    """What is left of the relay's allowance from the mails before lapses first."""
    await asyncio.sleep(1)  # nobody outside hears of it
    await one.post()


REACHED: dict[str, Reach] = {
    "accept": House.post,
    "claim": House.post,
    "record": House.post,
    "register": House.register,
    "confirm": House.confirm,
    "renew": renewed,
    "release": given_back,
    "free": freed,
    "erase_bytes": forgotten,
    "forget_notifications": forgotten,
    "forget_keys": forgotten,
    "forget_sign_ups": forgotten,
    "forget_loose_events": forgotten,
    "report_worker": begun,
    "leave_worker": stopped,
    "take_slice": sliced,
    "say_paused": paused,
}
"""How a running service is brought to each `Write` of the house."""

EXEMPT: dict[str, str] = {}
"""Writes that no scenario reaches, each with the reason."""

ON_POSTGRESQL = {"accept", "claim", "record", "renew", "register", "confirm"}
"""Dead owners are not known there, and the rest is the same code."""

POINTS = [f"{name}.{moment}" for name in used_writes() if name in REACHED for moment in MOMENTS]
CASES = [("sqlite", point) for point in POINTS] + [
    ("postgresql", point) for point in POINTS if point.partition(".")[0] in ON_POSTGRESQL
]
Houses = Callable[[str], Awaitable[House]]


@pytest.fixture(scope="module")
async def houses(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> AsyncIterator[Houses]:
    """One for each database, made when it is first asked for."""
    made: dict[str, House] = {}
    async with AsyncExitStack() as stack:

        async def of(name: str) -> House:
            if name not in made:
                folder: Path = tmp_path_factory.mktemp(name)
                url = f"sqlite:///{folder}/notifier.db"
                if name == "postgresql":
                    server = request.getfixturevalue("postgres_url")
                    url = stack.enter_context(fresh_database(server))
                settings = DatabaseSettings(url=SecretStr(url))
                made[name] = await stack.enter_async_context(house(settings, folder))
            return made[name]

        yield of


def test_every_write_of_the_house_is_reached_or_exempt() -> None:
    assert [name for name in used_writes() if name not in REACHED | EXEMPT] == []


PROMISED = {
    "before commit": "accept.before_commit",
    "after commit before 202": "accept.after_commit",
    "after claim before connect": "claim.after_commit",
    "between 250 and commit": "record.before_begin",
}
"""The promise's own names for some of the points; for its other cases see `test_crash_cases`."""


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_the_points_that_the_promise_names_are_among_them(database: str) -> None:
    assert {(database, point) for point in PROMISED.values()} <= {*CASES}


@pytest.mark.parametrize(("database", "point"), CASES)
async def test_a_death_at_any_commit_loses_nothing(
    houses: Houses, database: str, point: str
) -> None:
    one = await houses(database)
    await one.ready()
    one.set_point(point)
    await REACHED[point.partition(".")[0]](one)
    await one.died_at(point)
    await one.recover()
    assert await one.violations() == []


@pytest.mark.parametrize("step", [Step.CONNECT, Step.MAIL, Step.BODY, Step.DOT])
async def test_a_death_on_a_mails_way_out_loses_nothing(houses: Houses, step: Step) -> None:
    one = await houses("sqlite")
    await one.ready()
    struck = one.kill_at(step)
    if step is Step.CONNECT:
        await one.process.kill()  # it would use a connection that is open
        await one.process.start()
    await one.post()
    await struck.wait()
    await one.process.ended()
    await one.recover()
    assert await one.violations() == []


async def test_a_death_right_after_the_202_loses_nothing(houses: Houses) -> None:
    one = await houses("sqlite")
    await one.ready()
    post = await one.post()
    while not post.ids:  # noqa: ASYNC110 - the moment is a caller's, who has no event for it
        await asyncio.sleep(0)
    await one.process.kill()
    await one.recover()
    assert await one.violations() == []
