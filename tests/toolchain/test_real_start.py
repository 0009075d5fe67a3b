"""run.py with the real venv and pip, on a project that pins one small package of its own."""

import base64
import hashlib
import os
import shutil
import socket
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.toolchain.starter import ROOT

SAMPLE = "import pebble, sys; print(pebble.WORD, *sys.argv[1:])"


def write_wheel(folder: Path) -> Path:
    """A wheel of the package `pebble`, version 1."""
    wheel = folder / "pebble-1-py3-none-any.whl"
    content = {
        "pebble.py": "WORD = 'hard'\n",
        "pebble-1.dist-info/METADATA": "Metadata-Version: 2.1\nName: pebble\nVersion: 1\n",
        "pebble-1.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\n",
    }
    with zipfile.ZipFile(wheel, "w") as file:
        record = ""
        for name, text in content.items():
            file.writestr(name, text)
            digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest())
            record += f"{name},sha256={digest.decode().rstrip('=')},{len(text)}\n"
        file.writestr("pebble-1.dist-info/RECORD", record + "pebble-1.dist-info/RECORD,,\n")
    return wheel


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """run.py, a sample for `notifier`, and pins; uv has no wheel here, so pip does the work."""
    folder = tmp_path / "a project"
    (folder / "notifier").mkdir(parents=True)
    (folder / "notifier" / "__main__.py").write_text(SAMPLE)
    pins = folder / "requirements"
    pins.mkdir()
    digest = hashlib.sha256(write_wheel(tmp_path).read_bytes()).hexdigest()
    (pins / "run.txt").write_text(f"pebble==1 \\\n    --hash=sha256:{digest}\n")
    (pins / "uv.txt").write_text(f"no-such-uv==1 \\\n    --hash=sha256:{digest}\n")
    shutil.copy(ROOT / "run.py", folder)
    return folder


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port of this machine that is taken and refuses connections."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


def start(project: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    return subprocess.run(
        [sys.executable, project / "run.py", *arguments],
        env={**kept, "PIP_CONFIG_FILE": os.devnull, **settings},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_without_a_network_one_sentence_then_with_one_a_start(
    project: Path, closed_port: int
) -> None:
    nowhere = f"http://127.0.0.1:{closed_port}/simple"
    offline = start(project, PIP_INDEX_URL=nowhere, PIP_RETRIES="1")
    assert (offline.returncode, "Traceback" in offline.stderr) == (1, False)
    assert "No package index could be reached" in offline.stderr.splitlines()[-1]

    online = start(project, "--x", PIP_NO_INDEX="1", PIP_FIND_LINKS=str(project.parent))
    assert (online.stdout, online.returncode) == ("hard dev --x\n", 0)

    moved = project.rename(project.with_name("moved"))
    again = start(moved, PIP_NO_INDEX="1")
    assert (again.stdout, again.stderr) == ("hard dev\n", "")
    assert (
        subprocess.check_output([moved / ".venv/bin/notifier", "keys"], text=True) == "hard keys\n"
    )


def test_a_file_with_another_hash_is_not_installed(project: Path) -> None:
    pins = project / "requirements" / "run.txt"
    pins.write_text("pebble==1 \\\n    --hash=sha256:" + "0" * 64)
    done = start(project, PIP_NO_INDEX="1", PIP_FIND_LINKS=str(project.parent))
    assert (done.returncode, "its hash differs" in done.stderr) == (1, True)
    assert not list(project.glob(".venv/lib/*/site-packages/pebble*"))
