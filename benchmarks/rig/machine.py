"""What is asked of the operating system: the machine's words, versions, CPU time and memory."""

import os
import platform
import socket
import sqlite3
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

PYTHON = sys.executable
MB = 1024.0
_CPUINFO = Path("/proc/cpuinfo")
_SHOWN = ("aiosmtplib", "fastapi", "pydantic", "sqlalchemy", "uvicorn", "uvloop")


def words() -> str:
    """The machine in a few words."""
    told = _CPUINFO.read_text() if _CPUINFO.exists() else ""
    names = [line.partition(":")[2].strip() for line in told.splitlines() if "model name" in line]
    parts = [platform.system(), platform.machine(), f"{os.cpu_count()} CPUs", *names[:1]]
    return ", ".join(parts)


def versions() -> dict[str, str]:
    """What was measured, by name."""
    own = {"python": platform.python_version(), "sqlite": sqlite3.sqlite_version}
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False
    )
    return {**own, **{name: version(name) for name in _SHOWN}, "notifier": commit.stdout.strip()}


def free_port() -> int:
    """A port of the loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def cpu_s(pid: int) -> float:
    """User and system time of a process and its threads, in steps of 10 ms; 0 where unknown."""
    try:
        told = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(told[11]) + int(told[12])) / os.sysconf("SC_CLK_TCK")


def rss_mb(pid: int) -> float:
    """Resident memory now."""
    return int(subprocess.check_output(["ps", "-o", "rss=", "-p", str(pid)])) / MB


def peak_mb(pid: int) -> float:
    """The most that was ever resident; on systems that do not tell, what is resident now."""
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        return rss_mb(pid)
    lines = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
    return int(lines["VmHWM"].split()[0]) / MB


def python_environment() -> dict[str, str]:
    """This environment without our settings, and with bytecode kept, as users have it."""
    away = {"PYTHONDONTWRITEBYTECODE"}
    return {
        name: text
        for name, text in os.environ.items()
        if not name.startswith("NOTIFIER_") and name not in away
    }
