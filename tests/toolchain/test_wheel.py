"""The wheel holds all that Notifier needs away from its repository."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.toolchain.starter import ROOT


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel's content, as an installer lays it out."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as file:
        file.extractall(folder / "site")
    return folder / "site"


def test_every_template_is_in_the_wheel(installed: Path) -> None:
    shipped = {p.relative_to(ROOT / "templates") for p in (ROOT / "templates").rglob("*.*")}
    held = installed / "notifier" / "_templates"
    assert shipped
    assert {path for path in shipped if not (held / path).exists()} == set()


def test_every_module_and_asset_is_in_the_wheel(installed: Path) -> None:
    ours = [p for p in (ROOT / "notifier").rglob("*") if "__pycache__" not in p.parts]
    missing = {p.name for p in ours if not (installed / p.relative_to(ROOT)).exists()}
    assert missing == set()


def test_the_command_starts_from_the_wheel_alone(installed: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    code = "import notifier, sys; assert 'site' in notifier.__file__; sys.argv[0] = 'notifier'"
    run = f"{code}; from notifier.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", run, "--version"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, "0.1.0" in done.stdout) == (0, True), done.stderr
