"""The committed API document: `python -m tools.openapi` writes docs/openapi.json anew.

It is what a started `notifier dev` answers at /openapi.json, so that nothing stands in it that
is not served.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

COMMITTED = Path(__file__).parent.parent / "docs" / "openapi.json"
_PATIENCE_S = 30.0


def served() -> str:
    """The document of a freshly started service, indented, as it is committed."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        environment = {
            name: v for name, v in os.environ.items() if not name.startswith("NOTIFIER_")
        }
        environment["NOTIFIER_DATA_DIR"] = folder
        with log.open("w") as words:
            process = subprocess.Popen(
                [sys.executable, "-m", "notifier", "dev"], env=environment, stderr=words
            )
        try:
            document = json.loads(_fetch(log, process))
        finally:
            process.terminate()
            process.wait()
    return json.dumps(document, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def _fetch(log: Path, process: "subprocess.Popen[bytes]") -> bytes:
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline and process.poll() is None:
        _, found, rest = log.read_text().partition("API reference")
        if found:
            url = rest.split()[0].removesuffix("/docs") + "/openapi.json"
            with urllib.request.urlopen(url) as answer:  # noqa: S310 - our own loopback address
                document: bytes = answer.read()
                return document
        time.sleep(0.05)
    raise RuntimeError(f"the service did not start:\n{log.read_text()}")


if __name__ == "__main__":
    COMMITTED.write_text(served())
