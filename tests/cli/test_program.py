"""What holds for every command, and how the program ends."""

from typing import Any

import pytest

from notifier import __version__
from notifier.cli.endings import end
from notifier.cli.program import COMMANDS, loaded
from notifier.cli.terminal import printable
from notifier.core.errors import FieldError, Invalid, Misconfigured, Unavailable
from tests.cli.conftest import Run

ONES = (
    "dev",
    "serve",
    "worker",
    "mailbox",
    "migrate",
    "send",
    "status",
    "why",
    "retry",
    "cancel",
    "doctor",
)
GROUPS = {
    "relays": ("list", "pause", "resume"),
    "keys": ("create", "list", "revoke"),
    "config": ("show", "check", "example"),
}
COMPLETE = [*((one,) for one in ONES), *((g, one) for g in GROUPS for one in GROUPS[g])]
EVERY = [(), *COMPLETE, *((group,) for group in GROUPS)]


@pytest.mark.parametrize("words", EVERY, ids=" ".join)
@pytest.mark.parametrize("option", ["--help", "-h"])
def test_every_command_has_help_with_an_example(
    words: tuple[str, ...], option: str, run: Run
) -> None:
    outcome = run(*words, option)
    assert (outcome.code, outcome.err) == (0, "")
    assert "Example" in outcome.out
    assert f"\n    notifier {' '.join(words)}".rstrip() in outcome.out


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_of_commands_says_what_the_command_says(name: str, run: Run) -> None:
    assert loaded(name).help.partition("\n")[0] == COMMANDS[name].help
    assert COMMANDS[name].help in run("--help").out


def test_the_commands_are_those_of_the_contract() -> None:
    assert set(COMMANDS) == {*ONES, *GROUPS}
    for name in COMMANDS:
        inner = getattr(loaded(name), "commands", {})
        assert tuple(inner) == GROUPS.get(name, ())


@pytest.mark.parametrize("words", COMPLETE, ids=" ".join)
def test_every_option_is_described(words: tuple[str, ...]) -> None:
    command: Any = loaded(words[0])
    command = command.commands[words[1]] if len(words) > 1 else command
    assert [one.name for one in command.params if not getattr(one, "help", None)] == []


def test_the_version_is_data(run: Run) -> None:
    assert run("--version").out == f"notifier {__version__}\n"


def test_no_command_is_a_call_for_help(run: Run) -> None:
    outcome = run()
    assert outcome.code == 2
    assert "Commands:" in outcome.err + outcome.out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("kesy",), "Did you mean 'keys'?"),
        (("keys", "lsit"), "Did you mean 'list'?"),
        (("dev", "--prot", "1"), "No such option: --prot"),
        (("dev", "--port", "high"), "--port"),
        (("send",), "Missing argument"),
    ],
)
def test_a_mistyped_call_is_explained_and_is_2(words: tuple[str, ...], said: str, run: Run) -> None:
    outcome = run(*words)
    assert (outcome.code, outcome.out) == (2, "")
    assert said in outcome.err


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (Unavailable("The store is away."), 1, "notifier: The store is away.\n"),
        (Unavailable("Away:\n\tis it there?"), 1, "notifier: Away: is it there?\n"),
        (Misconfigured("A folder is missing."), 2, "notifier: A folder is missing.\n"),
        (Misconfigured("Bad:", problems=["a", "b"]), 2, "Bad:\n  - a\n  - b\n"),
        (
            Invalid("It does not fit.", errors=[FieldError("/to/0", "x", "No.")]),
            1,
            "notifier: It does not fit.\n  /to/0: No.\n",
        ),
        (
            BaseExceptionGroup("", [ExceptionGroup("", [Misconfigured("Deep.")])]),
            2,
            "notifier: Deep.\n",
        ),
    ],
)
def test_an_expected_error_is_a_sentence_and_a_code(
    error: Any, code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert end(error) == code
    assert capsys.readouterr() == ("", said)


@pytest.mark.parametrize(
    ("text", "shown"),
    [("plain é", "plain é"), ("a\x1b[2Jb\n", "a\\x1b[2Jb\\n"), ("\u202eevil", "\\u202eevil")],
)
def test_nothing_that_is_written_moves_the_cursor(text: str, shown: str) -> None:
    assert printable(text) == shown
