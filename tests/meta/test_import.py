"""Nothing happens at import."""

import subprocess
import sys

from tests.meta.sources import ROOT, sources

WATCH = """
import sys

quiet = {"socket.connect", "socket.bind", "subprocess.Popen", "os.system", "os.mkdir", "os.remove"}

def watch(event, arguments):
    if event in quiet or (event == "open" and set(str(arguments[1])) & set("wax+")):
        raise RuntimeError(f"{event} {arguments}")

import asyncio, importlib, logging, signal, threading
sys.dont_write_bytecode = True
sys.addaudithook(watch)
before = threading.active_count(), list(logging.root.handlers), signal.getsignal(signal.SIGTERM)
for name in sys.argv[1:]:
    importlib.import_module(name)
after = threading.active_count(), list(logging.root.handlers), signal.getsignal(signal.SIGTERM)
assert after == before, (before, after)
"""


def modules() -> list[str]:
    """Every module of ours that can be imported without being run."""
    names = [source.name.removesuffix(".py").replace("/", ".") for source in sources("notifier")]
    return [
        name.removesuffix(".__init__")
        for name in names
        if not name.endswith("__main__") and ".migrations." not in name
    ]


def test_importing_every_module_opens_writes_and_starts_nothing() -> None:
    command = [sys.executable, "-c", WATCH, *modules()]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
