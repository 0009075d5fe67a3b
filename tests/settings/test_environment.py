"""Names, places and files that settings come from."""

from pathlib import Path

import pytest

from notifier.settings.environment import gather
from notifier.settings.load import load
from tests.settings.loading import ENOUGH, KEY, only_problem, problems


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("NOTIFIER_HTTP_PORT", "NOTIFIER_HTTP__PORT"),
        ("NOTIFIER_HTTP__PROT", "NOTIFIER_HTTP__PORT"),
        ("NOTIFIER_http__port", "NOTIFIER_HTTP__PORT"),
        ("notifier_http__port", "NOTIFIER_HTTP__PORT"),
        ("NOTIFIER_DATABASE_URL", "NOTIFIER_DATABASE__URL"),
        ("NOTIFIER_MAIL_FROM", "NOTIFIER_MAIL__FROM"),
        ("NOTIFIER_MAIL__FROM_", "NOTIFIER_MAIL__FROM"),
        ("NOTIFIER_LOG_LEVEL", "NOTIFIER_LOG__LEVEL"),
        ("NOTIFIER_SECRET", "NOTIFIER_SECRET_KEY"),
        ("NOTIFIER_SECRETKEY_FILE", "NOTIFIER_SECRET_KEY_FILE"),
        ("NOTIFIER_RELAYS__MAIN__PASWORD", "NOTIFIER_RELAYS__MAIN__PASSWORD"),
        ("NOTIFIER_RELAYS__MAIN__URL_FIL", "NOTIFIER_RELAYS__MAIN__URL_FILE"),
        ("NOTIFIER_RELAYS__URL", "NOTIFIER_RELAYS__<NAME>__URL"),
        ("NOTIFIER_KEYS__SHOP__SECRTE_FILE", "NOTIFIER_KEYS__SHOP__SECRET_FILE"),
        # Only secrets may be given as a file.
        ("NOTIFIER_HTTP__PORT_FILE", "NOTIFIER_HTTP__PORT"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest_known_one(name: str, known: str) -> None:
    assert only_problem({name: "1"}) == f"{name} is not a setting; the nearest is {known}."


@pytest.mark.parametrize("name", ["NOTIFIER_", "NOTIFIER_IS_DEV", "NOTIFIER_SMTP_URL"])
def test_what_is_not_a_name_of_the_environment_is_unknown(name: str) -> None:
    assert "is not a setting" in only_problem({name: "1"})


def test_an_unknown_name_is_refused_even_if_it_is_empty() -> None:
    assert "is not a setting" in only_problem({"NOTIFIER_X": ""})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("NOTIFIER_PORT", "tcp://10.0.0.1:80"),
        ("NOTIFIER_PORT_80_TCP_ADDR", "10.0.0.1"),
        ("NOTIFIER_SERVICE_HOST", "10.0.0.1"),
        ("NOTIFIER_SERVICE_PORT_HTTP", "80"),
        ("NOTIFIER_TEST_POSTGRES_URL", "postgresql://x"),
        ("NOTIFIER_MAILBOX_SERVICE_HOST", "10.0.0.1"),
        ("NOTIFIER_MAILBOX_SERVICE_PORT_SMTP", "1025"),
        ("NOTIFIER_MAILBOX_PORT", "tcp://10.0.0.1:1025"),
        ("NOTIFIER_MAILBOX_PORT_1025_TCP_PROTO", "tcp"),
        ("PATH", "/bin"),
    ],
)
def test_names_of_others_are_ignored(name: str, value: str) -> None:
    assert load({**ENOUGH, name: value}, is_dev=False).warnings == ()


def test_a_mistyped_port_is_not_taken_for_one_of_kubernetes() -> None:
    assert "NOTIFIER_MAILBOX__SMTP_PORT" in only_problem({"NOTIFIER_MAILBOX_SMTP_PORT": "1025"})


def test_the_command_line_wins_over_the_environment_and_that_over_dotenv(tmp_path: Path) -> None:
    dotenv = tmp_path / ".env"
    dotenv.write_text(
        "NOTIFIER_HTTP__PORT=1\nNOTIFIER_OPS__PORT=1\nNOTIFIER_MAILBOX__SMTP_PORT=1\n"
    )
    environ = {"NOTIFIER_HTTP__PORT": "2", "NOTIFIER_OPS__PORT": "2"}
    options = {"NOTIFIER_HTTP__PORT": "3"}
    loaded = load(environ, is_dev=True, dotenv=dotenv, options=options)
    settings = loaded.settings
    assert (settings.http.port, settings.ops.port, settings.mailbox.smtp_port) == (3, 2, 1)
    assert loaded.sources == {
        "NOTIFIER_HTTP__PORT": "command line",
        "NOTIFIER_OPS__PORT": "environment",
        "NOTIFIER_MAILBOX__SMTP_PORT": f"{dotenv} line 3",
    }


def test_an_empty_variable_hides_the_line_of_dotenv(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("NOTIFIER_BRAND__NAME=Shop")
    environ = {"NOTIFIER_BRAND__NAME": ""}
    loaded = load(environ, is_dev=True, dotenv=tmp_path / ".env")
    assert loaded.settings.brand.name == "Notifier"


def test_dotenv_is_read_in_dev_only_and_that_is_said(tmp_path: Path) -> None:
    dotenv = tmp_path / ".env"
    dotenv.write_text("NOTIFIER_BRAND__NAME=Shop")
    loaded = load(ENOUGH, is_dev=False, dotenv=dotenv)
    assert loaded.settings.brand.name == "Notifier"
    assert "was not read" in loaded.warnings[0]
    assert "was not read" in problems({}, dotenv=dotenv)[-1]


def test_no_dotenv_is_no_fault(tmp_path: Path) -> None:
    assert load({}, is_dev=True, dotenv=tmp_path / ".env").warnings == ()


def test_names_of_others_in_dotenv_are_ignored(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("DEBUG=1\nSMTP_URL=nonsense\n")
    load({}, is_dev=True, dotenv=tmp_path / ".env")


def test_dotenv_is_taken_as_it_stands(tmp_path: Path) -> None:
    """No ${…} is expanded: passwords may hold it. `#` begins a comment behind a blank only."""
    (tmp_path / ".env").write_text(
        "\ufeff# a comment\n"
        "export NOTIFIER_BRAND__NAME='Shop # 1'\n"
        "NOTIFIER_MAILBOX__PASSWORD=a${HOME}b#c # and words\n"
    )
    settings = load({}, is_dev=True, dotenv=tmp_path / ".env").settings
    assert settings.brand.name == "Shop # 1"
    assert settings.mailbox.password is not None
    assert settings.mailbox.password.get_secret_value() == "a${HOME}b#c"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("\n\nNOTIFIER_HTP__PORT=1", "line 3) is not a setting; the nearest is NOTIFIER_HTTP__"),
        ("NOTIFIER_HTTP__PORT=x", "line 1) should be a valid integer"),
        ("A=1\nNOTIFIER_HTTP__PORT", "line 2 cannot be understood"),
        ("A=1\n\n\n'broken", "line 4 cannot be understood"),
        (b"NOTIFIER_BRAND__NAME=\xff", "is not UTF-8 text"),
    ],
)
def test_a_fault_in_dotenv_is_named_with_its_line(
    tmp_path: Path, text: str | bytes, words: str
) -> None:
    (tmp_path / ".env").write_bytes(text if isinstance(text, bytes) else text.encode())
    (problem,) = problems({}, is_dev=True, dotenv=tmp_path / ".env")
    assert words in problem


def test_a_dotenv_that_cannot_be_read_is_a_fault(tmp_path: Path) -> None:
    (problem,) = problems({}, is_dev=True, dotenv=tmp_path)
    assert "cannot be read" in problem


@pytest.mark.parametrize("text", ["s3cret\n", "s3cret", "s3cret\r\n"])
def test_a_secret_can_stand_in_a_file(tmp_path: Path, text: str) -> None:
    (tmp_path / "password").write_bytes(text.encode())
    environ = {**ENOUGH, "NOTIFIER_RELAYS__MAIN__PASSWORD_FILE": str(tmp_path / "password")}
    environ["NOTIFIER_RELAYS__MAIN__USERNAME"] = "me"
    loaded = load(environ, is_dev=False)
    password = loaded.settings.relays["main"].password
    assert password is not None
    assert password.get_secret_value() == "s3cret"
    source = loaded.sources["NOTIFIER_RELAYS__MAIN__PASSWORD"]
    assert source == f"file {tmp_path / 'password'}"


def test_only_the_last_line_break_of_a_secret_is_taken_off(tmp_path: Path) -> None:
    (tmp_path / "password").write_text(" s3cret \n\n")
    found = gather({"NOTIFIER_MAILBOX__PASSWORD_FILE": str(tmp_path / "password")}, None)
    assert found.values["NOTIFIER_MAILBOX__PASSWORD"].text == " s3cret \n"


def test_a_file_of_secret_keys_has_one_a_line(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text(f"{'a,' * 20}\n\n  {KEY}  \n")
    environ = {**ENOUGH, "NOTIFIER_SECRET_KEY": "", "NOTIFIER_SECRET_KEY_FILE": f"{tmp_path}/keys"}
    keys = load(environ, is_dev=False).settings.secret_key
    assert [key.get_secret_value() for key in keys] == ["a," * 20, KEY]


def test_a_key_can_be_declared_by_a_file(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("ntf_test_" + "a" * 43 + "\n")
    environ = {**ENOUGH, "NOTIFIER_KEYS__SHOP__SECRET_FILE": str(tmp_path / "key")}
    assert load(environ, is_dev=False).settings.keys["shop"].secret is not None


def test_a_secret_and_its_file_are_one_too_many(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(KEY)
    problem = only_problem({"NOTIFIER_SECRET_KEY_FILE": str(tmp_path / "key")})
    assert problem == "Both NOTIFIER_SECRET_KEY and NOTIFIER_SECRET_KEY_FILE are set: keep one."


def test_a_file_of_the_environment_wins_over_a_secret_in_dotenv(tmp_path: Path) -> None:
    (tmp_path / "pw").write_text("from the file")
    (tmp_path / ".env").write_text("NOTIFIER_MAILBOX__PASSWORD=from dotenv")
    environ = {"NOTIFIER_MAILBOX__PASSWORD_FILE": str(tmp_path / "pw")}
    found = gather(environ, tmp_path / ".env")
    assert found.values["NOTIFIER_MAILBOX__PASSWORD"].text == "from the file"
    assert found.problems == []


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot be read (No such file or directory)"),
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"\xff\xfe", "is not UTF-8 text"),
        (b"x" * 65537, "is larger than any secret"),
    ],
)
def test_a_file_that_holds_no_secret_is_named(
    tmp_path: Path, content: bytes | None, words: str
) -> None:
    path = tmp_path / "password"
    if content is not None:
        path.write_bytes(content)
    problem = only_problem({"NOTIFIER_MAILBOX__PASSWORD_FILE": str(path)})
    assert problem == f"NOTIFIER_MAILBOX__PASSWORD_FILE: the file {path} {words}."


RENAMED = {"NOTIFIER_OLD": "NOTIFIER_BRAND__NAME"}


def test_an_old_name_works_with_a_warning() -> None:
    found = gather({"NOTIFIER_OLD": "Shop"}, None, renamed=RENAMED)
    assert found.values["NOTIFIER_BRAND__NAME"].text == "Shop"
    assert "is now called NOTIFIER_BRAND__NAME" in found.warnings[0]
    assert found.problems == []


def test_the_new_name_wins_over_the_old_one() -> None:
    environ = {"NOTIFIER_OLD": "Old", "NOTIFIER_BRAND__NAME": "New"}
    found = gather(environ, None, renamed=RENAMED)
    assert found.values["NOTIFIER_BRAND__NAME"].text == "New"
    assert len(found.warnings) == 1
