"""What can be known of the container without an engine that builds it."""

import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from fnmatch import fnmatch
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
import yaml

from tests.meta.sources import files
from tests.toolchain.starter import ROOT

DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))
DEV: dict[str, Any] = COMPOSE["services"]["notifier"]


def copied() -> list[str]:
    """Sources of the COPY lines that take from the repository."""
    lines = re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE)
    return [source for line in lines for source in line.split()[:-1]]


def sent(name: str) -> bool:
    """Whether .dockerignore lets a path through: the last rule that matches decides."""
    verdict = True
    for rule in (ROOT / ".dockerignore").read_text("utf-8").splitlines():
        pattern = rule.lstrip("!")
        if rule and not rule.startswith("#") and (fnmatch(name, pattern) or name == pattern):
            verdict = rule.startswith("!")
    return verdict


@pytest.mark.parametrize("source", copied())
def test_everything_that_is_copied_exists_and_is_sent_to_the_builder(source: str) -> None:
    assert (ROOT / source).exists()
    assert sent(source) or sent(source.split("/", maxsplit=1)[0])


@pytest.mark.parametrize("name", [".git", ".venv", ".data", ".env", "tests"])
def test_nothing_private_or_large_is_sent_to_the_builder(name: str) -> None:
    assert not sent(name)


def test_every_installation_checks_hashes_or_asks_no_index() -> None:
    steps = re.split(r"&&|\nRUN|\n\n", DOCKERFILE.replace("\\\n", " "))
    installs = [step for step in steps if re.search(r"\bpip\b.* (install|wheel) ", step)]
    assert len(installs) == 4
    assert all("--require-hashes" in step or "--no-index" in step for step in installs)


@pytest.mark.parametrize(
    "line", ["USER 10001:10001", "VOLUME /data", "STOPSIGNAL SIGTERM", 'ENTRYPOINT ["notifier"]']
)
def test_the_image_runs_without_rights_and_stops_in_order(line: str) -> None:
    assert line in DOCKERFILE.splitlines()


def test_compose_publishes_on_this_machine_only() -> None:
    published = [
        port for service in COMPOSE["services"].values() for port in service.get("ports", [])
    ]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_compose_listens_where_it_publishes() -> None:
    inside = {port.rsplit(":", 1)[1] for port in DEV["ports"]}
    settings = DEV["environment"]
    assert inside == {value for name, value in settings.items() if name.endswith("PORT")}
    assert {value for name, value in settings.items() if name.endswith("HOST")} == {"0.0.0.0"}
    assert settings["NOTIFIER_DEV__OPEN"] == "true"


def test_compose_keeps_data_in_a_volume_and_nothing_else_writable() -> None:
    assert (DEV["volumes"], DEV["read_only"]) == (["data:/data"], True)
    assert "data" in COMPOSE["volumes"]


class Health(BaseHTTPRequestHandler):
    """Answers /healthz with the status that the server was given."""

    def do_GET(self) -> None:
        self.send_response(self.server.status if self.path == "/healthz" else 404)  # type: ignore[attr-defined]
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[HTTPServer]:
    with HTTPServer(("127.0.0.1", 0), Health) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def healthcheck(**environment: str) -> int:
    script = ROOT / "deploy" / "healthcheck.py"
    done = subprocess.run(
        [sys.executable, script], env=environment, capture_output=True, timeout=20, check=False
    )
    assert b"Traceback" not in done.stderr
    return done.returncode


@pytest.mark.parametrize(("status", "expected"), [(200, 0), (503, 1)])
def test_health_is_what_the_process_answers(server: Any, status: int, expected: int) -> None:
    server.status = status
    assert healthcheck(NOTIFIER_HTTP__PORT=str(server.server_port)) == expected


def test_health_is_asked_at_the_port_that_is_set_for_it(server: Any) -> None:
    server.status = 200
    assert healthcheck(NOTIFIER_HTTP__PORT="1", NOTIFIER_OPS__PORT=str(server.server_port)) == 0


def test_silence_is_not_health() -> None:
    assert healthcheck(NOTIFIER_HTTP__PORT="1") == 1


def test_scripts_are_executable() -> None:
    scripts = [path for path in files() if path.name == "run" or path == ROOT / "run.py"]
    assert [path for path in scripts if not path.stat().st_mode & 0o100] == []
