"""A data folder that cannot be written: one sentence and exit code 2, before any port is open."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.process import run

pytestmark = pytest.mark.anyio

SERVE = {
    "PUBLIC_URL": "http://127.0.0.1:9",
    "SECRET_KEY": "0123456789abcdef0123456789abcdef",
    "MAIL__FROM": "Shop <shop@example.com>",
}


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    """A folder on a disk without write access, which keeps root out too."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "ro,size=1m", "tmpfs", str(folder)]
    may = os.geteuid() == 0 and shutil.which("mount") is not None
    if may and subprocess.run(mount, check=False).returncode == 0:
        yield folder
        subprocess.run(["umount", str(folder)], check=True)
        return
    if os.geteuid() == 0:
        pytest.skip("no disk can be mounted here, and root may write everywhere else")
    folder.chmod(0o500)
    yield folder
    folder.chmod(0o700)


@pytest.mark.parametrize("role", ["serve", "dev", "migrate"])
async def test_a_folder_that_may_only_be_read_is_named(
    read_only: Path, tmp_path: Path, role: str
) -> None:
    settings = {} if role == "dev" else SERVE
    code, said = await run(tmp_path, role, **settings, DATA_DIR=read_only)
    assert code == 2
    assert str(read_only) in said
    assert "Traceback" not in said


@pytest.mark.parametrize("role", ["serve", "dev", "migrate"])
async def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path, role: str) -> None:
    (tmp_path / "file").touch()
    settings = {} if role == "dev" else SERVE
    code, said = await run(tmp_path, role, **settings, DATA_DIR=tmp_path / "file" / "data")
    assert code == 2
    assert str(tmp_path / "file" / "data") in said
    assert "Traceback" not in said
