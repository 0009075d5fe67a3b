"""Where the peers come from: their own pinned sets, installed below `.cache/` and nowhere else."""

import base64
import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from benchmarks.rig.figures import Failed
from benchmarks.rig.machine import PYTHON

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".cache" / "benchmarks"
PEERS = ROOT / "benchmarks" / "peers"
PINS = PEERS / "requirements.txt"
PATIENCE_S = 300


@cache
def postfix() -> Path:
    """The folder that Debian's package `postfix` was unpacked into. Raises Failed."""
    folder = CACHE / "postfix"
    if (folder / "usr/sbin/smtp-sink").exists():
        return folder
    for tool in ("apt-get", "dpkg"):
        if shutil.which(tool) is None:
            raise Failed(f"no {tool} here, which unpacks smtp-sink")
    folder.mkdir(parents=True, exist_ok=True)
    download = ["apt-get", "download", "-o", "APT::Sandbox::User=root", "postfix"]
    if _runs(download, folder) is not None:
        _runs(["apt-get", "update"], folder)
        _demand(download, folder, "postfix cannot be downloaded")
    package = next(folder.glob("postfix_*.deb"))
    _demand(["dpkg", "-x", str(package), "."], folder, "postfix cannot be unpacked")
    return folder


def postfix_command(name: str, *arguments: str) -> tuple[list[str], dict[str, str]]:
    """Command and environment of a program of Postfix. Raises Failed."""
    folder = postfix()
    environment = {**os.environ, "LD_LIBRARY_PATH": str(folder / "usr/lib/postfix")}
    return [str(folder / "usr/sbin" / name), *arguments], environment


def postfix_version() -> str:
    """As the package's file says."""
    return next(postfix().glob("postfix_*.deb")).name.split("_")[1]


@cache
def peers_python() -> Path:
    """The interpreter of a `.venv` that holds the pinned Python peers. Raises Failed."""
    folder = CACHE / "python"
    python, stamp = folder / "bin/python", folder / "installed"
    wanted = hashlib.sha256(PINS.read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text() == wanted:
        return python
    CACHE.mkdir(parents=True, exist_ok=True)
    _demand([PYTHON, "-m", "venv", "--clear", str(folder)], ROOT, "no environment for the peers")
    sync = [PYTHON, "-m", "uv", "pip", "sync", "--require-hashes", "--python", str(python)]
    _demand([*sync, str(PINS)], ROOT, "the Python peers cannot be installed")
    stamp.write_text(wanted)
    return python


def peers_versions() -> dict[str, str]:
    """Names and versions of the Python peers as pinned."""
    lines = [line.split(" ")[0] for line in PINS.read_text().splitlines() if "==" in line]
    return dict(line.split("==") for line in lines)


@cache
def node_folder() -> Path:
    """A folder whose `node_modules` holds the pinned Node peers. Raises Failed."""
    for tool in ("node", "npm"):
        if shutil.which(tool) is None:
            raise Failed(f"no {tool} here")
    folder = CACHE / "node"
    folder.mkdir(parents=True, exist_ok=True)
    pins = (PEERS / "package.json").read_text()
    stamp = folder / "installed"
    if stamp.exists() and stamp.read_text() == pins:
        return folder
    cache = f"--cache={CACHE / 'npm'}"
    for name, version in node_pins().items():
        packed = folder / f"{name}-{version}.tgz"
        _demand(["npm", "pack", f"{name}@{version}", cache], folder, f"{name} cannot be had")
        if _integrity(packed) != json.loads(pins)["integrity"][name]:
            raise Failed(f"{packed.name} is not the package that is pinned")
        install = ["npm", "install", "--no-package-lock", "--no-save", "--offline"]
        options = ["--ignore-scripts", "--no-audit", "--no-fund", cache]
        _demand([*install, *options, str(packed)], folder, f"{name} cannot be installed")
    stamp.write_text(pins)
    return folder


def node_pins() -> dict[str, str]:
    """Names and versions of the Node peers as pinned. None of them needs another package."""
    pins: dict[str, str] = json.loads((PEERS / "package.json").read_text())["dependencies"]
    return pins


def node_version(package: str) -> str:
    """The pinned version of a Node peer."""
    return node_pins()[package]


def _integrity(file: Path) -> str:
    """A file's hash as npm writes it."""
    return "sha512-" + base64.b64encode(hashlib.sha512(file.read_bytes()).digest()).decode()


def _demand(command: Sequence[str], folder: Path, sentence: str) -> None:
    said = _runs(command, folder)
    if said is not None:
        raise Failed(f"{sentence}: {said}")


def _runs(command: Sequence[str], folder: Path) -> str | None:
    """None: it succeeded. Else the last line of what it said."""
    caches = {"UV_SYSTEM_CERTS": "1", "UV_CACHE_DIR": str(CACHE / "uv")}
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env={**caches, **os.environ},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    return None if done.returncode == 0 else (lines or ["it failed without a word"])[-1][:200]
