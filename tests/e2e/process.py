"""Notifier as a user starts it: a process of its own, real ports, real HTTP and SMTP."""

import asyncio
import base64
import os
import socket
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

ROOT = Path(__file__).resolve().parents[2]
START_S = 30.0
DEADLINE_S = 15.0
KEY = "ntf_live_" + base64.urlsafe_b64encode(b"k" * 32).decode().rstrip("=")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def eventually(ask: Callable[[], Awaitable[bool]], what: str) -> None:
    """Ask until the answer is yes."""
    ends = time.monotonic() + DEADLINE_S
    while not await ask():
        assert time.monotonic() < ends, f"never came true: {what}"
        await asyncio.sleep(0.02)


@dataclass
class Service:
    """A started process. `web` calls it; `log` is what it wrote to standard error.

    `probe` is the address of its `/readyz`.
    """

    process: asyncio.subprocess.Process
    web: httpx2.AsyncClient
    log_path: Path
    smtp_port: int = 0
    probe: str = ""

    @property
    def log(self) -> str:
        return self.log_path.read_text("utf-8", "replace")

    async def post(self, path: str = "/v1/notifications", **body: Any) -> dict[str, Any]:
        answer = await self.web.post(path, json=body)
        assert answer.status_code in {200, 202}, answer.text
        return dict(answer.json())

    async def send(self, to: str | list[str], **body: Any) -> dict[str, Any]:
        return await self.post(to=to, subject="Hello", text="It works.", **body)

    async def read(self, told: Mapping[str, Any]) -> dict[str, Any]:
        return dict((await self.web.get(told["links"]["self"])).json())

    async def until(self, told: Mapping[str, Any], status: str) -> dict[str, Any]:
        """The notification as soon as it has this status."""

        async def has_it() -> bool:
            return bool((await self.read(told))["status"] == status)

        await eventually(has_it, f"{told['id']} is {status}")
        return await self.read(told)

    async def inbox(self, **query: str) -> list[dict[str, Any]]:
        """Captured mails, newest first."""
        answer = await self.web.get("/mailbox/api/messages", params={"limit": "200", **query})
        return list(answer.json()["data"])

    async def captured(self, query: str, count: int = 1) -> list[dict[str, Any]]:
        """The mails that match, waited for."""
        answer = await self.web.get(
            "/mailbox/api/wait",
            params={"query": query, "count": count, "timeout": DEADLINE_S},
            timeout=DEADLINE_S + 5,
        )
        assert answer.status_code == 200, answer.text
        ids = [mail["id"] for mail in answer.json()["data"]]
        return [(await self.web.get(f"/mailbox/api/messages/{one}")).json() for one in ids]

    async def text(self, mail: Mapping[str, Any]) -> str:
        return (await self.web.get(f"/mailbox/api/messages/{mail['id']}/text")).text

    async def terminate(self) -> int:
        self.process.terminate()
        return await asyncio.wait_for(self.process.wait(), DEADLINE_S)

    async def kill(self) -> None:
        self.process.kill()
        await self.process.wait()


def environment(folder: Path, **settings: object) -> dict[str, str]:
    kept = {name: text for name, text in os.environ.items() if not name.startswith("NOTIFIER_")}
    chosen = {f"NOTIFIER_{name}": str(value) for name, value in settings.items()}
    return {**kept, "NOTIFIER_DATA_DIR": str(folder), **chosen}


async def run(folder: Path, *arguments: str, **settings: object) -> tuple[int, str]:
    """A command that ends by itself: its exit code and what it wrote to standard error."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "notifier", *arguments,
        cwd=ROOT, env=environment(folder, **settings),
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    _, said = await asyncio.wait_for(process.communicate(), START_S)
    assert process.returncode is not None
    return process.returncode, said.decode()


@asynccontextmanager
async def started(folder: Path, *arguments: str, **settings: object) -> AsyncIterator[Service]:
    """`python -m notifier …`, ready; killed at the end unless it has ended by then."""
    ports = {"HTTP__PORT": free_port(), "OPS__PORT": free_port()}
    if arguments[0] == "dev":
        ports |= {"MAILBOX__SMTP_PORT": free_port(), "MAILBOX__COMPAT_PORT": free_port()}
    chosen = environment(folder, **{**settings, **ports})
    log = folder / f"{arguments[0]}.log"
    with log.open("ab") as words:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "notifier", *arguments,
            cwd=ROOT, env=chosen, stdout=words, stderr=words,
        )  # fmt: skip
    headers = {} if arguments[0] == "dev" else {"Authorization": f"Bearer {KEY}"}
    base = f"http://127.0.0.1:{ports['HTTP__PORT']}"
    probe = f"http://127.0.0.1:{ports['OPS__PORT']}/readyz"
    try:
        async with httpx2.AsyncClient(base_url=base, headers=headers, timeout=30) as web:
            service = Service(process, web, log, ports.get("MAILBOX__SMTP_PORT", 0), probe)
            await _ready(service, probe)
            yield service
    finally:
        if process.returncode is None:
            await service.kill()


async def _ready(service: Service, probe: str) -> None:
    ends = time.monotonic() + START_S
    while True:
        assert service.process.returncode is None, service.log
        assert time.monotonic() < ends, service.log
        try:
            if (await service.web.get(probe)).status_code == 200:
                return
        except httpx2.TransportError:
            pass
        await asyncio.sleep(0.02)
