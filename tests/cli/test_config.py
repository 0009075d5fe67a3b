"""`notifier config`."""

import json
from pathlib import Path

import pytest

from notifier.settings.example import env_example
from tests.cli.conftest import Run
from tests.settings.loading import ENOUGH, KEY


def test_show_names_value_and_source(run: Run) -> None:
    outcome = run("config", "show", NOTIFIER_HTTP__PORT="9000")
    lines = {tuple(line.split(maxsplit=1)) for line in outcome.out.splitlines()}
    assert ("NOTIFIER_HTTP__PORT=9000", "environment") in lines
    assert ("NOTIFIER_MAILBOX__EPHEMERAL=false", "default") in lines
    assert (outcome.code, outcome.err) == (0, "")


def test_show_is_json_if_that_is_asked_for(run: Run) -> None:
    rows = json.loads(run("config", "show", "--json", NOTIFIER_HTTP__PORT="9000").out)
    assert {"name": "NOTIFIER_HTTP__PORT", "value": 9000, "source": "environment"} in rows
    assert {"name": "NOTIFIER_PUBLIC_URL", "value": None, "source": "default"} in rows


@pytest.mark.parametrize("option", [[], ["--json"]])
def test_show_masks_secrets(run: Run, option: list[str]) -> None:
    relay = {"NOTIFIER_RELAYS__MAIN__URL": "smtps://me:hunter2@smtp.example.org"}
    outcome = run("config", "show", *option, **{**ENOUGH, **relay})
    assert "***@smtp.example.org" in outcome.out
    assert "hunter2" not in outcome.out
    assert KEY not in outcome.out


def test_show_reads_dotenv_in_dev(run: Run, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("NOTIFIER_BRAND__NAME=Shop\n")
    assert "NOTIFIER_BRAND__NAME=Shop" in run("config", "show", "--dev").out
    beside = run("config", "show")
    assert "NOTIFIER_BRAND__NAME=Notifier" in beside.out
    assert beside.err == "Warning: The file .env was not read: only dev reads it.\n"


def test_show_cannot_show_what_it_does_not_understand(run: Run) -> None:
    outcome = run("config", "show", NOTIFIER_HTTP__PORT="x")
    assert (outcome.code, outcome.out) == (2, "")
    assert "  - NOTIFIER_HTTP__PORT should be a valid integer" in outcome.err


def test_check_is_content_with_what_is_enough(run: Run) -> None:
    outcome = run("config", "check", **ENOUGH)
    assert (outcome.code, outcome.out, outcome.err) == (0, "", "The settings fit.\n")


def test_check_says_what_would_keep_it_from_starting(run: Run) -> None:
    outcome = run("config", "check")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith("Notifier would not start:\n  - NOTIFIER_PUBLIC_URL is missing")


def test_check_says_what_is_seldom_meant(run: Run) -> None:
    outcome = run("config", "check", **{**ENOUGH, "NOTIFIER_RELAYS__MAIN__URL": ""})
    assert outcome.code == 0
    assert outcome.err.startswith("Warning: No relay is configured")


def test_check_is_json_if_that_is_asked_for(run: Run) -> None:
    good = run("config", "check", "--json", **ENOUGH)
    assert (good.code, json.loads(good.out)) == (0, {"ok": True, "problems": [], "warnings": []})
    bad = run("config", "check", "--json", **ENOUGH, NOTIFIER_X="1")
    assert (bad.code, bad.err) == (2, "")
    assert len(json.loads(bad.out)["problems"]) == 1


def test_dev_needs_nothing_to_be_content(run: Run) -> None:
    assert run("config", "check", "--dev").code == 0


def test_example_is_the_file_in_the_repository(run: Run) -> None:
    assert run("config", "example").out == env_example()
