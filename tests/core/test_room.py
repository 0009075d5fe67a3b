"""Room: seats kept for what is urgent, and bytes."""

import pytest

from notifier.core.room import Capacity, Room, Weight

PLAIN, URGENT = Weight(size_bytes=10), Weight(urgent=True, size_bytes=10)


@pytest.mark.parametrize(
    ("seats", "urgent", "plain"),
    [
        (50, 5, 45),
        (20, 5, 15),
        (8, 5, 6),
        (4, 5, 3),
        (3, 5, 3),
        (1, 5, 1),
        (50, 0, 50),
        (50, 99, 38),
    ],
)
def test_at_most_a_quarter_of_the_seats_is_kept(seats: int, urgent: int, plain: int) -> None:
    assert Capacity(seats, urgent, 1000).plain_seats == plain


@pytest.mark.parametrize(
    ("under_way", "seats", "plain"),
    [
        ([], 10, 8),
        ([PLAIN] * 8, 2, 0),
        ([URGENT] * 2, 8, 8),
        ([URGENT] * 5, 5, 5),
        ([PLAIN] * 5 + [URGENT] * 5, 0, 0),
        ([PLAIN] * 7 + [URGENT], 2, 1),
    ],
)
def test_plain_jobs_never_take_the_last_seats(
    under_way: list[Weight], seats: int, plain: int
) -> None:
    room = Capacity(10, 2, 1000).beside(under_way)
    assert (room.seats, room.plain) == (seats, plain)


def test_bytes_under_way_take_room() -> None:
    capacity = Capacity(10, 2, 25)
    assert capacity.beside([PLAIN]).size_bytes == 15
    assert capacity.beside([PLAIN] * 3).size_bytes == 0


def test_who_is_alone_is_told() -> None:
    capacity = Capacity(10, 2, 25)
    assert capacity.beside([]) == Room(10, 8, 25, alone=True, urgent_alone=True)
    assert not capacity.beside([PLAIN]).alone
    assert capacity.beside([PLAIN]).urgent_alone
    assert not capacity.beside([URGENT]).urgent_alone


def test_a_limit_counts_for_plain_seats_too() -> None:
    assert Room(10, 8, 25).limited(3) == Room(3, 3, 25)
    assert Room(10, 0, 25).limited(3).plain == 0
    assert Room(10, 8, 25).limited(None) == Room(10, 8, 25).limited(99) == Room(10, 8, 25)
    assert Room(10, 8, 25).limited(-1).seats == 0


def test_a_bound_for_plain_work_leaves_urgent_work_its_seats() -> None:
    assert Room(10, 8, 25).with_plain(3) == Room(10, 3, 25)
    assert Room(10, 8, 25).with_plain(99) == Room(10, 8, 25)
    assert Room(10, 8, 25).with_plain(-1) == Room(10, 0, 25)
