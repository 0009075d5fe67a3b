"""From an environment to settings, or to everything that is wrong with it."""

from pathlib import Path

import pytest

from notifier.core.address import parse_mailbox
from notifier.settings.load import load
from tests.settings.loading import ENOUGH, KEY, only_problem, problems

LIVE_KEY = "ntf_live_" + "a" * 43


def test_settings_that_are_enough_load_without_a_warning() -> None:
    loaded = load(ENOUGH, is_dev=False)
    assert loaded.warnings == ()
    assert loaded.settings.relays["main"].url is not None


def test_dev_needs_nothing() -> None:
    settings = load({}, is_dev=True).settings
    assert settings.is_dev
    assert parse_mailbox(settings.mail.from_ or "").domain == "example.test"


def test_outside_dev_three_settings_are_needed() -> None:
    names = [sentence.split()[0] for sentence in problems({})]
    assert names == ["NOTIFIER_PUBLIC_URL", "NOTIFIER_SECRET_KEY", "NOTIFIER_MAIL__FROM"]


@pytest.mark.parametrize("name", ["PUBLIC_URL", "SECRET_KEY", "MAIL__FROM"])
def test_an_empty_value_is_a_missing_one(name: str) -> None:
    assert only_problem({f"NOTIFIER_{name}": ""}).startswith(f"NOTIFIER_{name} is missing")


def test_a_command_beside_a_running_notifier_does_not_need_them() -> None:
    assert load({}, is_dev=False, purpose="manage").settings.public_url is None


def test_the_mailbox_alone_asks_for_no_relay_and_minds_none() -> None:
    environ = {"NOTIFIER_RELAYS__MAIN__URL": "smtps://smtp.example.org"}
    assert load(environ, is_dev=True, purpose="capture").settings.relays


def test_everything_wrong_is_said_at_once() -> None:
    found = problems(
        {
            "NOTIFIER_HTTP__PORT": "high",
            "NOTIFIER_HTPP__HOST": "::1",
            "NOTIFIER_LOG__LEVEL": "loud",
            "NOTIFIER_RELAYS__MAIN__URL": "http://smtp.example.org",
            "NOTIFIER_DATABASE__URL": "mysql://localhost/x",
            "NOTIFIER_SECRET_KEY": "short",
            "NOTIFIER_KEYS__SHOP__SECRET_FILE": "/nowhere",
        }
    )
    named = {sentence.split()[0].removesuffix(":") for sentence in found}
    assert named == {
        "NOTIFIER_HTTP__PORT",
        "NOTIFIER_HTPP__HOST",
        "NOTIFIER_LOG__LEVEL",
        "NOTIFIER_RELAYS__MAIN__URL",
        "NOTIFIER_DATABASE__URL",
        "NOTIFIER_SECRET_KEY",
        "NOTIFIER_KEYS__SHOP__SECRET_FILE",
        "NOTIFIER_PUBLIC_URL",
        "NOTIFIER_MAIL__FROM",
    }


def test_what_is_broken_is_not_also_missing() -> None:
    assert "cannot be read" in only_problem(
        {"NOTIFIER_SECRET_KEY": "", "NOTIFIER_SECRET_KEY_FILE": "/nowhere"}
    )


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("HTTP__PORT", "eighty", "should be a valid integer"),
        ("HTTP__PORT", "0", "should be greater than or equal to 1"),
        ("HTTP__PORT", "65536", "should be less than or equal to 65535"),
        ("HTTP__GRACE_S", "-1", "should be greater than or equal to 0"),
        ("HTTP__ALLOWED_HOSTS", "https://example.org", "entry 1 is no host name"),
        ("HTTP__ALLOWED_HOSTS", "[1", "should be a valid tuple"),
        ("HTTP__ALLOWED_HOSTS", "[1]", "entry 1 should be a valid string"),
        ("HTTP__TRUSTED_PROXIES", "10.0.0.0/8,nginx", "entry 2 is neither"),
        ("MAILBOX__EPHEMERAL", "perhaps", "should be a valid boolean"),
        ("LOG__LEVEL", "loud", "should be 'debug', 'info'"),
        ("BRAND__COLOR", "red", "should match pattern"),
        ("PUBLIC_URL", "notify.example.org", "http:// or https://"),
        ("PUBLIC_URL", "ftp://notify.example.org", "http:// or https://"),
        ("PUBLIC_URL", "https://notify.example.org?x=1", "http:// or https://"),
        ("PUBLIC_URL", "https://me@notify.example.org", "http:// or https://"),
        ("PUBLIC_URL", "https://notify.example.org:x", "http:// or https://"),
        ("PUBLIC_URL", "https://", "http:// or https://"),
        ("PUBLIC_URL", "https://[::1", "http:// or https://"),
        ("PUBLIC_URL", 'https://notify.example.org/"', "http:// or https://"),
        ("SECRET_KEY", "k" * 31, "key 1 has less than 32"),
        ("SECRET_KEY", f"{KEY},k", "key 2 has less than 32"),
        ("MAIL__FROM", "nobody", "is no sender"),
        ("MAIL__FROM", "Bob <b@x.example>\r\nBcc: c@x.example", "is no sender"),
        ("MAIL__RETURN_PATH", "Bounces <b@example.org>", "an address alone"),
        ("MAIL__RETURN_PATH", "nobody", "is no address"),
        ("MAIL__HELO_NAME", "a b", "has to be a host name"),
        ("MAIL__HELO_NAME", "x\r\nQUIT", "has to be a host name"),
        ("DATABASE__URL", "mysql://localhost/x", "sqlite:///<file> or"),
        ("DATABASE__URL", "sqlite://", "sqlite:///<file> or"),
        ("DATABASE__URL", "postgresql://u:p@ss@host/x", "unescaped"),
        ("DATABASE__URL", "postgresql://u:p/ss@host/x", "unescaped"),
        ("KEYS__SHOP__SECRET", "hunter2", "not in the form of a key"),
        ("KEYS__SHOP__PROJECT", "shop", "is missing"),
        ("TEMPLATES__DIRS", "/nowhere", "is not a folder"),
        ("RELAYS__MAIN__CA_FILE", "/nowhere", "there is no file"),
        ("RELAYS__SPARE__CONNECTIONS", "3", "is missing"),
        ("RELAYS__CAPTURE__URL", "smtp://smtp.example.org", "the inbox's own"),
        ("REGISTRATION__LINK_URL", "https://app.example.org/verify", "with {token} in it"),
        ("DISPATCH__ON_AMBIGUOUS", "guess", "should be 'retry' or 'hold'"),
        ("DISPATCH__POLL_S", "inf", "finite number"),
        ("RETENTION__BYTES_S", "1e11", "at most 3153600000 (a hundred years)"),
        ("RELAYS__MAIN__RATE_PER_S", "inf", "finite number"),
        ("RETENTION__IDEMPOTENCY_S", "10", "greater than or equal to 3600"),
        ("DATA_DIR", "caf\udce9", "is not UTF-8 text"),
    ],
)
def test_a_value_that_does_not_fit_is_named(name: str, value: str, words: str) -> None:
    problem = only_problem({f"NOTIFIER_{name}": value})
    assert problem.startswith(f"NOTIFIER_{name.rpartition('__')[0] or name}")
    assert words in problem


@pytest.mark.parametrize(
    ("first", "second", "clash"),
    [
        ({"HTTP__PORT": "9000"}, {"OPS__PORT": "9000"}, True),
        ({"HTTP__PORT": "9000", "HTTP__HOST": "0.0.0.0"}, {"OPS__PORT": "9000"}, True),
        ({"HTTP__PORT": "9000", "HTTP__HOST": "10.0.0.1"}, {"OPS__PORT": "9000"}, False),
        ({"HTTP__PORT": "9000"}, {"OPS__PORT": "9001"}, False),
    ],
)
def test_two_listeners_on_one_port_are_refused(
    first: dict[str, str], second: dict[str, str], *, clash: bool
) -> None:
    environ = {f"NOTIFIER_{name}": value for name, value in {**first, **second}.items()}
    if clash:
        assert "NOTIFIER_HTTP__PORT and NOTIFIER_OPS__PORT" in only_problem(environ)
    else:
        load({**ENOUGH, **environ}, is_dev=False)


def test_one_secret_for_two_keys_is_refused() -> None:
    both = {f"NOTIFIER_KEYS__{name}__SECRET": LIVE_KEY for name in ("A", "B")}
    assert "are the same key" in only_problem(both)


def test_an_unknown_scope_is_refused() -> None:
    environ = {
        "NOTIFIER_KEYS__A__SECRET": LIVE_KEY,
        "NOTIFIER_KEYS__A__SCOPES": "send,root",
    }
    assert "NOTIFIER_KEYS__A__SCOPES has 1 unknown" in only_problem(environ)


@pytest.mark.parametrize("text", ["a.example, b.example,", '["a.example", "b.example"]'])
def test_a_list_is_comma_separated_or_json(text: str) -> None:
    loaded = load({**ENOUGH, "NOTIFIER_HTTP__ALLOWED_HOSTS": text}, is_dev=False)
    assert loaded.settings.http.allowed_hosts == ("a.example", "b.example")


def test_the_newest_secret_key_comes_first() -> None:
    loaded = load({**ENOUGH, "NOTIFIER_SECRET_KEY": f"{'n' * 32},{KEY}"}, is_dev=False)
    assert [key.get_secret_value() for key in loaded.settings.secret_key] == ["n" * 32, KEY]


def test_a_short_secret_key_will_do_in_dev() -> None:
    assert load({"NOTIFIER_SECRET_KEY": "k"}, is_dev=True).settings.secret_key


def test_the_public_url_may_have_a_path_and_loses_its_last_slash() -> None:
    environ = {**ENOUGH, "NOTIFIER_PUBLIC_URL": "https://example.org/notify/"}
    assert load(environ, is_dev=False).settings.public_url == "https://example.org/notify"


def test_templates_folders_are_looked_at(tmp_path: Path) -> None:
    loaded = load({**ENOUGH, "NOTIFIER_TEMPLATES__DIRS": str(tmp_path)}, is_dev=False)
    assert loaded.settings.templates.dirs == (tmp_path,)


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({"NOTIFIER_PUBLIC_URL": "http://notify.example.org"}, "NOTIFIER_PUBLIC_URL is http://"),
        ({"NOTIFIER_RELAYS__MAIN__URL": ""}, "No relay is configured"),
        ({"NOTIFIER_RELAYS__MAIN__URL": "smtp://u:p@h.example?tls=none"}, "may be readable"),
        ({"NOTIFIER_RELAYS__MAIN__URL": "smtp://u:p@h.example?tls=opportunistic"}, "readable"),
        ({"SMTP_URL": "smtp://h.example"}, "SMTP_URL is not used"),
        ({"NOTIFIER_PORT": "9000"}, "NOTIFIER_PORT is ignored"),
    ],
)
def test_what_is_seldom_meant_is_a_warning(environ: dict[str, str], words: str) -> None:
    (warning,) = load({**ENOUGH, **environ}, is_dev=False).warnings
    assert words in warning


def test_a_password_in_the_clear_on_loopback_is_no_worry() -> None:
    environ = {**ENOUGH, "NOTIFIER_RELAYS__MAIN__URL": "smtp://u:p@127.0.0.1?tls=none"}
    assert load(environ, is_dev=False).warnings == ()


def test_sending_for_real_from_dev_is_said() -> None:
    environ = {
        "NOTIFIER_DEV__SEND_FOR_REAL": "true",
        "NOTIFIER_RELAYS__MAIN__URL": "smtps://smtp.example.org",
    }
    assert "mail can leave this machine" in load(environ, is_dev=True).warnings[0]


HOST = "NOTIFIER_HTTP__HOST"
SMTP_HOST = "NOTIFIER_MAILBOX__SMTP_HOST"


@pytest.mark.parametrize("name", [HOST, SMTP_HOST])
@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "mybox", "127.1"])
def test_dev_listens_on_loopback_only(name: str, host: str) -> None:
    assert only_problem({name: host}, is_dev=True).startswith(f"{name} is not a loopback address")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1", "localhost", "::ffff:127.0.0.1"])
def test_every_loopback_address_will_do(host: str) -> None:
    assert load({HOST: host, SMTP_HOST: host}, is_dev=True).settings.http.host == host


@pytest.mark.parametrize(
    "excuse", [{"NOTIFIER_DEV__OPEN": "true"}, {"NOTIFIER_MAILBOX__PASSWORD": "pw"}]
)
def test_dev_listens_elsewhere_in_a_container_or_with_a_password(excuse: dict[str, str]) -> None:
    load({HOST: "0.0.0.0", SMTP_HOST: "0.0.0.0", **excuse}, is_dev=True)


def test_an_empty_mailbox_password_is_none() -> None:
    environ = {HOST: "0.0.0.0", "NOTIFIER_MAILBOX__PASSWORD": ""}
    assert "not a loopback address" in only_problem(environ, is_dev=True)


def test_the_api_may_listen_anywhere_outside_dev() -> None:
    load({**ENOUGH, HOST: "0.0.0.0"}, is_dev=False)
