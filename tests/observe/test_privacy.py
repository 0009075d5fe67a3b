"""No line of the log names a person, whoever wrote the text that is in it."""

import io
import json
import logging
import time
from dataclasses import fields
from typing import Any

import pytest

from notifier.observe import door_facts, facts
from notifier.observe.facts import Fact, masked_text
from notifier.observe.logs import configure
from notifier.settings.sections import LogSettings

ADDRESS = "zebrafink@example.org"

FACTS = [
    kind
    for kind in (vars(facts) | vars(door_facts)).values()
    if isinstance(kind, type) and issubclass(kind, Fact) and kind is not Fact
]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            "rcpt: 550 5.1.1 <ann@example.org>: unknown",
            "rcpt: 550 5.1.1 <a***@example.org>: unknown",
        ),
        ("{'rcpt_to': 'ann@example.org'}", "{'rcpt_to': 'a***@example.org'}"),
        ("to=ann@example.org, bob@x.org", "to=a***@example.org, b***@x.org"),
        ("MAIL FROM:<ann+tag@[192.0.2.1]>", "MAIL FROM:<a***@[192.0.2.1]>"),
        ("Key (rcpt_to)=(ann@example.org)", "Key (rcpt_to)=(a***@example.org)"),
        ("ünal@exämple.org", "ü***@exämple.org"),
        ("a***@example.org", "a***@example.org"),
        ("no address @ all", "no address @ all"),
        ("", ""),
    ],
)
def test_addresses_in_a_text_are_masked_and_nothing_else(text: str, shown: str) -> None:
    assert masked_text(text) == shown


def test_masking_a_long_word_takes_no_longer_by_the_letter() -> None:
    began = time.thread_time()
    masked_text("a" * 100_000 + " @")
    assert time.thread_time() - began < 2, "tried anew from every letter, it takes a minute"


def filled(kind: type[Fact]) -> Fact:
    """A fact that says an address wherever it can say anything."""
    given: dict[str, Any] = {
        field.name: f"550 <{ADDRESS}> {ADDRESS}" if "str" in str(field.type) else 1
        for field in fields(kind)
    }
    return kind(**given)


@pytest.mark.parametrize("format", ["json", "console"])
@pytest.mark.parametrize("kind", FACTS, ids=lambda kind: kind.__name__)
def test_no_fact_can_bring_an_address_into_the_log(kind: type[Fact], format: Any) -> None:
    stream = io.StringIO()
    configure(LogSettings(level="debug", format=format), stream)(filled(kind))
    assert stream.getvalue()
    assert "zebrafink" not in stream.getvalue()


def test_no_library_can_either() -> None:
    stream = io.StringIO()
    configure(LogSettings(), stream)
    try:
        raise ValueError(f"cannot send to {ADDRESS}")
    except ValueError:
        logging.getLogger("library").exception("lost %s", ADDRESS)
    line = json.loads(stream.getvalue())
    assert line["text"] == "lost z***@example.org"
    assert "z***@example.org" in line["traceback"]
    assert "zebrafink" not in stream.getvalue()


WORDS = {
    # Ids of ours, names of the settings, words of our own lists.
    "after", "before", "error", "host", "job", "key_id", "message_id", "method", "notification_id",
    "project", "purpose", "registration_id", "relay", "route", "rule", "status", "step", "stream",
    "trace_id", "verdict",
    # Masked by whoever emits the fact, and once more by the log.
    "recipient", "reason", "detail", "traceback",
}  # fmt: skip


@pytest.mark.parametrize("kind", FACTS, ids=lambda kind: kind.__name__)
def test_what_a_fact_can_say_is_known(kind: type[Fact]) -> None:
    """A field that is new here has to be thought about: no body, subject, token or address."""
    texts = {field.name for field in fields(kind) if "str" in str(field.type)}
    assert texts <= WORDS, "see the head of notifier/observe/facts.py, then add it to WORDS"
