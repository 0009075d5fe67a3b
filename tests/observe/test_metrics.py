"""Metrics: what each fact moves, and that the text is what Prometheus reads."""

import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from notifier.core.verdict import Action
from notifier.observe import door_facts, facts, series
from notifier.observe.exposition import Page, page
from notifier.observe.facts import Fact, MessageAlarmed, MessageStepped
from notifier.observe.metrics import Metrics
from notifier.observe.numbers import Histogram
from notifier.observe.series import Series

AT_S = 1_900_000_000
MSG = f"msg_{(AT_S * 1000) << 80:032x}"
OPEN = "application/openmetrics-text;version=1.0.0"
Samples = Mapping[str, float]


read_openmetrics: Callable[[str], Iterable[Metric]] = openmetrics.text_string_to_metric_families


def metrics(*told: Fact, after_s: float = 2.0) -> Metrics:
    found = Metrics(["main"], clock=lambda: AT_S + after_s)
    for fact in told:
        found.observe(fact)
    return found


def parsed(text: str) -> dict[str, float]:
    """Every number by its name with labels, as Prometheus' own parser reads the text."""
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f"{name}={sample.labels[name]}" for name in sorted(sample.labels))
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


def samples(found: Page) -> dict[str, float]:
    return parsed(found.body.decode())


def moved(*told: Fact, **more: Any) -> dict[str, float]:
    """The numbers that differ from those of a process to which nothing happened."""
    before, after = (
        samples(page(metrics().read(), {}, "")),
        samples(page(metrics(*told, **more).read(), {}, "")),
    )
    return {
        name: value
        for name, value in after.items()
        if before.get(name, 0) != value and not name.startswith("process_")
    }


def step(kind: type[MessageStepped] = MessageStepped, **changes: Any) -> MessageStepped:
    given: dict[str, Any] = {
        "message_id": MSG,
        "project": "default",
        "recipient": "a***@example.org",
        "status": "sent",
        "reason": "accepted",
        "attempt": 1,
        "relay": "main",
        "ms": 30.0,
        "stream": "urgent",
        "verdict": "sent",
    }
    return kind(**{**given, **changes})


def without_buckets(found: Samples) -> dict[str, float]:
    return {name: value for name, value in found.items() if "_bucket{" not in name}


def test_a_mail_that_was_sent_counts_as_message_attempt_and_delivery() -> None:
    assert without_buckets(moved(step())) == {
        "notifier_messages_total{status=sent}": 1,
        "notifier_attempts_total{relay=main,verdict=sent}": 1,
        "notifier_attempt_seconds_count{relay=main}": 1,
        "notifier_attempt_seconds_sum{relay=main}": 0.03,
        "notifier_delivery_seconds_count{stream=urgent}": 1,
        "notifier_delivery_seconds_sum{stream=urgent}": 2,
    }


def test_a_scheduled_mail_s_delivery_begins_at_its_time() -> None:
    wanted = datetime.fromtimestamp(AT_S + 3600, UTC)
    found = moved(step(wanted_at=wanted), after_s=3600.5)
    assert found["notifier_delivery_seconds_sum{stream=urgent}"] == 0.5


def test_a_clock_that_is_behind_takes_nothing_off() -> None:
    found = moved(step(), after_s=-5)
    assert found["notifier_delivery_seconds_count{stream=urgent}"] == 1
    assert "notifier_delivery_seconds_sum{stream=urgent}" not in found


FACTS: list[tuple[Fact, Samples]] = [
    (
        facts.NotificationAccepted("ntf_1", "default", "bulk", 3),
        {"notifier_accepted_total{stream=bulk}": 3},
    ),
    (facts.ClaimLost(MSG, 2), {"notifier_ambiguous_total{cause=claim_without_outcome}": 2}),
    (facts.LeaseLost(MSG), {"notifier_leases_lost_total": 1}),
    (
        facts.ContentUnreadable(MSG, "x"),
        {
            "notifier_unreadable_total": 1,
            "notifier_errors_total{event=message.unreadable}": 1,
        },
    ),
    (door_facts.MailCaptured("cap_1", 1, 10), {"notifier_mailbox_captured_total": 1}),
    (door_facts.CaptureRefused("size", "x"), {"notifier_mailbox_refused_total": 1}),
    (door_facts.MailboxPruned(4), {"notifier_mailbox_pruned_total": 4}),
    (facts.Forgotten("bytes", 7), {"notifier_retention_forgotten_total{rule=bytes}": 7}),
    (
        facts.RegistrationChanged("reg_1", "default", "confirmed"),
        {"notifier_registrations_total{step=confirmed}": 1},
    ),
    (facts.RelayUp("main", 3.0), {"notifier_relay_changes_total{relay=main,state=up}": 1}),
    (
        facts.RelayResting("main", "x"),
        {"notifier_relay_changes_total{relay=main,state=resting}": 1},
    ),
    (
        facts.RelayPaused("main", "x"),
        {
            "notifier_relay_changes_total{relay=main,state=paused}": 1,
            "notifier_errors_total{event=relay.paused}": 1,
        },
    ),
    (
        facts.StoreAway("store_away"),
        {"notifier_store_away_total": 1, "notifier_errors_total{event=store.away}": 1},
    ),
    (
        facts.WorkAbandoned("Claimed", "KeyError", ""),
        {"notifier_work_abandoned_total": 1, "notifier_errors_total{event=work.abandoned}": 1},
    ),
    (
        door_facts.RequestCrashed("GET", "/x", "KeyError", ""),
        {"notifier_http_crashes_total": 1, "notifier_errors_total{event=http.crashed}": 1},
    ),
    (door_facts.ProbeServed("GET", "/readyz", 200, 1.0, None, None, None), {}),
    (door_facts.ListenerStarted("ops", "127.0.0.1", 9000), {}),
]


@pytest.mark.parametrize(("fact", "expected"), FACTS, ids=lambda value: type(value).__name__)
def test_each_fact_moves_its_numbers_and_no_others(fact: Fact, expected: Samples) -> None:
    assert moved(fact) == expected


def test_a_deferral_is_a_step_and_an_attempt_and_no_delivery() -> None:
    found = moved(step(status="deferred", reason="greylisted", verdict="retry"))
    assert found["notifier_messages_total{status=deferred}"] == 1
    assert found["notifier_attempts_total{relay=main,verdict=retry}"] == 1
    assert not [name for name in found if name.startswith("notifier_delivery")]


def test_an_ending_without_a_try_is_no_attempt() -> None:
    ended = step(status="expired", reason="life_ended", relay=None, ms=None, verdict=None)
    assert moved(ended) == {"notifier_messages_total{status=expired}": 1}


def test_what_nobody_can_know_is_counted_by_its_cause() -> None:
    found = moved(step(status="deferred", verdict="ambiguous", reason="dot_dropped"))
    assert found["notifier_ambiguous_total{cause=dot_dropped}"] == 1


def test_a_refusal_by_policy_is_an_error_an_alert_and_a_step() -> None:
    found = moved(step(MessageAlarmed, status="rejected", reason="policy", verdict="rejected"))
    assert found["notifier_alerts_total{reason=policy}"] == 1
    assert found["notifier_errors_total{event=message.alarmed}"] == 1
    assert found["notifier_messages_total{status=rejected}"] == 1
    assert found["notifier_attempts_total{relay=main,verdict=rejected}"] == 1


def test_a_request_is_known_by_its_route_s_template_and_status() -> None:
    served = door_facts.RequestServed(
        "POST", "/v1/notifications", 202, 4.0, "default", "key_1", None
    )
    found = moved(served)
    labels = "route=/v1/notifications,status=202"
    assert found[f"notifier_http_request_seconds_sum{{{labels}}}"] == 0.004
    bucket = "notifier_http_request_seconds_bucket{le=%s," + labels + "}"
    assert (bucket % "0.0025" in found, found[bucket % "0.005"]) == (False, 1)


def test_a_relay_that_was_passed_over_had_its_attempt() -> None:
    passed = facts.RelayPassedOver("main", "relay_down", "refused", 40.0)
    assert without_buckets(moved(passed)) == {
        "notifier_attempts_total{relay=main,verdict=relay_down}": 1,
        "notifier_attempt_seconds_count{relay=main}": 1,
        "notifier_attempt_seconds_sum{relay=main}": 0.04,
    }


def test_a_group_commit_counts_its_writes_and_its_time() -> None:
    assert without_buckets(moved(facts.GroupCommitted(12, 8.0))) == {
        "notifier_store_writes_total": 12,
        "notifier_store_commit_seconds_count": 1,
        "notifier_store_commit_seconds_sum": 0.008,
    }


def test_a_value_on_a_bound_belongs_to_its_bucket() -> None:
    histogram = Histogram((1.0, 2.0))
    for value in (0.5, 1.0, 2.0, 9.0):
        histogram.add((), value)
    assert histogram.read()[()].cumulated == (2, 3, 4)


def test_a_reading_stands_still_while_counting_goes_on() -> None:
    found = metrics(step())
    read = found.read()
    found.observe(step())
    assert read.counters[series.MESSAGES][("sent",)] == 1


def test_what_can_be_foreseen_is_shown_before_it_happens() -> None:
    shown = samples(page(metrics().read(), {}, ""))
    for action in Action:
        assert shown[f"notifier_attempts_total{{relay=main,verdict={action}}}"] == 0
    assert shown["notifier_messages_total{status=bounced}"] == 0
    assert shown["notifier_accepted_total{stream=bulk}"] == 0


def all_readings() -> dict[Series, dict[tuple[str, ...], float]]:
    return {one: {("x",) * len(one.labels): 1.0} for one in series.READ}


def test_openmetrics_is_answered_to_those_who_ask_for_it() -> None:
    found = page(metrics(step()).read(), all_readings(), OPEN)
    assert found.content_type.startswith("application/openmetrics-text; version=1.0.0")
    names = {family.name for family in read_openmetrics(found.body.decode())}
    assert {"notifier_messages", "notifier_queue_depth", "process_open_fds"} <= names


def test_every_series_is_written_with_its_help() -> None:
    found = page(metrics(step()).read(), all_readings(), "").body.decode()
    families = {family.name: family for family in text_string_to_metric_families(found)}
    for one in (*series.COUNTED, *series.READ):
        family = families[one.name.removesuffix("_total")]
        assert (family.type, family.documentation) == (one.kind, one.help)


EVERY = [*series.COUNTED, *series.READ]


@pytest.mark.parametrize("one", EVERY, ids=lambda one: one.name)
def test_names_and_help_are_as_promtool_wants_them(one: Series) -> None:
    assert re.fullmatch(r"notifier_[a-z]+(_[a-z]+)*", one.name)
    assert one.name.endswith("_total") == (one.kind == "counter")
    assert not re.search(r"_(count|sum|bucket)$|_(ms|milliseconds|minutes|kb|mib)(_|$)", one.name)
    assert one.help.endswith(".")
    if one.kind == "histogram":
        assert one.name.endswith("_seconds")
        assert [*one.buckets] == sorted(set(one.buckets))


def test_the_handbook_has_every_metric_with_its_labels() -> None:
    handbook = (Path(__file__).parents[2] / "docs" / "operations.md").read_text("utf-8")
    for one in EVERY:
        labels = ", ".join(f"`{label}`" for label in one.labels)
        assert f"| `{one.name}` | {one.kind} | {labels} | {one.help[:-1]} |" in handbook


def test_no_label_can_name_a_mail_or_a_person() -> None:
    labels = {label for one in EVERY for label in one.labels}
    assert labels <= {
        "cause", "engine", "event", "lane", "python", "reason", "relay", "role", "route", "rule",
        "state", "status", "step", "stream", "verdict", "version",
    }  # fmt: skip
    assert len({one.name for one in EVERY}) == len(EVERY)


ERRORS = [
    kind
    for kind in (vars(facts) | vars(door_facts)).values()
    if isinstance(kind, type) and issubclass(kind, Fact) and kind is not Fact
    if kind.level == "error"
]


@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.__name__)
def test_every_error_in_the_log_is_a_number_too(kind: type[Fact]) -> None:
    fact = kind(*("x",) * len(fields(kind)))
    if isinstance(fact, MessageStepped):
        fact = step(type(fact))
    assert moved(fact)[f"notifier_errors_total{{event={kind.event}}}"] == 1


def test_counting_does_not_load_the_library() -> None:
    code = (
        "import sys, notifier.observe.metrics as m, notifier.observe.exposition;"
        "m.Metrics(['main']); print([n for n in sys.modules if 'prometheus' in n])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
