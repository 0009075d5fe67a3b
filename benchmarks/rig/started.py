"""Processes that are measured from outside: started on free ports, waited for, ended."""

import base64
import http.client
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.rig.figures import Failed
from benchmarks.rig.machine import PYTHON, free_port, python_environment
from benchmarks.rig.tools import ROOT

START_S = 60.0
STOP_S = 30.0
KEY = "ntf_live_" + base64.urlsafe_b64encode(b"b" * 32).decode().rstrip("=")

Process = subprocess.Popen[bytes]


@dataclass(frozen=True)
class Started:
    """A ready process. `ready_s` is the time from its start until `/readyz` said 200."""

    process: Process
    port: int
    ready_s: float

    @property
    def pid(self) -> int:
        """Its number."""
        return self.process.pid


def settings_for(relay_port: int, connections: int = 20, **more: object) -> dict[str, str]:
    """What a process outside dev has to be told, with one relay on the loopback.

    `more` are settings without their prefix; all that is not named here has its default.
    """
    told = {
        "PUBLIC_URL": "https://notify.example.org",
        "SECRET_KEY": "0123456789abcdef0123456789abcdef",
        "MAIL__FROM": "Shop <shop@example.org>",
        "KEYS__BENCH__SECRET": KEY,
        "RELAYS__SINK__URL": f"smtp://127.0.0.1:{relay_port}?tls=none",
        "RELAYS__SINK__CONNECTIONS": connections,
        **more,
    }
    return {f"NOTIFIER_{name}": str(value) for name, value in told.items()}


@contextmanager
def notifier(folder: Path, *arguments: str, settings: Mapping[str, str]) -> Iterator[Started]:
    """`notifier …` on free ports, ready; told to stop at the end. Raises Failed."""
    port, ops = free_port(), free_port()
    chosen = {"NOTIFIER_HTTP__PORT": str(port), "NOTIFIER_OPS__PORT": str(ops)}
    if arguments[0] == "dev":
        for name in ("SMTP_PORT", "COMPAT_PORT"):
            chosen[f"NOTIFIER_MAILBOX__{name}"] = str(free_port())
    environment = {**python_environment(), "NOTIFIER_DATA_DIR": str(folder), **settings, **chosen}
    log = folder / f"{arguments[0]}-{port}.log"
    began = time.monotonic()
    with log.open("ab") as words:
        process = subprocess.Popen(
            [PYTHON, "-m", "notifier", *arguments],
            cwd=ROOT,
            env=environment,
            stdout=words,
            stderr=words,
        )
    try:
        _until_ready(ops, process, log)
        yield Started(process, port, time.monotonic() - began)
    finally:
        ended(process)


def run_notifier(folder: Path, *arguments: str, settings: Mapping[str, str]) -> None:
    """A command of ours that ends by itself. Raises Failed."""
    environment = {**python_environment(), "NOTIFIER_DATA_DIR": str(folder), **settings}
    command = [PYTHON, "-m", "notifier", *arguments]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, timeout=START_S, check=False
    )
    if done.returncode != 0:
        raise Failed(f"notifier {arguments[0]}: {_last_line(done.stderr)}")


@contextmanager
def application(
    python: Path | str, name: str, environment: Mapping[str, str], log: Path
) -> Iterator[Started]:
    """A peer's ASGI application under uvicorn, one process. `name` is a module of `peers/`."""
    port = free_port()
    options = ["--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "error"]
    command = [
        str(python),
        "-m",
        "uvicorn",
        f"benchmarks.peers.{name}:app",
        "--port",
        str(port),
        *options,
    ]
    inherited = {**python_environment(), "PYTHONPATH": str(ROOT)}
    began = time.monotonic()
    with log.open("ab") as words:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**inherited, **environment},
            stdout=words,
            stderr=words,
        )
    try:
        until_listening(port, process, log)
        yield Started(process, port, time.monotonic() - began)
    finally:
        ended(process)


def until_listening(port: int, process: Process, log: Path | None = None) -> None:
    """Return when something accepts connections there. Raises Failed."""
    ends = time.monotonic() + START_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            _still_waits(process, ends, log)


def ended(process: Process) -> None:
    """Tell it to stop; kill it if it does not."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _until_ready(port: int, process: Process, log: Path) -> None:
    ends = time.monotonic() + START_S
    while True:
        probe = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            probe.request("GET", "/readyz")
            if probe.getresponse().status == 200:
                return
        except (OSError, http.client.HTTPException):
            pass
        finally:
            probe.close()
        _still_waits(process, ends, log)


def _still_waits(process: Process, ends: float, log: Path | None) -> None:
    said = log.read_bytes() if log is not None and log.exists() else b""
    if process.poll() is not None:
        raise Failed(f"it ended at once: {_last_line(said)}")
    if time.monotonic() > ends:
        raise Failed(f"not ready after {START_S:.0f} s: {_last_line(said)}")
    time.sleep(0.005)


def _last_line(said: bytes) -> str:
    lines = [line for line in said.decode("utf-8", "replace").split(os.linesep) if line.strip()]
    return lines[-1][:200] if lines else "without a word"
