"""run.py prepares `.venv` once, and says in one sentence what stands in its way."""

import ast
import runpy
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.toolchain.starter import ROOT, Starter

REFUSED = "Retrying after connection broken by 'NewConnectionError': Connection refused"
DNS = "error: Failed to fetch: dns error: failed to lookup address information"


@pytest.fixture
def starter(tmp_path: Path) -> Starter:
    return Starter(tmp_path)


@pytest.fixture(scope="module")
def script() -> dict[str, Any]:
    """The names of run.py, without running a task."""
    return runpy.run_path(str(ROOT / "run.py"), run_name="run")


def sentences(done: subprocess.CompletedProcess[str]) -> list[str]:
    """What run.py said after its lines of progress."""
    assert "Traceback" not in done.stderr
    return [line for line in done.stderr.splitlines() if not line.endswith("...")]


def test_it_parses_on_python_3_6() -> None:
    ast.parse((ROOT / "run.py").read_text(), feature_version=(3, 6))


@pytest.mark.parametrize(
    ("system", "version", "words"),
    [
        ("posix", (3, 10, 13), "needs Python 3.11 or newer, and this is Python 3.10.13"),
        ("posix", (3, 6, 0), "this is Python 3.6.0"),
        ("nt", (3, 12, 1), "WSL"),
    ],
)
def test_where_it_cannot_run_it_says_so(
    script: dict[str, Any], system: str, version: tuple[int, int, int], words: str
) -> None:
    with pytest.raises(script["Stop"], match=words):
        script["refuse_unfit"](system, version)


@pytest.mark.parametrize("version", [(3, 11, 0), (3, 14, 2)])
def test_a_python_that_fits_is_welcome(
    script: dict[str, Any], version: tuple[int, int, int]
) -> None:
    script["refuse_unfit"]("posix", version)


def test_the_first_start_installs_the_runtime_set_and_hands_over(starter: Starter) -> None:
    done = starter.run()
    assert (done.returncode, done.stdout.split(" in ")[0]) == (0, "task: -m notifier dev")
    assert "Installing 1 pinned packages (first time only) ..." in done.stderr
    assert "requirements/run.txt" in starter.installations()[-1]


def test_the_second_start_installs_nothing_and_says_nothing(starter: Starter) -> None:
    starter.run()
    done = starter.run()
    assert (done.returncode, done.stderr) == (0, "")
    assert starter.calls() == ["-m notifier dev"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--port", "9000"], "-m notifier dev --port 9000"),
        (["run", "--port", "9000"], "-m notifier dev --port 9000"),
        (["test", "-x", "tests/a b"], "-m pytest -x tests/a b"),
        (["check"], "-m tools.tasks check"),
        (["fmt"], "-m tools.tasks fmt"),
        (["bench", "latency"], "-m benchmarks latency"),
        (["soak", "--minutes", "1"], "-m tests.proof --minutes 1"),
        (["lock", "--upgrade"], "-m tools.tasks lock --upgrade"),
    ],
)
def test_each_task_gets_its_arguments(
    starter: Starter, arguments: list[str], expected: str
) -> None:
    starter.run(*arguments)
    assert starter.calls()[-1] == expected


def test_the_task_has_the_users_environment_and_the_projects_folder(starter: Starter) -> None:
    done = starter.run(NOTIFIER_LOG__LEVEL="debug")
    assert done.stdout.endswith(f"in {starter.project} with debug\n")


def test_the_exit_status_is_the_tasks(starter: Starter) -> None:
    assert starter.run("test", FAKE_STATUS="5").returncode == 5


def test_an_unknown_task_is_refused_before_anything_is_made(starter: Starter) -> None:
    done = starter.run("tset")
    assert (done.returncode, starter.venv.exists()) == (2, False)
    assert "no task `tset`" in done.stderr


@pytest.mark.parametrize("word", ["-h", "--help", "help"])
def test_help_names_every_task(starter: Starter, script: dict[str, Any], word: str) -> None:
    done = starter.run(word)
    assert (done.returncode, starter.venv.exists()) == (0, False)
    assert all(f"run.py {task}" in done.stdout for task in script["TASKS"])


def test_installers_are_told_to_check_hashes_and_to_stay_in_the_venv(starter: Starter) -> None:
    starter.run()
    _, pip, uv = starter.installations()
    assert "--require-hashes" in pip
    assert f"--require-hashes --python {starter.venv}/bin/python requirements/run.txt" in uv


def test_tests_add_the_development_set_to_the_same_venv(starter: Starter) -> None:
    starter.run()
    starter.run("test")
    assert not any("-m venv" in call for call in starter.calls())
    assert "requirements/dev.txt" in starter.installations()[-1]


def test_the_development_set_is_enough_to_run(starter: Starter) -> None:
    starter.run("test")
    starter.run()
    assert starter.installations() == []


def test_new_pins_are_installed_and_never_take_the_development_set_away(starter: Starter) -> None:
    starter.run("test")
    (starter.project / "requirements" / "dev.txt").write_text("pebble==2 \\\n    --hash")
    starter.run()
    assert "requirements/dev.txt" in starter.installations()[-1]


def test_a_package_that_was_removed_by_hand_comes_back(starter: Starter) -> None:
    starter.run()
    next(starter.venv.glob("lib/*/site-packages/pebble-1.dist-info")).rmdir()
    starter.run()
    assert "uv pip sync" in starter.installations()[-1]


def test_packages_that_a_developer_added_stay_unseen(starter: Starter) -> None:
    starter.run()
    (next(starter.venv.glob("lib/*/site-packages")) / "debugger-3.dist-info").mkdir()
    starter.run()
    assert starter.installations() == []


def test_the_project_is_importable_and_has_its_command(starter: Starter) -> None:
    starter.run()
    site = next(starter.venv.glob("lib/*/site-packages"))
    assert (site / (site / "notifier.pth").read_text().strip()).resolve() == starter.project
    subprocess.run([starter.venv / "bin/notifier", "keys"], env=starter.environment(), check=True)
    assert starter.calls()[-1] == "-P -m notifier keys"


def half_made(venv: Path) -> None:
    (venv / "unfinished").touch()


def broken_link(venv: Path) -> None:
    (venv / "bin/python").unlink()
    (venv / "bin/python").symlink_to("gone")


def no_python(venv: Path) -> None:
    (venv / "bin/python").unlink()


def a_file(venv: Path) -> None:
    venv.rename(venv.with_name("old"))
    venv.write_text("not a folder")


def a_dangling_link(venv: Path) -> None:
    venv.rename(venv.with_name("old"))
    venv.symlink_to("gone")


@pytest.mark.parametrize(
    "damage", [half_made, broken_link, no_python, a_file, a_dangling_link], ids=lambda f: f.__name__
)
def test_a_venv_that_does_not_work_is_made_anew(starter: Starter, damage: Any) -> None:
    starter.run()
    damage(starter.venv)
    done = starter.run()
    assert (done.returncode, "Making .venv anew" in done.stderr) == (0, True)
    assert starter.calls()[-1] == "-m notifier dev"


def test_a_venv_of_another_python_is_made_anew(starter: Starter) -> None:
    starter.run()
    (starter.venv / "installed.json").unlink()
    done = starter.run(FAKE_TAG="cpython-310  x86_64")
    assert "Making .venv anew" in done.stderr


def test_a_venv_that_works_but_is_not_ours_is_kept_and_filled(starter: Starter) -> None:
    starter.run()
    (starter.venv / "installed.json").unlink()
    starter.run()
    assert not any("-m venv" in call for call in starter.calls())
    assert "uv pip sync" in starter.installations()[-1]


def test_an_interrupted_installation_starts_from_nothing(starter: Starter) -> None:
    starter.run(FAKE_SYNC="killed", FAKE_PIP="killed")
    done = starter.run()
    assert (done.returncode, starter.calls()[-1]) == (0, "-m notifier dev")


@pytest.mark.parametrize("name", ["venv", "ensurepip"])
def test_debians_bare_python_is_told_what_to_install(tmp_path: Path, name: str) -> None:
    starter = Starter(tmp_path, without=(name,))
    done = starter.run()
    assert done.returncode == 1
    assert "sudo apt install python3." in sentences(done)[0]
    assert not starter.venv.exists()


@pytest.mark.parametrize(
    ("failures", "words"),
    [
        ({"FAKE_UV": REFUSED}, "No package index could be reached"),
        ({"FAKE_SYNC": DNS, "FAKE_PIP": REFUSED}, "No package index could be reached"),
        ({"FAKE_SYNC": "error: No space left on device (os error 28)"}, "The disk is full"),
        ({"FAKE_VENV": "OSError: [Errno 28] No space left on device"}, "The disk is full"),
        ({"FAKE_SYNC": "error: Hash mismatch for `pebble==1`"}, "its hash differs"),
        ({"FAKE_UV": "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES"}, "its hash differs"),
        ({"FAKE_SYNC": "odd", "FAKE_PIP": "Permission denied: x"}, "may not write"),
        ({"FAKE_SYNC": "odd", "FAKE_PIP": "odder"}, "could not be installed"),
        ({"FAKE_VENV": "odd"}, "could not be installed"),
    ],
)
def test_what_an_installer_says_becomes_one_sentence(
    starter: Starter, failures: dict[str, str], words: str
) -> None:
    done = starter.run(**failures)
    assert done.returncode == 1
    assert [words in sentence for sentence in sentences(done)] == [True]
    assert list(failures.values())[-1] in (starter.venv / "install.log").read_text()


@pytest.mark.parametrize("failures", [{"FAKE_UV": "No matching distribution"}, {"FAKE_SYNC": "?"}])
def test_where_uv_cannot_pip_installs_the_same_file(
    starter: Starter, failures: dict[str, str]
) -> None:
    done = starter.run(**failures)
    assert done.returncode == 0
    assert "pip install --require-hashes -r requirements/run.txt" in starter.installations()[-1]


def test_new_pins_without_a_network_do_not_spoil_what_worked(starter: Starter) -> None:
    pins = starter.project / "requirements" / "run.txt"
    starter.run()
    before = pins.read_text()
    pins.write_text("pebble==2 \\\n    --hash")
    assert starter.run(FAKE_UV=REFUSED).returncode == 1
    pins.write_text(before)
    assert starter.run(FAKE_UV=REFUSED).returncode == 0


@pytest.mark.parametrize(
    ("number", "words"),
    [(28, "disk is full"), (122, "disk is full"), (13, "make it writable"), (30, "make it writ")],
)
def test_a_refusal_of_the_system_becomes_one_sentence(
    script: dict[str, Any], number: int, words: str
) -> None:
    assert words in script["in_words"](OSError(number, "No", "/somewhere/.venv.lock"))


def test_a_folder_that_cannot_be_written_is_named_without_a_traceback(starter: Starter) -> None:
    (starter.project / ".venv.lock").mkdir()  # refused to root too, unlike a read-only mode
    done = starter.run()
    assert done.returncode == 1
    assert ".venv.lock" in sentences(done)[0]


def start(starter: Starter, **settings: str) -> subprocess.Popen[str]:
    environment = starter.environment(**settings)
    return subprocess.Popen(starter.command(), env=environment, stderr=subprocess.PIPE, text=True)


def test_of_two_starters_one_prepares_and_the_other_waits(starter: Starter) -> None:
    gate = starter.folder / "gate"
    subprocess.run(["mkfifo", gate], check=True)
    with (
        start(starter, FAKE_GATE=str(gate)) as first,
        gate.open("w") as opened,  # it opens once the first one makes the .venv: that has the lock
        start(starter) as second,
    ):
        assert second.stderr is not None
        assert "Another start is preparing .venv" in second.stderr.readline()
        opened.write("go\n")
        opened.flush()
        assert (first.wait(30), second.wait(30)) == (0, 0)
    assert len([call for call in starter.calls() if "-m venv" in call]) == 1


def test_an_installer_is_not_led_astray_by_the_users_settings(
    script: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_TARGET", "/elsewhere")
    monkeypatch.setenv("UV_SYSTEM_PYTHON", "1")
    monkeypatch.setenv("PIP_USER", "1")
    environment = script["environment"]()
    assert environment.keys() & {"PIP_TARGET", "UV_SYSTEM_PYTHON"} == set()
    assert (environment["PIP_USER"], environment["UV_PYTHON_DOWNLOADS"]) == ("0", "never")


def test_a_mirror_for_pip_is_a_mirror_for_uv(
    script: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://mirror.example/all")
    monkeypatch.delenv("UV_DEFAULT_INDEX", raising=False)
    assert script["environment"]()["UV_DEFAULT_INDEX"] == "http://mirror.example/all"
