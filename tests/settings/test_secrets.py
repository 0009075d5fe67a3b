"""The secret key that dev makes for itself."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr

from notifier.core.errors import Misconfigured
from notifier.settings.secrets import KEY_FILE, WEAK_CHARS, secret_keys
from notifier.settings.sections import Settings


def dev(data_dir: Path) -> Settings:
    return Settings(is_dev=True, data_dir=data_dir)


def test_keys_that_are_set_come_newest_first(tmp_path: Path) -> None:
    settings = Settings(secret_key=(SecretStr("new"), SecretStr("öld")), data_dir=tmp_path)
    assert secret_keys(settings) == (b"new", "öld".encode())
    assert list(tmp_path.iterdir()) == []


def test_outside_dev_none_is_made(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="NOTIFIER_SECRET_KEY"):
        secret_keys(Settings(data_dir=tmp_path))


def test_dev_keeps_its_key(tmp_path: Path) -> None:
    (first,) = secret_keys(dev(tmp_path / "a" / "b"))
    assert secret_keys(dev(tmp_path / "a" / "b")) == (first,)
    assert len(first) >= WEAK_CHARS
    assert secret_keys(dev(tmp_path / "c")) != (first,)


def test_only_its_owner_can_read_the_key(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        secret_keys(dev(tmp_path / "data"))
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "data" / KEY_FILE).stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700


def test_a_key_that_others_could_read_is_closed(tmp_path: Path) -> None:
    (first,) = secret_keys(dev(tmp_path))
    (tmp_path / KEY_FILE).chmod(0o644)
    assert secret_keys(dev(tmp_path)) == (first,)
    assert stat.S_IMODE((tmp_path / KEY_FILE).stat().st_mode) == 0o600


@pytest.mark.parametrize("left", [b"", b"half a ke"])
def test_what_a_crash_left_is_made_anew(tmp_path: Path, left: bytes) -> None:
    (tmp_path / KEY_FILE).write_bytes(left)
    (key,) = secret_keys(dev(tmp_path))
    assert (tmp_path / KEY_FILE).read_bytes() == key + b"\n"


def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Misconfigured, match="NOTIFIER_DATA_DIR"):
        secret_keys(dev(tmp_path / "file"))


def test_all_starters_get_the_same_key(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib; from notifier.settings.secrets import secret_keys;"
        "from notifier.settings.sections import Settings; sys.stdin.read(1);"
        f"s = Settings(is_dev=True, data_dir=pathlib.Path({str(tmp_path)!r}));"
        "sys.stdout.write(secret_keys(s)[0].decode())"
    )
    starters = [
        subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]
    for starter in starters:
        assert starter.stdin is not None
        starter.stdin.write("x")
        starter.stdin.close()
    keys = [starter.stdout.read() for starter in starters if starter.stdout is not None]
    for starter in starters:
        assert starter.wait(30) == 0
        assert starter.stdout is not None
        starter.stdout.close()
    assert len(keys[0]) == 64
    assert len(set(keys)) == 1
