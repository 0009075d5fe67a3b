"""Retry and cancel: who is put back, who is ended, who is left alone; on both databases."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import Connection, select, update

from notifier.core.message import Status, Step
from notifier.store.events import Event, message_story
from notifier.store.operations import CANCEL, REQUEUE, Cancel, Decided, Requeue
from notifier.store.outcomes import RECORD, Outcome
from notifier.store.schema import content, message, outbox, standstill
from notifier.store.selection import Selection, count_selected, ids_named, ids_selected
from tests.store.world import World

pytestmark = pytest.mark.anyio


async def accepted(world: World, *to: str, **more: bool | str) -> str:
    """Accept one message; the answer is its id."""
    item = world.acceptance(*to, **more)  # type: ignore[arg-type] # body, lane, … by name
    await world.accept(item)
    return item.messages[0].id


async def ended(world: World, step: Step = Step.ATTEMPTS_USED_UP, **more: bool | str) -> str:
    """A message that was claimed and left the queue by `step`."""
    identity = await accepted(world, **more)
    (claimed,) = await world.claim()
    assert await world.record(claimed, step)
    return identity


async def retry(world: World, identity: str, **more: str) -> Decided:
    until = world.now + timedelta(hours=24)
    item = Requeue(identity, world.ids.new("evt"), world.now, until, "by_operator", **more)
    return await world.store.write(REQUEUE, item)


async def cancel(world: World, identity: str, **more: str) -> Decided:
    item = Cancel(identity, world.ids.new("evt"), world.now, "by_operator", **more)
    return await world.store.write(CANCEL, item)


async def status(world: World, identity: str) -> str:
    named = await world.store.read(ids_named, [identity])
    assert named[identity] == [identity]
    found = await world.store.read(_notification_of, identity)
    return await world.status(found)


def _notification_of(connection: Connection, identity: str) -> str:
    row = connection.execute(select(message.c.notification_id).where(message.c.id == identity))
    return str(row.scalar_one())


async def story_of(world: World, identity: str) -> list[Event]:
    notification_id = await world.store.read(_notification_of, identity)
    return [*await world.store.read(message_story, notification_id, identity)]


@pytest.mark.parametrize(
    "step",
    [Step.ATTEMPTS_USED_UP, Step.LIFE_ENDED, Step.RECIPIENT_REFUSED, Step.CONTENT_REFUSED,
     Step.SET_ASIDE],
)  # fmt: skip
async def test_what_ended_without_arriving_is_tried_from_the_beginning(
    world: World, step: Step
) -> None:
    identity = await ended(world, step)
    assert await retry(world, identity) is Decided.DONE
    assert await status(world, identity) == "queued"
    (claimed,) = await world.claim()
    assert (claimed.claim.id, claimed.attempt, claimed.orphaned) == (identity, 0, 0)
    assert claimed.body == b"Subject: x\r\n\r\nhello\r\n"


@pytest.mark.parametrize("step", [Step.DELIVERED, Step.CAPTURED, Step.SUPPRESSED])
async def test_what_arrived_is_not_sent_again(world: World, step: Step) -> None:
    identity = await ended(world, step)
    assert await retry(world, identity) is Decided.NOT_POSSIBLE
    assert await world.count(outbox.c.id) == 0


async def test_a_message_that_waits_is_not_queued_twice(world: World) -> None:
    identity = await accepted(world)
    assert await retry(world, identity) is Decided.NOT_POSSIBLE
    assert await world.count(outbox.c.id) == 1


async def test_a_new_life_is_counted_from_the_retry(world: World) -> None:
    identity = await ended(world, Step.LIFE_ENDED)
    world.now += timedelta(days=3)
    await retry(world, identity)
    notification_id = await world.store.read(_notification_of, identity)
    assert (await world.view(notification_id)).expires_at == world.now + timedelta(hours=24)
    (claimed,) = await world.claim()
    assert claimed.expires_at == world.now + timedelta(hours=24)


async def test_standstill_before_the_retry_does_not_lengthen_the_new_life(world: World) -> None:
    identity = await ended(world)

    def stand_still(connection: Connection) -> None:
        connection.execute(
            standstill.insert().values(route="live", total_us=7_000_000, seen_at=world.now)
        )

    with world.store.database.engine.begin() as connection:
        stand_still(connection)
    await retry(world, identity)
    query = select(outbox.c.standstill_us)
    found = await world.store.read(lambda connection: connection.execute(query).scalar_one())
    assert found == 7_000_000


async def test_an_outcome_of_the_earlier_life_does_not_pass_the_fence(world: World) -> None:
    await accepted(world)
    (stale,) = await world.claim("one")
    await world.record(stale, Step.ATTEMPTS_USED_UP)
    await retry(world, stale.claim.id)
    (fresh,) = await world.claim("one")
    late = Outcome(stale.claim, world.now, Step.DELIVERED, None, 1, ())
    assert await world.store.write(RECORD, late) is False
    assert fresh.claim.claims > stale.claim.claims
    assert await world.record(fresh, Step.DELIVERED)


async def test_a_mail_whose_bytes_are_erased_cannot_be_retried(world: World) -> None:
    identity = await ended(world, sealed=True)
    assert await retry(world, identity) is Decided.BYTES_ERASED
    assert await status(world, identity) == "failed"


async def test_the_story_says_who_put_it_back_and_what_it_was(world: World) -> None:
    identity = await ended(world, Step.RECIPIENT_REFUSED)
    await retry(world, identity)
    last = (await story_of(world, identity))[-1]
    assert last.type == "message.requeued"
    assert (last.data["reason"], last.data["was"]) == ("by_operator", "bounced")


async def test_a_repeated_retry_is_known_as_one(world: World) -> None:
    identity = await ended(world)
    until = world.now + timedelta(hours=24)
    item = Requeue(identity, world.ids.new("evt"), world.now, until, "by_operator")
    assert await world.store.write(REQUEUE, item) is Decided.DONE
    assert await world.store.write(REQUEUE, item) is Decided.DONE
    assert await world.count(outbox.c.id) == 1


async def test_a_waiting_message_is_canceled_and_leaves_the_queue(world: World) -> None:
    identity = await accepted(world)
    assert await cancel(world, identity) is Decided.DONE
    assert await status(world, identity) == "canceled"
    assert await world.claim() == ()
    last = (await story_of(world, identity))[-1]
    assert (last.type, last.data["reason"]) == ("message.canceled", "by_operator")


async def test_a_held_message_can_be_canceled(world: World) -> None:
    identity = await ended(world, Step.SET_ASIDE)
    assert await cancel(world, identity) is Decided.DONE
    assert await status(world, identity) == "canceled"


async def test_a_message_that_is_being_sent_is_left_to_its_sender(world: World) -> None:
    identity = await accepted(world)
    (claimed,) = await world.claim()
    assert await cancel(world, identity) is Decided.BEING_SENT
    assert await world.record(claimed, Step.DELIVERED)
    assert await status(world, identity) == "sent"


async def test_a_message_whose_sender_was_lost_is_canceled_with_doubt(world: World) -> None:
    identity = await accepted(world)
    (claimed,) = await world.claim()
    world.now += timedelta(seconds=31)
    assert await cancel(world, identity) is Decided.DONE
    told = (await story_of(world, identity))[-1].data
    assert (told["ambiguous"], told["times"]) == (True, 1)
    assert await world.record(claimed, Step.DELIVERED) is False


async def test_canceling_erases_a_secret_that_nobody_needs_any_more(world: World) -> None:
    item = world.acceptance("a@example.org", "b@example.org", sealed=True)
    await world.accept(item)
    await cancel(world, item.messages[0].id)
    assert not await world.erased(item.contents[0].id)
    await cancel(world, item.messages[1].id)
    assert await world.erased(item.contents[0].id)


@pytest.mark.parametrize("step", [Step.DELIVERED, Step.ATTEMPTS_USED_UP])
async def test_what_has_ended_cannot_be_canceled(world: World, step: Step) -> None:
    identity = await ended(world, step)
    assert await cancel(world, identity) is Decided.NOT_POSSIBLE


async def test_another_projects_message_is_not_found(world: World) -> None:
    over = await ended(world)
    assert await retry(world, over, project="other") is Decided.NOT_FOUND
    waiting = await accepted(world)
    assert await cancel(world, waiting, project="other") is Decided.NOT_FOUND
    assert await cancel(world, "msg_" + "0" * 32) is Decided.NOT_FOUND


def chosen(world: World, *statuses: str, **more: object) -> Selection:
    selection = Selection(frozenset(map(Status, statuses)), world.now)
    return replace(selection, **more)  # type: ignore[arg-type] # fields by name


async def selected(world: World, selection: Selection) -> list[str]:
    found = await world.store.read(ids_selected, selection, after="", most=100)
    counted = await world.store.read(count_selected, selection)
    assert counted.total == len(found)
    return [*found]


async def test_a_selection_tells_the_statuses_of_waiting_mail_apart(world: World) -> None:
    deferred = await accepted(world)
    (claimed,) = await world.claim()
    await world.record(claimed, None, due_in_s=60)
    item = world.acceptance(due_in_s=60)
    await world.accept(item)
    sending = await accepted(world)
    await world.claim()
    queued = await accepted(world)
    assert await selected(world, chosen(world, "deferred")) == [deferred]
    assert await selected(world, chosen(world, "scheduled")) == [item.messages[0].id]
    assert await selected(world, chosen(world, "sending")) == [sending]
    assert await selected(world, chosen(world, "queued", "deferred")) == [deferred, queued]


async def test_a_selection_is_about_when_messages_ended_not_when_they_were_accepted(
    world: World,
) -> None:
    early = await ended(world)
    identity = await accepted(world)
    (claimed,) = await world.claim()
    begin = world.now
    world.now += timedelta(hours=3)
    await world.record(claimed, Step.ATTEMPTS_USED_UP)
    since = world.now - timedelta(hours=2)
    assert await selected(world, chosen(world, "failed", since=since)) == [identity]
    assert await selected(world, chosen(world, "failed", until=since)) == [early]
    assert len(await selected(world, chosen(world, "failed", since=begin))) == 2


async def test_a_selection_by_domain_does_not_mean_its_neighbours(world: World) -> None:
    identity = await accepted(world, "a@example.org")
    await accepted(world, "a@sub.example.org")
    await accepted(world, "a@notexample.org")
    await accepted(world, "a_example.org@x.org")
    assert await selected(world, chosen(world, "queued", to_domain="example.org")) == [identity]


async def test_a_selection_by_project_leaves_the_others_out(world: World) -> None:
    await accepted(world)
    item = world.acceptance()
    await world.accept(replace(item, notification=replace(item.notification, project="shop")))
    found = await selected(world, chosen(world, "queued", project="shop"))
    assert found == [item.messages[0].id]


async def test_a_walk_through_a_selection_meets_everyone_once(world: World) -> None:
    ids = {await ended(world, Step.SET_ASIDE)} | {await accepted(world) for _ in range(5)}
    selection = chosen(world, "queued", "held")
    walked: list[str] = []
    while batch := await world.store.read(
        ids_selected, selection, after=walked[-1] if walked else "", most=2
    ):
        walked += batch
    assert sorted(ids) == walked


async def test_an_erased_body_stays_erased(world: World) -> None:
    identity = await ended(world)
    with world.store.database.engine.begin() as connection:
        connection.execute(update(content).values(body=None))
    assert await retry(world, identity) is Decided.BYTES_ERASED
