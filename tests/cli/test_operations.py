"""`status`, `why`, `retry`, `cancel` and `relays` where something has to be said instead."""

import json

import pytest

from tests.cli.conftest import Run

NOBODY = "msg_" + "0" * 32
STORED = [
    ("status",),
    ("why", "ann@example.org"),
    ("retry", "--status", "failed"),
    ("cancel", "--status", "queued"),
    ("relays", "list"),
    ("relays", "pause", "main"),
]


@pytest.mark.parametrize("words", STORED, ids=" ".join)
def test_without_a_store_it_says_so_and_makes_none(words: tuple[str, ...], run: Run) -> None:
    outcome = run(*words)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith("notifier: there is no store at .data/notifier.db")
    assert run("status").code == 2


@pytest.mark.parametrize("words", STORED, ids=" ".join)
def test_a_database_that_is_away_is_one_sentence(words: tuple[str, ...], run: Run) -> None:
    away = "postgresql://me:hunter2@127.0.0.1:1/x"
    outcome = run(*words, NOTIFIER_DATABASE__URL=away)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith("notifier: the database at 127.0.0.1/x cannot be used")
    assert "hunter2" not in outcome.err


def test_an_address_nobody_wrote_to_is_1_and_no_data(run: Run) -> None:
    run("migrate")
    outcome = run("why", "ann@example.org")
    assert (outcome.code, outcome.out) == (1, "")
    assert "nobody asked for one, or it ended more than 30 days ago" in outcome.err
    listed = run("why", "ann@example.org", "--json")
    assert (listed.code, json.loads(listed.out)) == (1, [])


def test_status_of_an_empty_house_says_that_nobody_delivers(run: Run) -> None:
    run("migrate")
    outcome = run("status")
    assert outcome.code == 0
    assert "No process delivers. Start `notifier serve` or `notifier worker`." in outcome.out
    seen = json.loads(run("status", "--json").out)
    assert set(seen) == {"at", "reasons", "waiting", "held", "relays", "workers", "ended"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("why", "ann at example"), "neither an address nor an id"),
        (("retry",), "give --status, or ids"),
        (("retry", "msg_1"), "32 hex digits"),
        (("retry", NOBODY, "--status", "failed"), "but not both"),
        (("cancel", NOBODY, "--since", "2h"), "but not both"),
        (("retry", "--status", "sent"), "'sent' cannot be; there are held, bounced"),
        (("cancel", "--status", "sending"), "there are scheduled, queued, deferred, held"),
        (("retry", "--status", "failed", "--since", "yesterday"), "as in 30m, 2h or 2d"),
        (("retry", "--status", "failed", "--until", "2026-01-31T09:30:00"), "with its offset"),
        (("retry", "--status", "failed", "--since", "999999w"), "as in 30m, 2h or 2d"),
        (("retry", "--status", "failed", "--to-domain", "x y"), "after the @"),
        (("relays", "pause", "other"), "there is no relay other; there are: main"),
        (("relays", "pause", "main", "--reason", "x" * 301), "at most 300 characters"),
    ],
)
def test_a_call_that_cannot_be_meant_is_2(words: tuple[str, ...], said: str, run: Run) -> None:
    run("migrate")
    outcome = run(*words, NOTIFIER_RELAYS__MAIN__URL="smtp://127.0.0.1:2525?tls=none")
    assert (outcome.code, outcome.out) == (2, "")
    assert said in outcome.err


def test_an_id_that_stands_for_nothing_is_1(run: Run) -> None:
    run("migrate")
    outcome = run("retry", NOBODY, "--yes", "--json")
    assert outcome.code == 1
    assert json.loads(outcome.out) == {"selected": 1, "done": 0, "left": {"not_found": 1}}


def test_no_mail_of_a_kind_is_no_failure(run: Run) -> None:
    run("migrate")
    outcome = run("cancel", "--status", "queued")
    assert (outcome.code, outcome.err) == (0, "There is no such mail.\n")


def test_a_dry_run_does_nothing(run: Run) -> None:
    run("migrate")
    outcome = run("retry", NOBODY, "--dry-run")
    assert outcome.code == 0
    assert outcome.err == "1 mail would be meant; nothing was done (--dry-run).\n"


def test_relays_are_listed_without_their_secrets(run: Run) -> None:
    run("migrate")
    url = "smtps://me:hunter2@smtp.example.org"
    outcome = run("relays", "list", "--json", NOTIFIER_RELAYS__MAIN__URL=url)
    (relay,) = json.loads(outcome.out)
    assert (relay["name"], relay["paused"], relay["seen"]) == ("main", False, [])
    assert "hunter2" not in outcome.out


def test_an_order_stands_before_any_process_does(run: Run) -> None:
    run("migrate")
    url = {"NOTIFIER_RELAYS__MAIN__URL": "smtp://127.0.0.1:2525?tls=none"}
    outcome = run("relays", "pause", "main", "--reason", "moving", **url)
    assert outcome.code == 0
    assert "No process delivers just now; the next one to start obeys." in outcome.err
    (relay,) = json.loads(run("relays", "list", "--json", **url).out)
    assert (relay["paused"], relay["reason"]) == (True, "moving")
    assert run("relays", "resume", "main", **url).code == 0
    (relay,) = json.loads(run("relays", "list", "--json", **url).out)
    assert (relay["paused"], relay["reason"]) == (False, None)
