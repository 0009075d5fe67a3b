"""`notifier keys`, on a real SQLite file."""

import json
from datetime import datetime, timedelta

import pytest

from notifier.core.api_key import route_of
from tests.cli.conftest import Run
from tests.support.postgres import fresh_database


def test_the_key_alone_is_data(run: Run) -> None:
    outcome = run("keys", "create", "shop")
    assert outcome.code == 0
    assert route_of(outcome.out.strip()) == "live"
    assert "has the scopes read, registrations, send, templates" in outcome.err


def test_a_key_is_made_as_it_was_asked_for(run: Run) -> None:
    outcome = run(
        "keys", "create", "ci", "--test", "--project", "lab", "--scope", "send", "--scope", "read",
        "--from-domain", "EXAMPLE.org", "--expires-in", "90d", "--json",
    )  # fmt: skip
    made = json.loads(outcome.out)
    assert route_of(made["key"]) == made["route"] == "test"
    assert (made["project"], made["scopes"]) == ("lab", ["read", "send"])
    assert made["from_domains"] == ["example.org"]
    created, expires = map(datetime.fromisoformat, (made["created_at"], made["expires_at"]))
    assert abs(expires - created - timedelta(days=90)) < timedelta(seconds=10)


def test_a_list_names_no_secret(run: Run) -> None:
    key = run("keys", "create", "shop").out.strip()
    outcome = run("keys", "list")
    name, identity, project, prefix, state, scopes = outcome.out.split()
    assert (name, project, state) == ("shop", "default", "live")
    assert identity.startswith("key_")
    assert key.startswith(prefix.removesuffix("…"))
    assert scopes == "read,registrations,send,templates"
    assert key not in outcome.out


def test_a_list_is_json_if_that_is_asked_for(run: Run) -> None:
    assert json.loads(run("keys", "list", "--json").out) == []
    run("keys", "create", "a", "--project", "one")
    run("keys", "create", "b", "--project", "two")
    listed = json.loads(run("keys", "list", "--json", "--project", "two").out)
    assert [key["name"] for key in listed] == ["b"]


def test_no_keys_are_no_data(run: Run) -> None:
    outcome = run("keys", "list")
    assert (outcome.code, outcome.out) == (0, "")
    assert "There are no keys" in outcome.err


def test_a_revoked_key_stays_in_the_list(run: Run) -> None:
    run("keys", "create", "shop")
    assert "is revoked" in run("keys", "revoke", "shop").err
    (listed,) = json.loads(run("keys", "list", "--json").out)
    assert listed["revoked_at"] is not None
    assert " revoked " in run("keys", "list").out


def test_a_key_can_be_revoked_by_its_id(run: Run) -> None:
    made = json.loads(run("keys", "create", "shop", "--json").out)
    revoked = json.loads(run("keys", "revoke", made["id"], "--json").out)
    assert revoked["revoked_at"] is not None


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("create", "shop"), 1, "there is a key named shop already"),
        (("revoke", "other"), 1, "there is no key other"),
        (("create", "x", "--scope", "root"), 2, "there are admin, read"),
        (("create", "x", "--expires-in", "soon"), 2, "as in 90d"),
        (("create", "x", "--expires-in", "999999w"), 2, "too long"),
        (("create", "x", "--from-domain", "not a domain"), 2, "Mend the part after the @"),
        (("create", ""), 2, "a name has 1 to 64"),
        (("create", "x" * 65), 2, "a name has 1 to 64"),
        (("create", "a\nb"), 2, "a name has 1 to 64"),
        (("create", "x", "--project", ""), 2, "a project has 1 to 64"),
    ],
)
def test_what_cannot_be_done_is_said(
    words: tuple[str, ...], code: int, said: str, run: Run
) -> None:
    run("keys", "create", "shop")
    outcome = run("keys", *words)
    assert (outcome.code, outcome.out) == (code, "")
    assert said in outcome.err
    assert len(json.loads(run("keys", "list", "--json").out)) == 1


def test_a_key_for_the_settings_is_not_stored(run: Run) -> None:
    key = run("keys", "create", "shop", "--print-only").out.strip()
    assert json.loads(run("keys", "list", "--json").out) == []
    assert run("config", "check", "--dev", NOTIFIER_KEYS__SHOP__SECRET=key).code == 0


def test_on_postgresql_keys_wait_for_nobody(run: Run, postgres_url: str) -> None:
    with fresh_database(postgres_url) as url:
        behind = run("keys", "list", NOTIFIER_DATABASE__URL=url)
        assert run("migrate", NOTIFIER_DATABASE__URL=url).code == 0
        assert run("keys", "create", "shop", NOTIFIER_DATABASE__URL=url).code == 0
    assert behind.code == 2
    assert "run `notifier migrate`" in behind.err


def test_a_database_that_is_away_is_a_sentence(run: Run) -> None:
    away = "postgresql://me:hunter2@127.0.0.1:1/x"
    outcome = run("keys", "list", NOTIFIER_DATABASE__URL=away)
    assert outcome.code == 2
    assert outcome.err.startswith("notifier: the database at 127.0.0.1/x cannot be used")
    assert "hunter2" not in outcome.err


def test_migrate_says_what_it_did(run: Run) -> None:
    first = json.loads(run("migrate", "--json").out)
    assert first["before"] is None
    assert json.loads(run("migrate", "--json").out) == {**first, "before": first["after"]}
    again = run("migrate")
    assert (again.code, again.out) == (0, "")
    assert again.err == f"The schema is at revision {first['after']}; nothing was to be done.\n"
