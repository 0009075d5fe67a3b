"""The program as a process of its own: what is loaded, how it ends, what a pipe sees."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from notifier.settings.secrets import KEY_FILE
from tests.cli.answers import Answers, notification
from tests.meta.sources import ROOT

NOTIFIER = [sys.executable, "-m", "notifier"]


def environ(**more: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("NOTIFIER_")}
    return {**kept, "PYTHONPATH": str(ROOT), **more}


def notifier(
    folder: Path, *words: str, given: str = "", **more: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*NOTIFIER, *words],
        cwd=folder,
        env=environ(**more),
        input=given,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_nothing_heavy_is_loaded_for_a_look_at_the_commands() -> None:
    code = (
        "import sys; from notifier.cli.program import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "heavy = {'pydantic', 'fastapi', 'sqlalchemy', 'rich', 'asyncio', 'uvloop', 'jinja2'}\n"
        "sys.exit(', '.join(sorted(heavy & sys.modules.keys())) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=environ(), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_sending_does_not_load_the_whole_of_notifier() -> None:
    code = (
        "import sys; from notifier.cli.program import loaded\nloaded('send')\n"
        "sys.exit(', '.join(sorted({'fastapi', 'sqlalchemy', 'uvloop'} & sys.modules.keys())) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=environ(), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_settings_that_are_missing_end_a_start_without_a_traceback(tmp_path: Path) -> None:
    done = notifier(tmp_path, "serve")
    assert (done.returncode, done.stdout) == (2, "")
    heading, *lines = done.stderr.splitlines()
    assert heading == "Notifier did not start:"
    assert [line.split()[1] for line in lines] == [
        "NOTIFIER_PUBLIC_URL",
        "NOTIFIER_SECRET_KEY",
        "NOTIFIER_MAIL__FROM",
    ]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("role", ["dev", "mailbox"])
def test_a_port_that_was_set_and_is_busy_is_named(tmp_path: Path, role: str) -> None:
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = str(busy.getsockname()[1])
        done = notifier(tmp_path, role, "--port", port)
    assert done.returncode == 2
    assert f"Port {port}" in done.stderr
    assert "NOTIFIER_HTTP__PORT" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_reader_that_has_seen_enough_causes_no_traceback(tmp_path: Path) -> None:
    with subprocess.Popen(
        [*NOTIFIER, "config", "show", "--dev"],
        cwd=tmp_path,
        env=environ(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""


def test_a_terminal_that_knows_only_ascii_is_no_fault(tmp_path: Path) -> None:
    more = {"NOTIFIER_BRAND__NAME": "Café", "PYTHONIOENCODING": "ascii"}
    done = notifier(tmp_path, "config", "show", **more)
    assert done.returncode == 0
    assert "NOTIFIER_BRAND__NAME=Caf\\xe9" in done.stdout


def test_standard_input_can_be_the_text(tmp_path: Path) -> None:
    done = notifier(
        tmp_path, "send", "a@x.example", "--subject", "x", "--text", "-",
        "--url", "http://127.0.0.1:1", given="words",
    )  # fmt: skip
    assert done.returncode == 1
    assert "nothing usable answers" in done.stderr


def test_ctrl_c_ends_a_wait_with_130(tmp_path: Path, answers: Answers) -> None:
    for _ in range(1000):
        answers.will(200, notification("queued", final=False))
    words = ["send", "ada@x.example", "--subject", "x", "--text", "y", "--wait"]
    with subprocess.Popen(
        [*NOTIFIER, *words, "--url", answers.url],
        cwd=tmp_path,
        env=environ(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert answers.heard.acquire(timeout=30)
        assert answers.heard.acquire(timeout=30)
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=30) == (b"", b"")
    assert process.returncode == 130


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_dev_starts_takes_a_mail_and_stops_when_told(
    tmp_path: Path, number: signal.Signals
) -> None:
    port, smtp_port = free_port(), free_port()
    command = [*NOTIFIER, "dev", "--port", str(port), "--smtp-port", str(smtp_port)]
    with subprocess.Popen(
        command, cwd=tmp_path, env=environ(), stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        try:
            next(line for line in process.stderr if "Notifier is ready" in line)
            words = ["ada@x.example", "--subject", "Hello", "--text", "Hi.", "--wait"]
            sent = notifier(tmp_path, "send", *words, NOTIFIER_HTTP__PORT=str(port))
            process.send_signal(number)
            process.stderr.read()
            assert process.wait(20) == 0
        finally:
            process.kill()
    assert (sent.returncode, sent.stdout.split()[1:]) == (0, ["captured", "ada@x.example"])
    assert (tmp_path / ".data" / KEY_FILE).stat().st_mode & 0o777 == 0o600
