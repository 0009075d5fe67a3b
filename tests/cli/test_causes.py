"""Why mail waits: a sentence for each cause, with who must act and how."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from notifier.cli.causes import causes
from notifier.core.message import Lane
from notifier.flows.operator import Overview
from notifier.store.backlog import Ended, Waiting
from notifier.store.workers import RelaySeen, Worker

NOW = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)
EARLIER = NOW - timedelta(hours=2)
UP = RelaySeen("main", "up", None, EARLIER, routes=("live",))


def down(reason: str, **more: object) -> RelaySeen:
    relay = RelaySeen("main", "paused", reason, EARLIER, routes=("live",))
    return replace(relay, **more)  # type: ignore[arg-type] # fields by name


def worker(*relays: RelaySeen, seen_ago_s: float = 3, busy: int = 0, pid: int = 7) -> Worker:
    seen = NOW - timedelta(seconds=seen_ago_s)
    return Worker("own_1", "vm", pid, "serve", "1", EARLIER, seen, 50, busy, relays)


def waiting(mails: int, for_s: float = 1) -> Waiting:
    due = NOW - timedelta(seconds=for_s)
    return Waiting("live", Lane.TRANSACTIONAL, queued=mails, oldest_due_at=due)


def why(workers: Sequence[Worker], *lanes: Waiting, held: int = 0) -> str:
    ended = Ended(EARLIER, {}, {})
    return " ".join(causes(Overview(NOW, lanes, held, ended, workers, ())))


def test_nothing_is_said_where_all_goes_well() -> None:
    assert why([worker(UP)], waiting(3)) == ""


def test_a_paused_relay_is_blamed_with_both_ways_out() -> None:
    said = why([worker(down("auth: 535 5.7.8 no"))], waiting(4210))
    assert said == (
        "4,210 mails wait: relay main is paused since 07:30:00 because it refuses the password"
        " (535 5.7.8 no); fix NOTIFIER_RELAYS__MAIN__PASSWORD (and __USERNAME) and start again,"
        " or have it mended there and then `notifier relays resume main`."
    )


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("starttls: starttls_not_offered (no)", "it offers no encryption"),
        ("connect: certificate (expired)", "NOTIFIER_RELAYS__MAIN__CA_FILE"),
        ("mail: 550 not you", "NOTIFIER_MAIL__RETURN_PATH"),
        ("ehlo: 554 go away", "it refuses us (554 go away)"),
        ("something else", "it refuses us (something else)"),
    ],
)
def test_each_refusal_has_its_own_way_out(reason: str, said: str) -> None:
    assert said in why([worker(down(reason))], waiting(1))


def test_a_resting_relay_needs_nobody() -> None:
    probe = NOW + timedelta(seconds=30)
    relay = down("connect: refused (no)", state="resting", next_probe_at=probe)
    said = why([worker(relay)], waiting(1))
    assert "1 mail waits: relay main rests since 07:30:00" in said
    assert "tried again at 09:30:30, and nobody has to act unless it stays so" in said
    late = replace(relay, next_probe_at=NOW - timedelta(seconds=1))
    assert "tried again soon, and nobody" in why([worker(late)], waiting(1))


def test_an_operators_pause_says_so_and_how_it_ends() -> None:
    said = why([worker(down("moving", by_operator=True))], waiting(1))
    assert "by an operator (moving); `notifier relays resume main` lets it go on" in said


def test_a_paused_relay_that_another_makes_up_for_is_told_of_without_blame() -> None:
    second = replace(UP, name="second")
    said = why([worker(down("auth: 535"), second)], waiting(9))
    assert said.startswith("Relay main is paused")
    assert "wait" not in said


def test_a_relay_that_one_process_can_reach_does_not_stop_mail() -> None:
    said = why([worker(down("auth: 535")), worker(UP, pid=8)], waiting(9))
    assert "mails wait" not in said
    assert said.startswith("Relay main is paused")


def test_nobody_who_delivers_is_said_first_and_names_the_last_one() -> None:
    assert why([], waiting(2)).startswith("2 mails wait, and no process delivers. Start")
    said = why([worker(UP, seen_ago_s=61)], waiting(2))
    assert "serve 7 on vm was not seen since 2026-01-31 09:28:59 UTC" in said
    assert "Start `notifier serve` or `notifier worker`." in said
    assert why([]).startswith("No process delivers")


def test_live_mail_without_a_relay_names_the_setting() -> None:
    capture = RelaySeen("capture", "up", None, EARLIER, routes=("test",))
    assert "Set NOTIFIER_RELAYS__MAIN__URL" in why([worker(capture)], waiting(1))


def test_busy_seats_are_told_from_a_limit_of_the_relay() -> None:
    assert "All 50 seats are busy" in why([worker(UP, busy=50)], waiting(1, for_s=90))
    said = why([worker(UP, busy=10)], waiting(1, for_s=90))
    assert "the oldest for 90 s, while 40 seats of 50 are free" in said
    assert why([worker(UP, busy=50)], waiting(1, for_s=59)) == ""


def test_held_mail_calls_for_the_operator_with_both_commands() -> None:
    said = why([worker(UP)], held=3)
    assert "3 mails are held" in said
    assert "`notifier retry --status held`" in said
    assert "`notifier cancel --status held`" in said
