"""The feed loses nothing whatever order transactions end in; the story is read in pages."""

import asyncio

import pytest

from notifier.core.message import Step
from notifier.store.engine import writing
from notifier.store.events import Cursor, Event, StoryPart, feed, feed_end, put_events, story
from tests.store.conftest import Opener
from tests.store.world import World
from tests.store.writes import PATIENCE_S

pytestmark = pytest.mark.anyio


def an_event(world: World, notification_id: str = "ntf", project: str = "default") -> Event:
    new = world.ids.new("evt")
    return Event(new, project, "test.happened", world.now, notification_id=notification_id)


async def told(world: World, after: Cursor = Cursor(), most: int = 1000) -> list[str]:  # noqa: B008
    return [one.id for _, one in await world.store.read(feed, "default", after, most=most)]


async def test_an_event_that_commits_after_a_later_one_is_not_stepped_over(
    open_postgres: Opener,
) -> None:
    world = open_postgres()
    early, late = an_event(world), an_event(world)
    with world.store.database.engine.connect() as slow:
        put_events(slow, [early])
        with writing(world.store.database) as quick:
            put_events(quick, [late])
        assert await told(world) == []
        slow.commit()
    assert await told(world) == [early.id, late.id]


async def test_the_end_of_the_feed_stays_below_a_transaction_that_still_runs(
    open_postgres: Opener,
) -> None:
    world = open_postgres()
    early, late = an_event(world), an_event(world)
    with world.store.database.engine.connect() as slow:
        put_events(slow, [early])
        with writing(world.store.database) as quick:
            put_events(quick, [late])
        end = await world.store.read(feed_end, "default")
        slow.commit()
    assert await told(world, after=end) == [early.id, late.id]


async def test_a_transaction_that_is_rolled_back_holds_nothing_back_for_long(
    open_postgres: Opener,
) -> None:
    world = open_postgres()
    late = an_event(world)
    with world.store.database.engine.connect() as slow:
        put_events(slow, [an_event(world)])
        with writing(world.store.database) as quick:
            put_events(quick, [late])
        slow.rollback()
    assert await told(world) == [late.id]


async def test_a_reader_beside_many_writers_sees_every_event_once_and_forward(
    open_world: Opener,
) -> None:
    world = open_world(writers=4, group_max=7)
    other = open_world(writers=4, group_max=7)
    items = [(store, store.acceptance()) for _ in range(300) for store in (world, other)]
    writes = asyncio.gather(*(store.accept(item) for store, item in items))
    seen: list[tuple[Cursor, str]] = []
    at = Cursor()
    async with asyncio.timeout(PATIENCE_S):
        while len(seen) < len(items):
            page = await world.store.read(feed, "default", at, most=50)
            seen += [(cursor, one.id) for cursor, one in page]
            at = page[-1][0] if page else at
    await writes
    cursors = [cursor for cursor, _ in seen]
    assert cursors == sorted(set(cursors))
    assert sorted(id_ for _, id_ in seen) == sorted(item.accepted.id for _, item in items)


async def test_the_feed_is_read_in_pages_without_gap_or_repetition(world: World) -> None:
    events = [an_event(world) for _ in range(10)]
    for event in events:
        with writing(world.store.database) as connection:
            put_events(connection, [event])
    at, seen = Cursor(), list[str]()
    while page := await world.store.read(feed, "default", at, most=3):
        at = page[-1][0]
        seen += [one.id for _, one in page]
    assert seen == [event.id for event in events]
    assert await world.store.read(feed_end, "default") == at


async def test_the_feed_of_a_project_holds_its_own_events_only(world: World) -> None:
    mine = an_event(world)
    with writing(world.store.database) as connection:
        put_events(connection, [an_event(world, project="theirs"), mine])
    assert await told(world) == [mine.id]
    assert await world.store.read(feed_end, "nobody") == Cursor()


async def test_events_written_again_stay_as_they_are(world: World) -> None:
    event = an_event(world)
    for _ in range(2):
        with writing(world.store.database) as connection:
            put_events(connection, [event])
    assert await told(world) == [event.id]


async def test_a_story_is_read_in_pages(world: World) -> None:
    events = [an_event(world, "ntf_1") for _ in range(7)]
    with writing(world.store.database) as connection:
        put_events(connection, [*events, an_event(world, "ntf_2")])
    seen: list[str] = []
    while page := await world.store.read(
        story, StoryPart("default", "ntf_1", after=seen[-1] if seen else None, most=3)
    ):
        seen += [one.id for one in page]
    assert seen == [event.id for event in events]


@pytest.mark.parametrize(
    "part",
    [
        StoryPart("theirs", "ntf_1"),
        StoryPart("default", "ntf_2"),
        StoryPart("default", "ntf_1", after="evt_unknown"),
        StoryPart("default", "ntf_1", most=0),
    ],
)
async def test_a_story_tells_nothing_to_others(world: World, part: StoryPart) -> None:
    with writing(world.store.database) as connection:
        put_events(connection, [an_event(world, "ntf_1")])
    assert await world.store.read(story, part) == []


async def test_a_story_keeps_what_it_was_told(world: World) -> None:
    item = world.acceptance()
    await world.accept(item)
    (claimed,) = await world.claim()
    await world.record(claimed, Step.DELIVERED)
    accepted, attempted = await world.store.read(story, StoryPart("default", item.notification.id))
    assert accepted == item.accepted
    assert (attempted.message_id, attempted.data) == (claimed.claim.id, {"attempt": 1})
