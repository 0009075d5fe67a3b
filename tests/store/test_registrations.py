"""Registrations: confirmed once, by link or code, with one welcome, however many try."""

import asyncio
from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import Connection, func, select, update
from sqlalchemy.exc import IntegrityError

from notifier.core.message import Step
from notifier.core.token import token_digest
from notifier.store.engine import writing
from notifier.store.registrations import (
    REGISTER,
    Answer,
    Confirmation,
    find_by_id,
    find_by_token,
)
from notifier.store.schema import content, message, registration, registration_mail
from tests.store.conftest import Opener
from tests.store.signups import (
    CODE,
    answer,
    confirm,
    count_confirmed,
    new_registration,
    sign_up,
    status,
)
from tests.store.world import World
from tests.store.writes import lose_next_commits_answer

pytestmark = pytest.mark.anyio

by_link_and_by_code = pytest.mark.parametrize("code", [None, CODE])


async def test_a_registration_is_read_back_as_it_was_stored(world: World) -> None:
    stored = await sign_up(world)
    assert await world.store.read(find_by_id, "default", stored.id) == stored
    assert await world.store.read(find_by_token, token_digest("confirm", stored.id)) == stored


@by_link_and_by_code
async def test_confirming_sends_one_welcome_and_confirming_again_none(
    world: World, code: str | None
) -> None:
    new = await sign_up(world)
    assert await answer(world, new, code) is Answer.CONFIRMED
    assert await answer(world, new, code) is Answer.ALREADY
    assert await count_confirmed(world) == (1, 1, 1)


@by_link_and_by_code
async def test_fifty_parallel_confirms_are_one(open_world: Opener, code: str | None) -> None:
    world = open_world(writers=4, group_max=5)
    new = await sign_up(world)
    answers = await asyncio.gather(*(answer(world, new, code) for _ in range(50)))
    assert Counter(answers) == {Answer.CONFIRMED: 1, Answer.ALREADY: 49}
    assert await count_confirmed(world) == (1, 1, 1)


async def test_two_registrations_of_an_address_confirmed_at_once_welcome_it_once(
    open_world: Opener,
) -> None:
    world = open_world(writers=4, group_max=2)
    for n in range(20):
        pair = [await sign_up(world, f"{n}@example.org") for _ in range(2)]
        answers = await asyncio.gather(*(answer(world, one) for one in pair))
        assert Counter(answers) == {Answer.CONFIRMED: 1, Answer.ALREADY: 1}
    assert await count_confirmed(world) == (20, 20, 20)


async def test_many_addresses_confirmed_at_once_in_any_order_do_not_deadlock(
    open_world: Opener,
) -> None:
    world = open_world(writers=4, group_max=20)
    pairs = [[await sign_up(world, f"{n}@example.org") for n in range(30)] for _ in range(2)]
    everyone = [*pairs[0], *reversed(pairs[1])]
    answers = await asyncio.gather(*(answer(world, one) for one in everyone))
    assert Counter(answers) == {Answer.CONFIRMED: 30, Answer.ALREADY: 30}


async def test_confirming_one_confirms_the_address_for_the_others(world: World) -> None:
    first, second = await sign_up(world), await sign_up(world, "A@EXAMPLE.org")
    await confirm(world, second)
    assert [await status(world, one) for one in (first, second)] == ["confirmed"] * 2
    assert await answer(world, first, CODE) is Answer.ALREADY


async def test_an_address_confirmed_before_is_not_welcomed_again(world: World) -> None:
    await confirm(world, await sign_up(world))
    later = await sign_up(world)
    assert await answer(world, later) is Answer.CONFIRMED
    assert await count_confirmed(world) == (1, 1, 2)


async def test_projects_do_not_confirm_for_each_other(world: World) -> None:
    ours, theirs = await sign_up(world), await sign_up(world, project="theirs")
    await confirm(world, ours)
    assert await status(world, theirs) == "pending"
    assert await world.store.read(find_by_id, "default", theirs.id) is None
    assert await answer(world, theirs) is Answer.CONFIRMED
    assert await count_confirmed(world) == (2, 2, 2)


async def test_wrong_codes_are_counted_and_the_fifth_burns_all(world: World) -> None:
    new = await sign_up(world)
    said = [await confirm(world, new, "000000") for _ in range(6)]
    assert said[:4] == [Confirmation(Answer.CODE_WRONG, left) for left in (4, 3, 2, 1)]
    assert [one.answer for one in said[4:]] == [Answer.BURNT] * 2
    assert await answer(world, new, CODE) is Answer.BURNT
    assert await status(world, new) == "pending"


async def test_wrong_codes_shown_at_once_are_all_counted(open_world: Opener) -> None:
    world = open_world(writers=4, group_max=3)
    new = await sign_up(world)
    said = await asyncio.gather(*(confirm(world, new, "000000") for _ in range(30)))
    assert sorted(one.tries_left for one in said if one.answer is Answer.CODE_WRONG) == [1, 2, 3, 4]
    assert sum(one.answer is Answer.BURNT for one in said) == 26


async def test_burnt_codes_do_not_burn_the_link(world: World) -> None:
    new = await sign_up(world)
    for _ in range(5):
        await confirm(world, new, "000000")
    assert await answer(world, new) is Answer.CONFIRMED
    assert await answer(world, new, CODE) is Answer.ALREADY


async def test_a_code_of_another_registration_is_wrong(world: World) -> None:
    mine, other = await sign_up(world), await sign_up(world, "b@example.org", code="654321")
    assert await answer(world, mine, "654321") is Answer.CODE_WRONG
    assert await answer(world, other, "654321") is Answer.CONFIRMED


@pytest.mark.parametrize(
    ("later_s", "expected"), [(899, Answer.CONFIRMED), (900, Answer.CODE_EXPIRED)]
)
async def test_a_code_lives_from_the_sending_of_its_mail(
    world: World, later_s: int, expected: Answer
) -> None:
    new = await sign_up(world)
    world.now += timedelta(hours=2)  # an outage: the mail has not left
    (mail,) = await world.claim()
    await world.record(mail, Step.DELIVERED)
    world.now += timedelta(seconds=later_s)
    assert await answer(world, new, CODE) is expected


async def test_a_code_whose_mail_has_not_left_lives(world: World) -> None:
    new = await sign_up(world)
    world.now += timedelta(hours=23)
    assert await answer(world, new, CODE) is Answer.CONFIRMED


@by_link_and_by_code
async def test_an_expired_registration_confirms_nothing(world: World, code: str | None) -> None:
    new = await sign_up(world)
    world.now += world.life
    assert await answer(world, new, code) is Answer.EXPIRED
    assert await status(world, new) == "pending"


async def test_a_registration_that_is_gone_has_expired(world: World) -> None:
    assert await answer(world, new_registration(world).registration) is Answer.EXPIRED


async def test_a_confirm_whose_commit_broke_off_is_still_the_one_that_confirmed(
    open_world: Opener,
) -> None:
    world = open_world(writers=1)
    new = await sign_up(world)
    lose_next_commits_answer(world.store.database.engine)
    assert await answer(world, new) is Answer.CONFIRMED
    assert await count_confirmed(world) == (1, 1, 1)


async def test_a_registration_is_stored_with_its_mail_or_not_at_all(world: World) -> None:
    new = new_registration(world)
    spoilt = replace(new, mail=replace(new.mail, accepted=replace(new.event, type=None)))  # type: ignore[arg-type]
    with pytest.raises(IntegrityError):
        await world.store.write(REGISTER, spoilt)

    def rows(connection: Connection) -> list[int]:
        tables = (registration, registration_mail, message, content)
        counts = [select(func.count()).select_from(table) for table in tables]
        return [connection.scalars(count).one() for count in counts]

    assert await world.store.read(rows) == [0, 0, 0, 0]


async def test_a_burnt_mail_of_a_pending_registration_confirms_by_no_code(world: World) -> None:
    new = await sign_up(world)
    with writing(world.store.database) as connection:
        connection.execute(update(registration_mail).values(burnt_at=world.now))
    assert await answer(world, new, CODE) is Answer.CODE_WRONG


async def test_a_test_keys_confirmation_leaves_the_live_address_unknown(world: World) -> None:
    live = await sign_up(world)
    rehearsed = replace(new_registration(world, live.email), token_sha256="t" * 64)
    rehearsed = replace(rehearsed, registration=replace(rehearsed.registration, route="test"))
    await world.store.write(REGISTER, rehearsed)
    assert await answer(world, rehearsed.registration) == Answer.CONFIRMED
    assert await status(world, live) == "pending"
    assert await answer(world, live) == Answer.CONFIRMED
    assert await count_confirmed(world) == (2, 2, 2)
