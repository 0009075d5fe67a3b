"""One mail's walk on this machine: start to sample, POST to inbox, memory; ends with JSON.

Everything is seen from outside a started `notifier dev`: over HTTP by a client that waits in the
inbox's `wait` call, so that its own round trips are in the figures. Nothing else should run.
"""

import json
import os
import platform
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from statistics import quantiles
from typing import Any
from urllib.parse import urlencode

ROOT = Path(__file__).resolve().parents[1]
IDLE_MAILS = 200
ALL_MAILS = 1000
PATIENCE_S = 60.0


@dataclass
class Service:
    """A started process and a connection to it."""

    process: "subprocess.Popen[bytes]"
    http: HTTPConnection

    def call(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Status and JSON of an answer."""
        headers = {"Content-Type": "application/json"} if body is not None else {}
        self.http.request(method, path, json.dumps(body) if body is not None else None, headers)
        answer = self.http.getresponse()
        return answer.status, json.loads(answer.read())

    def rss_mb(self) -> float:
        """Resident memory."""
        said = subprocess.check_output(["ps", "-o", "rss=", "-p", str(self.process.pid)])
        return int(said) / 1024


@contextmanager
def started(folder: str) -> Iterator[Service]:
    """`notifier dev` on free ports, not waited for; ended with the block."""
    ports = [free_port() for _ in range(3)]
    names = ("HTTP__PORT", "MAILBOX__SMTP_PORT", "MAILBOX__COMPAT_PORT")
    chosen = {f"NOTIFIER_{name}": str(port) for name, port in zip(names, ports, strict=True)}
    kept = {name: text for name, text in os.environ.items() if not name.startswith("NOTIFIER_")}
    with (Path(folder) / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "notifier", "dev"],
            cwd=ROOT,
            env={**kept, **chosen, "NOTIFIER_DATA_DIR": folder},
            stderr=log,
        )
    try:
        yield Service(process, HTTPConnection("127.0.0.1", ports[0], timeout=PATIENCE_S))
    finally:
        process.terminate()
        process.wait()


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def until_sample(service: Service) -> None:
    """Return when the sample is in the inbox."""
    ends = time.monotonic() + PATIENCE_S
    while True:
        assert service.process.poll() is None, "the service ended"
        assert time.monotonic() < ends, "no sample came"
        try:
            if service.call("GET", "/mailbox/api/messages")[1]["data"]:
                return
        except (OSError, HTTPException):
            service.http.close()
        time.sleep(0.01)


def post(service: Service, number: int) -> str:
    """Post one mail; returns its recipient."""
    address = f"p{number}@example.org"
    variables = {"title": "Your order has been shipped", "message": "It will be there soon. " * 20}
    body = {"to": address, "template": {"name": "notification", "variables": variables}}
    status, _ = service.call("POST", "/v1/notifications", body)
    assert status == 202, status
    return address


def wait_for(service: Service, query: str, count: int = 1) -> None:
    """Return when so many mails that match are in the inbox."""
    asked = urlencode({"query": query, "count": count, "timeout": PATIENCE_S / 2})
    status, _ = service.call("GET", f"/mailbox/api/wait?{asked}")
    assert status == 200, status


def post_to_inbox_ms(service: Service, number: int) -> tuple[float, float]:
    """From before the POST to its 202, and to the sight of the mail in the inbox."""
    began = time.perf_counter()
    address = post(service, number)
    answered = time.perf_counter()
    wait_for(service, f"to:{address}")
    return (answered - began) * 1000, (time.perf_counter() - began) * 1000


def measured() -> dict[str, float]:
    """All figures, by name."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        with started(folder) as service:
            until_sample(service)
            figures = {"start_to_sample_s": time.monotonic() - began, "idle_mb": service.rss_mb()}
            pairs = [post_to_inbox_ms(service, number) for number in range(IDLE_MAILS)]
            answered, seen = zip(*pairs, strict=True)
            for name, column in {"post_to_202": answered, "post_to_inbox": seen}.items():
                cuts = quantiles(column, n=100)
                figures |= {f"{name}_p50_ms": cuts[49], f"{name}_p99_ms": cuts[98]}
            rest = range(IDLE_MAILS, ALL_MAILS)
            began = time.monotonic()
            for number in rest:
                post(service, number)
            wait_for(service, f"to:p{rest[-1]}@example.org")
            figures["posts_a_second_one_client"] = len(rest) / (time.monotonic() - began)
            figures["after_1000_mails_mb"] = service.rss_mb()
    return {name: round(value, 2) for name, value in figures.items()}


def main(_: Sequence[str]) -> int:
    """Measure, print a table and one line of JSON."""
    figures = measured()
    for name, value in figures.items():
        print(f"{name:28} {value:10.2f}")
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs"
    print(json.dumps({"benchmark": "walk", "machine": machine, **figures}))
    return 0
