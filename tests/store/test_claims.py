"""Whose mail is claimed: urgent first, each project in its turn, as much as there is room for."""

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import text

from notifier.core.message import Lane
from notifier.core.room import Room
from notifier.store.claiming import CLAIM, ClaimRequest
from notifier.store.engine import writing
from notifier.store.expiry import over
from notifier.store.outbox import Claimed
from notifier.store.schema import standstill
from notifier.store.standstill import SAY_PAUSED
from notifier.store.turns import Turns
from tests.store.bulk import due_bulk
from tests.store.world import MANY_BYTES, World

pytestmark = pytest.mark.anyio


async def accept(world: World, *projects: str, lane: Lane = Lane.TRANSACTIONAL) -> None:
    for project in projects:
        await world.accept(world.acceptance(project=project, lane=lane))


def projects(claimed: Sequence[Claimed]) -> str:
    return "".join(one.project for one in claimed)


async def test_three_mails_of_one_project_leave_before_a_hundred_thousand_of_another(
    world: World,
) -> None:
    due_bulk(world, "a", 100_000)
    await accept(world, "b", "b", "b")
    assert projects(await world.claim(seats=10)) == "abababaaaa"


async def test_each_freed_seat_goes_to_the_next_project(world: World) -> None:
    await accept(world, *"aaabbc")
    turns = Turns()
    claimed = [projects(await world.claim(seats=1, turns=turns)) for _ in range(7)]
    assert claimed == ["a", "b", "c", "a", "b", "a", ""]


async def test_a_claim_begins_behind_the_project_served_last(world: World) -> None:
    await accept(world, *"aaabbbccc")
    turns = Turns()
    first = projects(await world.claim(seats=4, turns=turns))
    assert (first, projects(await world.claim(seats=3, turns=turns))) == ("abca", "bca")


@pytest.mark.parametrize("seats", [6, 7, 11])
async def test_what_a_project_leaves_of_its_share_goes_to_the_others(
    world: World, seats: int
) -> None:
    await accept(world, *"abbcccccccccc")
    claimed = projects(await world.claim(seats=seats))
    assert len(claimed) == seats
    assert (claimed.count("a"), claimed.count("b")) == (1, 2)


async def test_more_projects_than_seats_all_get_their_turn(world: World) -> None:
    names = [f"p{n:02}" for n in range(25)]
    await accept(world, *names)
    turns, seen = Turns(), list[str]()
    while claimed := await world.claim(seats=10, turns=turns):
        seen += [one.project for one in claimed]
    assert sorted(seen) == names


async def test_urgent_mail_takes_seats_that_other_mail_may_not(world: World) -> None:
    await accept(world, "a", "a", lane=Lane.BULK)
    await accept(world, "b", lane=Lane.URGENT)
    catch = await world.catch(Room(2, 0, MANY_BYTES))
    assert (projects(catch.mails), catch.more) == ("b", True)


async def test_more_is_said_only_where_room_was_wanting(world: World) -> None:
    await accept(world, "a", "a")
    assert (await world.catch(Room(1, 1, MANY_BYTES))).more
    assert not (await world.catch(Room(2, 2, MANY_BYTES))).more
    assert not (await world.catch(Room(2, 0, MANY_BYTES))).more


async def test_mails_that_would_not_fit_into_memory_are_left(world: World) -> None:
    for _ in range(3):
        await world.accept(world.acceptance(body=b"x" * 100))
    catch = await world.catch(Room(10, 10, 250))
    assert (len(catch.mails), catch.more) == (2, True)
    assert sum(one.size_bytes for one in catch.mails) == 200


async def test_a_mail_larger_than_the_room_is_taken_alone(world: World) -> None:
    for _ in range(2):
        await world.accept(world.acceptance(body=b"x" * 100))
    assert not (await world.catch(Room(10, 10, 50, alone=False))).mails
    assert len((await world.catch(Room(10, 10, 50))).mails) == 1


async def test_large_bulk_does_not_keep_the_first_urgent_mail_back(world: World) -> None:
    await accept(world, "a", "a", lane=Lane.URGENT)
    full = Room(10, 10, 0, alone=False)
    assert len((await world.catch(full)).mails) == 1
    assert not (await world.catch(Room(10, 10, 0, alone=False, urgent_alone=False))).mails


async def test_an_old_look_at_the_line_hides_nobody(world: World) -> None:
    turns = Turns()
    await accept(world, "a")
    await world.claim(turns=turns)
    turns._good_until = math.inf
    await accept(world, "b")
    await accept(world, "u", lane=Lane.URGENT)
    assert projects(await world.claim(turns=turns)) == "ub"


async def test_a_look_that_finds_nobody_shortens_no_life(world: World) -> None:
    with writing(world.store.database) as connection:
        row = {"route": "live", "total_us": 7_200_000_000, "seen_at": world.now}
        connection.execute(standstill.insert().values(row))
    turns = Turns()
    for lane in (Lane.URGENT, Lane.BULK):
        assert not await world.claim(turns=turns)
        turns._good_until = math.inf
        mail = world.acceptance(lane=lane)
        new = replace(mail.notification, default_life=True)
        await world.accept(replace(mail, notification=new))
        (claimed,) = await world.claim(turns=turns)
        assert claimed.expires_at == world.now + world.life


async def test_what_got_a_longer_life_is_not_taken_as_over(world: World) -> None:
    mail = world.acceptance()
    await world.accept(replace(mail, notification=replace(mail.notification, default_life=True)))
    world.now += world.life
    ids = (await world.store.read(over, "live", world.now, 10)).ids
    assert ids == (mail.messages[0].id,)
    for at in (world.now, world.now + timedelta(seconds=5)):
        await world.store.write(SAY_PAUSED, ("live", at))
    lease, room = world.now + timedelta(seconds=30), Room(10, 10, MANY_BYTES)
    request = ClaimRequest("one", "live", room, world.now, lease, only=ids)
    assert not (await world.store.write(CLAIM, request)).mails
    later = replace(request, now=world.now + timedelta(seconds=5))
    assert len((await world.store.write(CLAIM, later)).mails) == 1


async def test_a_recent_look_is_used_again(world: World) -> None:
    await accept(world, *"aaaa")
    turns = Turns()
    await world.claim(seats=1, turns=turns)
    turns._good_until = math.inf
    with writing(world.store.database) as connection:
        connection.execute(text("UPDATE outbox SET lane = 2"))  # where an old look finds nobody
    assert projects(await world.claim(seats=1, turns=turns)) == "a"
    assert turns._good_until < math.inf
