#!/usr/bin/env python3
"""Prepares `.venv` with the pinned packages and runs a task of this project.

    python3 run.py                 everything on this machine: API, queue, capture server, inbox
    python3 run.py run [OPTIONS]   the same; options are those of `notifier dev`
    python3 run.py test [ARGS]     all tests; arguments are pytest's
    python3 run.py check           ruff, mypy, import-linter
    python3 run.py fmt             format, and mend what ruff can mend
    python3 run.py bench [ARGS]    benchmarks
    python3 run.py soak [ARGS]     post, kill and restart for ten minutes: nothing may be lost
    python3 run.py lock [ARGS]     write requirements/*.txt anew; --upgrade takes newer versions

Needs Python 3.11 or newer and nothing else. Tasks run in the project's folder, with your
environment. Every other command of Notifier: `.venv/bin/notifier --help`.
"""

# This file must parse on Python 3.6, or an old Python shows a SyntaxError instead of a sentence.
import contextlib
import errno
import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

OLDEST = (3, 11)
TASKS = {"run": "notifier dev", "test": "pytest", "bench": "benchmarks", "soak": "tests.proof"}
TASKS.update((name, "tools.tasks " + name) for name in ("check", "fmt", "lock"))
"""What each task runs: arguments of `python -m` in `.venv`."""

ROOT = Path(os.path.abspath(__file__)).parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / "installed.json"
UNFINISHED = VENV / "unfinished"
LOG = VENV / "install.log"
STEP = b"\n$ "

DISK = "The disk is full: free some space, then run this again."
HASHES = (
    "A downloaded package is not the one that requirements/ pins (its hash differs), so it was"
    " not installed: look into the mirror or proxy that it came through."
)
NETWORK = (
    "No package index could be reached: connect this machine to the internet, or name your mirror,"
    " proxy or authority (PIP_INDEX_URL, HTTPS_PROXY, SSL_CERT_FILE), then run this again."
)
RIGHTS = "An installer may not write where it has to: mend the owner or mode, then run this again."
UNKNOWN = "The packages could not be installed."
OFFLINE = (
    r"connection broken|Connection refused|NewConnectionError|name resolution|dns error"
    r"|error sending request|Network is unreachable|ProxyError|tunnel error|timed out"
    r"|certificate verify failed|invalid peer certificate"
)
REASONS = (
    (DISK, r"No space left on device|Disk quota exceeded|os error (28|122)\b"),
    (HASHES, r"DO NOT MATCH THE HASHES|Hash mismatch"),
    (NETWORK, OFFLINE),
    (RIGHTS, r"Permission denied|Read-only file system|os error (13|30)\b"),
    (UNKNOWN, r""),
)
"""What an installer's words mean, the first that matches."""


class Stop(Exception):
    """Nothing more can be done here; its text is the one sentence for the user."""


def main(argv):
    """Run the task that `argv` names; returns the exit status, if the task returns at all."""
    try:
        refuse_unfit(os.name, sys.version_info[:3])
        os.chdir(str(ROOT))
        return perform(argv)
    except Stop as stop:
        say(stop)
    except OSError as error:
        say(in_words(error))
    except KeyboardInterrupt:
        return 130
    return 1


def refuse_unfit(system, version):
    """Stop where Notifier cannot run."""
    if version < OLDEST:
        raise Stop(
            "Notifier needs Python 3.11 or newer, and this is Python {}.{}.{}: install a newer one"
            " and start it by name, for example `python3.12 run.py`.".format(*version)
        )
    if system != "posix":
        raise Stop("Notifier runs on Linux and macOS: on Windows start it inside WSL.")


def perform(argv):
    """Split `argv` into task and arguments, prepare what the task needs, and hand over to it."""
    if argv and argv[0] in ("-h", "--help", "help"):
        sys.stdout.write(__doc__)
        return 0
    named = bool(argv) and not argv[0].startswith("-")
    task, arguments = (argv[0], argv[1:]) if named else ("run", argv)
    if task not in TASKS:
        say("There is no task `{}`: `python3 run.py --help` shows them.".format(task))
        return 2
    prepare("run" if task == "run" else "dev")
    # Replaces this process: signals and the exit status are the task's own.
    return os.execv(str(PYTHON), [str(PYTHON), "-m", *TASKS[task].split(), *arguments])


def prepare(wanted):
    """See to it that `.venv` holds the pinned set `wanted`; takes milliseconds when it does."""
    if is_ready(wanted):
        return
    with only_starter():
        if is_ready(wanted):
            return
        began, before = time.monotonic(), packages()
        target = "dev" if wanted == "dev" or read_stamp().get("set") == "dev" else "run"
        make_venv()
        try:
            install(target)
        finally:
            if packages() == before:  # nothing was touched: what worked yesterday works still
                UNFINISHED.unlink(missing_ok=True)
        connect_project()
        stamp = {"set": target, "fingerprint": fingerprint(target), "packages": packages()}
        STAMP.write_text(json.dumps(stamp))
        UNFINISHED.unlink(missing_ok=True)
        say("Ready after {:.0f} s.".format(time.monotonic() - began))


def is_ready(wanted):
    """Whether `.venv` is finished and holds `wanted`, which the development set does too."""
    stamp = read_stamp()
    return (
        stamp.get("set") in (wanted, "dev")
        and stamp.get("fingerprint") == fingerprint(stamp["set"])
        and os.access(str(PYTHON), os.X_OK)
        and set(stamp["packages"]) <= set(packages())
    )


def read_stamp():
    """What the last installation said when it was finished, or nothing."""
    with contextlib.suppress(OSError, ValueError):
        return {} if UNFINISHED.exists() else json.loads(STAMP.read_text())
    return {}


def fingerprint(name):
    """Changes with the interpreter, with this script and with the pinned set `name`."""
    digest = hashlib.sha256(tag().encode())
    for path in (ROOT / "run.py", pins("uv"), pins(name)):
        digest.update(Path(path).read_bytes())
    return digest.hexdigest()


def tag():
    """What a `.venv` is bound to: one of another interpreter or processor is made anew."""
    return "{} {} {}".format(sys.implementation.cache_tag, sys.abiflags, os.uname()[4])


def pins(name):
    """The file of a pinned set, relative to the project, as installers shall print it."""
    return os.path.join("requirements", name + ".txt")


def packages():
    """Names and versions of what is installed."""
    return sorted(path.name for path in VENV.glob("lib/*/site-packages/*.dist-info"))


@contextlib.contextmanager
def only_starter():
    """Hold the lock under which one of several starters prepares `.venv`; the others wait."""
    import fcntl  # Linux and macOS only, as Notifier itself

    with open(str(ROOT / ".venv.lock"), "a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Another start is preparing .venv; waiting for it ...")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def make_venv():
    """Leave a `.venv` that works, marked unfinished: kept if it is whole, else made anew."""
    if is_usable():
        UNFINISHED.touch()
        return
    for name in ("venv", "ensurepip"):
        if importlib.util.find_spec(name) is None:
            raise Stop(
                "This Python has no `{}` and cannot make .venv: on Debian or Ubuntu run `sudo apt"
                " install python{}.{}-venv`, elsewhere install a full Python, then run this"
                " again.".format(name, *sys.version_info[:2])
            )
    if os.path.lexists(str(VENV)):
        say("Making .venv anew: it is broken, unfinished, without pip or for another Python ...")
        if VENV.is_dir() and not VENV.is_symlink():
            shutil.rmtree(str(VENV))
        else:
            VENV.unlink()
    VENV.mkdir()
    UNFINISHED.touch()
    # sys.executable may be the Python of the very .venv that was just cleared.
    base = sys._base_executable  # type: ignore[attr-defined]
    if not logged([base, "-m", "venv", VENV]):
        stop_because(DISK, RIGHTS, UNKNOWN)


def is_usable():
    """Whether `.venv` (also one of uv's or an editor's) is whole, runs this Python, has pip."""
    probe = "import pip, sys, os; print(sys.implementation.cache_tag, sys.abiflags, os.uname()[4])"
    try:
        said = subprocess.check_output([PYTHON, "-I", "-c", probe], stderr=subprocess.DEVNULL)
    except (OSError, subprocess.CalledProcessError):
        return False
    return said.decode().strip() == tag() and not UNFINISHED.exists()


def install(name):
    """Make `.venv` hold the pinned set `name`, every file checked against its hash.

    uv is quick; where it has no wheel, or fails, pip does the same from the same file.
    """
    count = len(re.findall(r"^\w", Path(pins(name)).read_text(), re.MULTILINE))
    say("Installing {} pinned packages (first time only) ...".format(count))
    pip = [PYTHON, "-I", "-m", "pip", "install", "--require-hashes", "-r"]
    sync = [PYTHON, "-I", "-m", "uv", "pip", "sync", "--require-hashes", "--python", PYTHON]
    if not logged([*pip, pins("uv"), "--only-binary", ":all:"]):
        stop_because(DISK, HASHES, NETWORK)
    elif logged([*sync, pins(name)]):
        return
    stop_because(DISK, HASHES)
    say("uv cannot do it here; pip goes on, which takes longer ...")
    if not logged([*pip, pins(name)]):
        stop_because(DISK, HASHES, NETWORK, RIGHTS, UNKNOWN)


def stop_because(*sentences):
    """Stop with the first of `sentences` that explains what the last step wrote into the log."""
    said = LOG.read_bytes().rpartition(STEP)[2].decode("utf-8", "replace")
    for sentence, pattern in REASONS:
        if sentence in sentences and re.search(pattern, said, re.IGNORECASE):
            raise Stop("{} The installer's own words: {}".format(sentence, LOG))


def logged(command):
    """Run a step of the installation with its words in the log; returns whether it succeeded."""
    with open(str(LOG), "ab") as log:
        log.write(STEP + " ".join(map(str, command)).encode() + b"\n")
        log.flush()
        nothing = subprocess.DEVNULL
        return not subprocess.call(
            command, env=environment(), stdin=nothing, stdout=log, stderr=log
        )


def environment():
    """The user's environment, less what would lead an installer away from `.venv`."""
    astray = ("PIP_TARGET", "PIP_PREFIX", "UV_SYSTEM_PYTHON", "UV_TARGET", "UV_PREFIX")
    users = {name: value for name, value in os.environ.items() if name not in astray}
    fixed = {"PIP_USER": "0", "PIP_NO_INPUT": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    fixed.update(UV_SYSTEM_CERTS="1", UV_PYTHON_DOWNLOADS="never", UV_COMPILE_BYTECODE="1")
    if users.get("PIP_INDEX_URL"):
        users.setdefault("UV_DEFAULT_INDEX", users["PIP_INDEX_URL"])
    return {"PIP_RETRIES": "2", **users, **fixed}


def connect_project():
    """Make `notifier` importable and `.venv/bin/notifier` work, also after the folder moved."""
    (next(VENV.glob("lib/*/site-packages")) / "notifier.pth").write_text("../../../..\n")
    command = VENV / "bin" / "notifier"
    command.write_text('#!/bin/sh\nexec "$(dirname "$0")/python" -P -m notifier "$@"\n')
    command.chmod(0o755)


def in_words(error):
    """The sentence for an operating system's error."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DISK
    said = re.sub(r"^\[.*?\] ", "", str(error))
    return said + (": make it writable." if error.errno in (errno.EACCES, errno.EROFS) else ".")


def say(sentence):
    """One line on standard error, at once: standard output belongs to the task."""
    sys.stderr.write("run.py: {}\n".format(sentence))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
