"""The queue on both databases: accept, claim, fence, record."""

import asyncio
from datetime import timedelta

import pytest

from notifier.core.message import Lane, Step
from notifier.store.acceptance import OnceKey
from notifier.store.events import StoryPart, story
from notifier.store.outbox import FREE, RELEASE, RENEW, Release, Renewal, Renewed
from notifier.store.schema import content, message
from notifier.store.turns import next_due
from tests.store.world import World

pytestmark = pytest.mark.anyio


async def test_an_accepted_message_is_claimed_with_its_bytes_and_envelope(world: World) -> None:
    await world.accept(world.acceptance("b@example.org", body=b"A: b\r\n\r\nbytes"))
    (claimed,) = await world.claim()
    assert claimed.body == b"A: b\r\n\r\nbytes"
    assert claimed.envelope.rcpt_to == "b@example.org"


async def test_a_second_claim_finds_nothing_while_the_lease_runs(world: World) -> None:
    await world.accept(world.acceptance())
    await world.claim("one")
    assert await world.claim("two") == ()


async def test_a_claimed_message_reads_sending_and_a_scheduled_one_scheduled(world: World) -> None:
    claimed, scheduled = world.acceptance(), world.acceptance(due_in_s=60)
    await world.accept(claimed)
    await world.claim()
    await world.accept(scheduled)
    assert await world.status(claimed.notification.id) == "sending"
    assert await world.status(scheduled.notification.id) == "scheduled"


async def test_four_workers_claim_a_thousand_rows_each_once(world: World) -> None:
    await asyncio.gather(*(world.accept(world.acceptance()) for _ in range(1000)))
    seen: list[str] = []

    async def work(owner: str) -> None:
        while claimed := await world.claim(owner, seats=17):
            seen.extend(one.claim.id for one in claimed)

    await asyncio.gather(*(work(f"own{n}") for n in range(4)))
    assert len(seen) == len(set(seen)) == 1000


async def test_urgent_messages_are_claimed_before_older_bulk(world: World) -> None:
    for lane in (Lane.BULK, Lane.TRANSACTIONAL, Lane.URGENT):
        await world.accept(world.acceptance(lane=lane))
    lanes = [one.lane for one in await world.claim(seats=2)]
    assert lanes == [Lane.URGENT, Lane.TRANSACTIONAL]


async def test_a_lapsed_lease_is_claimed_again_and_says_its_predecessor_left_no_outcome(
    world: World,
) -> None:
    await world.accept(world.acceptance())
    (first,) = await world.claim("one")
    world.now += timedelta(seconds=31)
    (second,) = await world.claim("two")
    assert (first.orphaned, second.orphaned) == (0, 1)
    assert second.claim.claims == first.claim.claims + 1


async def test_a_holder_whose_lease_went_to_another_cannot_record(world: World) -> None:
    item = world.acceptance()
    await world.accept(item)
    (late,) = await world.claim("one")
    world.now += timedelta(seconds=31)
    await world.claim("two")
    assert await world.record(late, Step.DELIVERED) is False
    assert await world.status(item.notification.id) == "sending"


async def test_an_outcome_that_lost_its_fence_still_stands_in_the_story(world: World) -> None:
    item = world.acceptance()
    await world.accept(item)
    (late,) = await world.claim("one")
    world.now += timedelta(seconds=31)
    await world.claim("two")
    await world.record(late, Step.DELIVERED)
    told = await world.store.read(story, StoryPart("default", item.notification.id))
    assert [event.type for event in told] == ["notification.accepted", "message.attempted"]


async def test_recording_twice_changes_nothing_the_second_time(world: World) -> None:
    await world.accept(world.acceptance())
    (claimed,) = await world.claim()
    assert await world.record(claimed, Step.DELIVERED) is True
    assert await world.record(claimed, Step.CONTENT_REFUSED) is False


async def test_a_deferred_message_waits_for_its_time_and_counts_its_attempt(world: World) -> None:
    item = world.acceptance()
    await world.accept(item)
    (claimed,) = await world.claim()
    await world.record(claimed, None, due_in_s=60, attempt=1)
    assert await world.claim() == ()
    assert await world.status(item.notification.id) == "deferred"
    world.now += timedelta(seconds=60)
    (again,) = await world.claim()
    assert (again.attempt, again.orphaned) == (1, 0)


@pytest.mark.parametrize(
    ("step", "status"),
    [
        (Step.DELIVERED, "sent"),
        (Step.CAPTURED, "captured"),
        (Step.RECIPIENT_REFUSED, "bounced"),
        (Step.CONTENT_REFUSED, "rejected"),
        (Step.ATTEMPTS_USED_UP, "failed"),
        (Step.LIFE_ENDED, "expired"),
        (Step.SET_ASIDE, "held"),
    ],
)
async def test_each_step_out_of_the_queue_has_its_status(
    world: World, step: Step, status: str
) -> None:
    item = world.acceptance()
    await world.accept(item)
    (claimed,) = await world.claim()
    await world.record(claimed, step)
    assert await world.status(item.notification.id) == status
    assert await world.store.read(next_due, "live") is None


async def test_sealed_bytes_are_erased_with_the_last_final_state(world: World) -> None:
    item = world.acceptance("a@example.org", "b@example.org", sealed=True)
    await world.accept(item)
    first, second = await world.claim()
    await world.record(first, Step.DELIVERED)
    assert not await world.erased(item.contents[0].id)
    await world.record(second, Step.DELIVERED)
    assert await world.erased(item.contents[0].id)


async def test_bytes_without_a_secret_stay_after_the_final_state(world: World) -> None:
    item = world.acceptance()
    await world.accept(item)
    (claimed,) = await world.claim()
    await world.record(claimed, Step.DELIVERED)
    assert not await world.erased(item.contents[0].id)


async def test_sealed_bytes_of_a_held_message_stay(world: World) -> None:
    item = world.acceptance(sealed=True)
    await world.accept(item)
    (claimed,) = await world.claim()
    await world.record(claimed, Step.SET_ASIDE)
    assert not await world.erased(item.contents[0].id)


async def test_a_renewed_lease_is_not_claimed_at_its_old_end(world: World) -> None:
    await world.accept(world.acceptance())
    (claimed,) = await world.claim("one")
    until = world.now + timedelta(seconds=60)
    ids = (claimed.claim.id, "msg_gone")
    renewed = await world.store.write(RENEW, Renewal("one", ids, until))
    assert renewed == Renewed(frozenset({claimed.claim.id}), frozenset({"msg_gone"}))
    world.now += timedelta(seconds=31)
    assert await world.claim("two") == ()


async def test_a_released_message_is_due_at_once_and_nothing_counts_against_it(
    world: World,
) -> None:
    await world.accept(world.acceptance())
    (claimed,) = await world.claim("one")
    assert await world.store.write(RELEASE, Release(claimed.claim, world.now))
    (again,) = await world.claim("two")
    assert (again.orphaned, again.attempt, again.claim.claims) == (0, 0, 2)


async def test_a_release_does_not_hide_what_came_before_it(world: World) -> None:
    await world.accept(world.acceptance())
    await world.claim("gone")
    world.now += timedelta(seconds=31)
    (claimed,) = await world.claim("one")
    await world.store.write(RELEASE, Release(claimed.claim, world.now))
    (again,) = await world.claim("two")
    assert again.orphaned == 1


async def test_a_counted_release_is_a_claim_without_outcome(world: World) -> None:
    await world.accept(world.acceptance())
    (claimed,) = await world.claim("one")
    await world.store.write(RELEASE, Release(claimed.claim, world.now, counted=True))
    (again,) = await world.claim("two")
    assert again.orphaned == 1


async def test_a_lost_lease_cannot_be_released(world: World) -> None:
    await world.accept(world.acceptance())
    (late,) = await world.claim("one")
    world.now += timedelta(seconds=31)
    await world.claim("two")
    assert not await world.store.write(RELEASE, Release(late.claim, world.now))
    assert await world.claim("three") == ()


async def test_leases_of_a_dead_owner_are_freed_and_counted_as_without_outcome(
    world: World,
) -> None:
    await world.accept(world.acceptance())
    await world.claim("gone")
    assert await world.store.write(FREE, ("gone", world.now)) == 1
    (again,) = await world.claim("new")
    assert again.orphaned == 1


async def test_fifty_parallel_posts_with_one_key_make_one_notification(world: World) -> None:
    items = [
        world.acceptance(once=OnceKey("create", "k", "print", f"answer {n}")) for n in range(50)
    ]
    results = await asyncio.gather(*(world.accept(item) for item in items))
    winners = [item for item, first in zip(items, results, strict=True) if first is None]
    assert len(winners) == 1
    assert {first.winner for first in results if first} == {winners[0].notification.id}
    assert await world.count(message.c.id) == await world.count(content.c.id) == 1


async def test_the_same_acceptance_written_twice_is_one(world: World) -> None:
    item = world.acceptance(once=OnceKey("create", "k", "print", "answer"))
    assert await world.accept(item) is None
    assert await world.accept(item) is None
    assert await world.count(message.c.id) == 1
