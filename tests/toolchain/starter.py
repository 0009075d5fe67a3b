"""A copy of run.py in a folder of its own, with a scripted Python in the place of the real one.

The scripted Python writes down what it is asked, makes folders where venv would, and fails with
the words it is given: every path of run.py is walked in milliseconds and without a network.
"""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

PYTHON = r"""#!/bin/sh
echo "$*" >> "$FAKE_CALLS"
fail() { [ -z "$1" ] || { echo "$1"; exit 1; }; }
case "$*" in
  "-m venv "*)
    [ -z "$FAKE_GATE" ] || read -r _ < "$FAKE_GATE"
    fail "$FAKE_VENV"
    mkdir -p "$3/bin" "$3/lib/python3/site-packages"
    cp "$0" "$3/bin/python" ;;
  "-I -c "*) echo "$FAKE_TAG" ;;
  "-I -m pip install"*requirements/uv.txt*) fail "$FAKE_UV" ;;
  "-I -m uv "*)
    fail "$FAKE_SYNC"
    mkdir -p "$(dirname "$0")/../lib/python3/site-packages/pebble-1.dist-info" ;;
  "-I -m pip install"*) fail "$FAKE_PIP" ;;
  *) echo "task: $* in $(pwd) with $NOTIFIER_LOG__LEVEL"; exit "${FAKE_STATUS:-0}" ;;
esac
"""

DRIVER = """
import runpy, sys
sys._base_executable = {python!r}
for name in {without!r}:
    sys.modules[name] = None
sys.argv = ["run.py", *sys.argv[1:]]
runpy.run_path({script!r}, run_name="__main__")
"""


def tag() -> str:
    """What run.py expects of an interpreter that fits."""
    return f"{sys.implementation.cache_tag} {sys.abiflags} {os.uname().machine}"


@dataclass
class Starter:
    """run.py in `folder`; `without` names modules that its Python lacks."""

    folder: Path
    without: tuple[str, ...] = ()
    settings: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        project = self.folder / "project"
        (project / "requirements").mkdir(parents=True)
        shutil.copy(ROOT / "run.py", project)
        for name in ("uv", "run", "dev"):
            (project / "requirements" / f"{name}.txt").write_text(
                f"{name}-pebble==1 \\\n    --hash"
            )
        self.python.write_text(PYTHON)
        self.python.chmod(0o755)

    @property
    def project(self) -> Path:
        return self.folder / "project"

    @property
    def venv(self) -> Path:
        return self.project / ".venv"

    @property
    def python(self) -> Path:
        return self.folder / "python"

    def command(self, *arguments: str) -> list[str]:
        script = str(self.project / "run.py")
        driver = DRIVER.format(python=str(self.python), without=self.without, script=script)
        return [sys.executable, "-c", driver, *arguments]

    def environment(self, **settings: str) -> dict[str, str]:
        fixed = {"FAKE_CALLS": str(self.folder / "calls"), "FAKE_TAG": tag()}
        return {**os.environ, **fixed, **self.settings, **settings}

    def run(self, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
        """Start it and wait; the calls of the scripted Python begin anew."""
        (self.folder / "calls").write_text("")
        return subprocess.run(
            self.command(*arguments),
            cwd=self.folder,
            env=self.environment(**settings),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    def calls(self) -> list[str]:
        """What the scripted Python was asked since the last `run` began, in order."""
        return (self.folder / "calls").read_text().splitlines()

    def installations(self) -> list[str]:
        """Those of `calls` that change `.venv`."""
        return [call for call in self.calls() if "venv" in call.split() or "pip" in call.split()]
