"""Relays as the sender gets them."""

import pytest

from notifier.core.errors import Misconfigured
from notifier.settings.load import load
from notifier.settings.relay import RelayTarget
from notifier.settings.relay_url import relay_targets
from tests.settings.loading import ENOUGH, only_problem

ELSEWHERE = "smtps://smtp.example.org"


def targets(
    relays: dict[str, str], *, is_dev: bool = False, capture_port: int | None = None
) -> list[RelayTarget]:
    """Of settings that are enough, with these relays in place of their own."""
    others = {} if is_dev else {**ENOUGH, "NOTIFIER_RELAYS__MAIN__URL": ""}
    settings = load({**others, **relays}, is_dev=is_dev).settings
    return list(relay_targets(settings, capture_port=capture_port))


def test_relays_come_by_name() -> None:
    found = targets({f"NOTIFIER_RELAYS__{name}__URL": ELSEWHERE for name in ("B", "A", "A_2")})
    assert [target.name for target in found] == ["a", "a_2", "b"]
    assert not any(target.captures for target in found)


def test_a_target_has_its_own_limits() -> None:
    (target,) = targets(
        {"NOTIFIER_RELAYS__M__URL": ELSEWHERE, "NOTIFIER_RELAYS__M__CONNECTIONS": "3"}
    )
    assert (target.host, target.port, target.tls) == ("smtp.example.org", 465, "implicit")
    assert target.limits.connections == 3


def test_credentials_of_their_own_win_over_the_urls() -> None:
    (target,) = targets(
        {
            "NOTIFIER_RELAYS__M__URL": "smtps://one:first@smtp.example.org",
            "NOTIFIER_RELAYS__M__USERNAME": "two",
            "NOTIFIER_RELAYS__M__PASSWORD": "p@ss:w/ord#",
        }
    )
    assert (target.username, target.password) == ("two", "p@ss:w/ord#")


@pytest.mark.parametrize(
    ("url", "more", "missing"),
    [
        ("smtps://me@h.example", {}, "no password"),
        ("smtps://h.example", {"USERNAME": "me"}, "no password"),
        ("smtps://h.example", {"PASSWORD": "pw"}, "no user name"),
    ],
)
def test_half_of_the_credentials_are_refused(url: str, more: dict[str, str], missing: str) -> None:
    environ = {f"NOTIFIER_RELAYS__MAIN__{name}": value for name, value in more.items()}
    assert missing in only_problem({"NOTIFIER_RELAYS__MAIN__URL": url, **environ})


def test_an_unescaped_password_can_be_put_elsewhere() -> None:
    problem = only_problem({"NOTIFIER_RELAYS__MAIN__URL": "smtp://u:pa@ss@h.example"})
    assert problem.endswith(
        "set NOTIFIER_RELAYS__MAIN__PASSWORD or NOTIFIER_RELAYS__MAIN__PASSWORD_FILE."
    )


def test_smtp_url_is_a_relay_where_no_other_is_named() -> None:
    (target,) = targets({"SMTP_URL": "smtp://u:p@h.example"})
    assert (target.name, target.host, target.password) == ("main", "h.example", "p")


def test_smtp_url_is_left_alone_beside_others() -> None:
    found = targets({"SMTP_URL": "smtp://h.example", "NOTIFIER_RELAYS__A__URL": ELSEWHERE})
    assert [target.name for target in found] == ["a"]


def test_smtp_url_is_somebody_elses_in_dev() -> None:
    assert targets({"SMTP_URL": "nonsense"}, is_dev=True) == []


def test_a_broken_smtp_url_is_named() -> None:
    environ = {"NOTIFIER_RELAYS__MAIN__URL": "", "SMTP_URL": "smtp://u:pa@ss@h.example"}
    problem = only_problem(environ)
    assert problem.startswith("SMTP_URL is broken by an unescaped character")
    assert problem.endswith("%40 for @.")


def test_the_own_capture_server_comes_last() -> None:
    found = targets({"NOTIFIER_RELAYS__Z__URL": ELSEWHERE}, capture_port=1025)
    assert found[-1].captures
    assert found[-1].stands_in
    assert (found[-1].name, found[-1].host, found[-1].port) == ("capture", "127.0.0.1", 1025)
    assert (found[-1].tls, found[-1].username) == ("none", None)


@pytest.mark.parametrize(
    ("url", "port", "tls"),
    [("smtp://mailbox", 1025, "none"), ("smtp://mailbox:25?tls=required", 25, "required")],
)
def test_a_capture_server_elsewhere_needs_no_tls(url: str, port: int, tls: str) -> None:
    (target,) = targets({"NOTIFIER_CAPTURE_URL": url})
    assert (target.name, target.captures, target.stands_in) == ("capture", True, False)
    assert (target.host, target.port, target.tls) == ("mailbox", port, tls)


def test_the_own_capture_server_wins_over_another() -> None:
    (target,) = targets({"NOTIFIER_CAPTURE_URL": "smtp://mailbox"}, capture_port=9)
    assert target.host == "127.0.0.1"


@pytest.mark.parametrize("url", [ELSEWHERE, "smtp://127.0.0.1.example", "smtp://0.0.0.0"])
def test_in_dev_a_relay_elsewhere_is_refused(url: str) -> None:
    problem = only_problem({"NOTIFIER_RELAYS__MAIN__URL": url}, is_dev=True)
    assert "NOTIFIER_RELAYS__MAIN__URL is not on this machine" in problem
    assert "NOTIFIER_DEV__SEND_FOR_REAL=true" in problem


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "[::1]", "localhost", "LOCALHOST"])
def test_in_dev_a_relay_on_loopback_is_used(host: str) -> None:
    relay = {"NOTIFIER_RELAYS__MAIN__URL": f"smtp://{host}:1026?tls=none"}
    live, capture = targets(relay, is_dev=True, capture_port=1025)
    assert (live.captures, capture.captures) == (False, True)


def test_in_dev_a_relay_elsewhere_is_used_when_that_is_wanted() -> None:
    environ = {"NOTIFIER_RELAYS__MAIN__URL": ELSEWHERE, "NOTIFIER_DEV__SEND_FOR_REAL": "true"}
    assert targets(environ, is_dev=True)[0].host == "smtp.example.org"


def test_every_broken_relay_is_named() -> None:
    settings = load({}, is_dev=True).settings.model_validate(
        {"relays": {"a": {"url": "http://x"}, "b": {"url": "smtp://"}}}
    )
    with pytest.raises(Misconfigured) as refusal:
        relay_targets(settings, capture_port=None)
    assert [sentence.split()[0] for sentence in refusal.value.problems] == [
        "NOTIFIER_RELAYS__A__URL",
        "NOTIFIER_RELAYS__B__URL",
    ]
