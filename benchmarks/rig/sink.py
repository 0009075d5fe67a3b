"""Postfix's `smtp-sink`: takes every mail, keeps none, counts all."""

import os
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.rig.figures import Failed
from benchmarks.rig.machine import free_port
from benchmarks.rig.started import ended, until_listening
from benchmarks.rig.tools import postfix_command

_COUNT = re.compile(rb"mesg=(\d+)")
_TAIL = 200
STALL_S = 15.0


@dataclass(frozen=True)
class Sink:
    """A started sink on the loopback. `told` is the file with its running counters."""

    port: int
    told: Path

    def count(self) -> int:
        """Mails taken so far."""
        with self.told.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL))
            found = _COUNT.findall(file.read())
        return int(found[-1]) if found else 0

    def until(self, count: int, patience_s: float, stall_s: float = STALL_S) -> float:
        """The monotonic time at which it had taken so many. Raises Failed, also when for
        `stall_s` none came.
        """
        ends, grew_at, before = time.monotonic() + patience_s, time.monotonic(), -1
        while (seen := self.count()) < count:
            now = time.monotonic()
            if seen > before:
                grew_at, before = now, seen
            if now > min(ends, grew_at + stall_s):
                raise Failed(f"{count - seen} of {count} mails did not come")
            time.sleep(0.002)
        return time.monotonic()


@contextmanager
def sink(folder: Path) -> Iterator[Sink]:
    """A sink that ends with the block. Raises Failed where there is no `smtp-sink`."""
    port = free_port()
    who = ["-u", "nobody"] if os.geteuid() == 0 else []  # it refuses to run as root
    command, environment = postfix_command(
        "smtp-sink", *who, "-c", "-m", "1000", f"127.0.0.1:{port}", "1000"
    )
    told = folder / f"sink-{port}"
    with told.open("ab") as out, (folder / f"sink-{port}.err").open("ab") as err:
        process = subprocess.Popen(command, env=environment, stdout=out, stderr=err)
    try:
        until_listening(port, process)
        yield Sink(port, told)
    finally:
        ended(process)
