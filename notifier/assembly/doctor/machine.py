"""The interpreter, SQLite's library, the clock and the data folder."""

import fcntl
import os
import platform
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from email.errors import MessageError
from email.message import EmailMessage
from pathlib import Path
from typing import Final

from notifier.assembly.doctor.check import Check, failed, ok, warning
from notifier.settings.sections import MIB

_GIB: Final = 1024 * MIB
_LEAST_BYTES: Final = 100 * MIB
_SCARCE_BYTES: Final = _GIB
_SYNCS: Final = 7
_SLOW_SYNC_S: Final = 0.05
_YEARS: Final = range(2025, 2100)
_NETWORK: Final = ("nfs", "cifs", "smb", "9p", "fuse.sshfs", "glusterfs", "ceph", "afs")
_MOUNTS: Final = Path("/proc/self/mounts")


def of_machine(data_dir: Path) -> Iterator[Check]:
    """Everything that can be said without the settings of a role."""
    yield _interpreter()
    yield _clock()
    yield from of_data_dir(data_dir)


def _interpreter() -> Check:
    version = f"Python {platform.python_version()}"
    if folds_headers_safely():
        return ok("python", f"{version}; its email module folds headers safely")
    return warning(
        "python",
        f"{version} lets a coded line break in a subject become a header of its own"
        " (CVE-2024-6923). Notifier refuses such text itself; other programs do not",
        "take a newer patch level of this Python: 3.11.10, 3.12.5 or later",
    )


def folds_headers_safely() -> bool:
    """Whether the email module keeps a line break in an encoded word from ending the header.

    The behaviour is what counts: distributors mend old patch levels.
    """
    mail = EmailMessage()
    mail["Subject"] = "=?utf-8?q?hello=0ABcc:_evil@example.org?="
    try:
        return b"\nBcc:" not in mail.as_bytes()
    except MessageError:  # HeaderWriteError, where there is one
        return True


def _clock() -> Check:
    now = datetime.now(UTC)
    says = f"the clock says {now:%Y-%m-%d %H:%M:%S} UTC"
    if now.year in _YEARS:
        return ok("clock", says)
    return failed("clock", says, "set this machine's clock, best by NTP: mail would expire at once")


def of_data_dir(folder: Path) -> Iterator[Check]:
    """Whether the queue would be safe there."""
    shown = folder.absolute()
    if not folder.is_dir():
        yield _to_be_made(shown)
        return
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        yield failed(
            "data_dir", f"{shown} cannot be written to", f"give it to this user: {os.geteuid()}"
        )
        return
    yield _mode(shown)
    yield _room(shown)
    yield from _file_system(shown)


def _to_be_made(folder: Path) -> Check:
    parent = next(one for one in folder.parents if one.exists())
    if os.access(parent, os.W_OK | os.X_OK):
        return ok("data_dir", f"{folder} is not there yet; the first start makes it")
    return failed(
        "data_dir",
        f"{folder} is not there, and cannot be made in {parent}",
        "make it for this user, or set NOTIFIER_DATA_DIR",
    )


def _mode(folder: Path) -> Check:
    mode = folder.stat().st_mode & 0o777
    says = f"{folder} is writable, mode {mode:04o}"
    if mode & 0o007:
        return warning("data_dir", f"{says}: others may look into it", f"chmod 700 {folder}")
    return ok("data_dir", says)


def _room(folder: Path) -> Check:
    usage = shutil.disk_usage(folder)
    says = f"{usage.free / _GIB:,.1f} GiB of {usage.total / _GIB:,.1f} GiB are free there"
    remedy = "make room, or set NOTIFIER_DATA_DIR to a larger disk: without room mail is refused"
    if usage.free < _LEAST_BYTES:
        return failed("disk_space", says, remedy)
    return (
        ok("disk_space", says)
        if usage.free >= _SCARCE_BYTES
        else warning("disk_space", says, remedy)
    )


def _file_system(folder: Path) -> Iterator[Check]:
    kind = file_system_of(folder)
    if kind is not None and kind.startswith(_NETWORK):
        yield failed(
            "file_system",
            f"it is on {kind}, a network file system: SQLite and its locks are not safe there",
            "set NOTIFIER_DATA_DIR to a local disk, or use PostgreSQL",
        )
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".doctor-") as file:
        yield _locks(Path(file.name), kind)
        yield _sync(file.fileno())


def file_system_of(folder: Path) -> str | None:
    """The kind of the file system, as the kernel names it; None where it does not say."""
    best: tuple[int, str | None] = (-1, None)
    with suppress(OSError):
        for line in _MOUNTS.read_text().splitlines():
            _, point, kind, *_ = line.split(" ")
            point = point.encode().decode("unicode_escape")
            if folder.is_relative_to(point) and len(point) >= best[0]:
                best = len(point), kind
    return best[1]


def _locks(file: Path, kind: str | None) -> Check:
    where = f"{kind or 'a file system'} with working locks (flock)"
    with file.open("rb") as one, file.open("rb") as other:
        try:
            fcntl.flock(one, fcntl.LOCK_EX | fcntl.LOCK_NB)
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return ok("file_locks", f"it is {where}")
        except OSError as error:
            reason = f": {error.strerror}"
        else:
            reason = ": two holders at once"
    return failed(
        "file_locks",
        f"locks on files (flock) do not work there{reason}",
        "set NOTIFIER_DATA_DIR to a local disk, or use PostgreSQL",
    )


def _sync(descriptor: int) -> Check:
    """The median of a few, each with something to write."""
    took: list[float] = []
    for _ in range(_SYNCS):
        os.write(descriptor, b"x" * 4096)
        began = time.perf_counter()
        try:
            os.fsync(descriptor)
        except OSError as error:
            return failed("disk_sync", f"fsync fails there: {error.strerror}", "take another disk")
        took.append(time.perf_counter() - began)
    middle = statistics.median(took)
    says = f"a sync to the disk takes {middle * 1000:.1f} ms"
    if middle < _SLOW_SYNC_S:
        return ok("disk_sync", says)
    return warning(
        "disk_sync", f"{says}, and every answer of the API waits for one", "take a faster disk"
    )
