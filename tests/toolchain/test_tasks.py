"""The tasks behind run.py: what they run, and that no failure is swallowed."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.__main__ import available
from benchmarks.__main__ import main as bench
from tests.toolchain.starter import ROOT
from tools import tasks


def test_check_is_ruff_format_mypy_and_the_floors() -> None:
    assert [name for name, _ in tasks.check([])] == [
        "ruff check",
        "ruff format",
        "mypy",
        "import-linter",
    ]


def test_every_pinned_set_is_written_by_lock() -> None:
    written = {name for name, _ in tasks.lock([])}
    assert written == {path.stem for path in (ROOT / "requirements").glob("*.txt")}


@pytest.mark.parametrize("flag", ["--generate-hashes", "--no-header", "--no-emit-index-url"])
def test_pins_are_written_with_hashes_and_without_addresses(flag: str) -> None:
    assert all(flag in command for _, command in tasks.lock([]))


def test_one_failing_step_fails_the_task_after_all_have_run(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    steps = [("bad", ["-c", "raise SystemExit(3)"]), ("good", ["-c", "print('ran')"])]
    monkeypatch.setitem(tasks.TASKS, "both", lambda _: iter(steps))
    assert tasks.main(["both"]) == 1
    out, err = capfd.readouterr()
    assert (out, err.splitlines()[-1]) == ("ran\n", "both: failed: bad")


def test_the_linter_of_floors_can_be_started_as_check_does() -> None:
    command = dict(tasks.check([]))["import-linter"]
    done = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, check=False)
    assert b"Contracts" in done.stdout


def test_a_benchmark_is_found_by_its_file_and_described_by_its_first_line() -> None:
    modules = {path.stem for path in (ROOT / "benchmarks").glob("[!_]*.py")}
    assert available().keys() == modules
    assert all(re.search(r"\w", line) for line in available().values())


def test_an_unknown_benchmark_is_refused_with_the_known_ones(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert bench(["no-such"]) == 2
    assert "benchmarks" in capsys.readouterr().out


def test_a_package_without_benchmarks_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("benchmarks.__main__.HERE", tmp_path)
    assert bench([]) == 2
    assert capsys.readouterr().out == "There are no benchmarks yet.\n"
