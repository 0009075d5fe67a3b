"""Several processes on one database, and callers who post until they are told 202."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import httpx2

from tests.e2e.process import KEY, Service, eventually, run, started
from tests.support.scripted_smtp import ScriptedSmtp

Settings = dict[str, Any]
API = ("serve", "--no-dispatch")
_PAUSE_S = 0.1
_numbers = count(1)


def operators(url: str, relay: ScriptedSmtp, folder: Path) -> Settings:
    """What an operator sets for every process; short leases and polls, so that tests are short."""
    secret = folder / "key"
    secret.write_text(KEY + "\n")
    return {
        "DATABASE__URL": url,
        "PUBLIC_URL": "http://127.0.0.1:9",
        "SECRET_KEY": "0123456789abcdef0123456789abcdef",
        "MAIL__FROM": "Shop <shop@example.com>",
        "RELAYS__MAIN__URL": f"smtp://127.0.0.1:{relay.port}?tls=none",
        "KEYS__SHOP__SECRET_FILE": secret,
        "DISPATCH__POLL_S": 0.2,
        "DISPATCH__LEASE_S": 3,
        "DISPATCH__BACKOFF_FIRST_S": 1,
    }


async def migrate(folder: Path, settings: Settings) -> None:
    code, said = await run(folder, "migrate", **settings)
    assert code == 0, said


@asynccontextmanager
async def one(folder: Path, *command: str, **settings: Any) -> AsyncIterator[Service]:
    """A process with a data folder and a log of its own."""
    own = folder / f"{command[0]}-{next(_numbers)}"
    own.mkdir()
    async with started(own, *command, **settings) as service:
        yield service


async def readiness(service: Service) -> str:
    """The status in its `/readyz`; `silent` where nothing answers."""
    try:
        answer = await service.web.get(service.probe)
    except httpx2.TransportError:
        return "silent"
    status = str(answer.json()["status"])
    assert (answer.status_code == 200) == (status in {"ready", "degraded"}), answer.text
    return status


async def all_are(status: str, services: Iterable[Service]) -> None:
    """Return when `/readyz` of every process says so."""

    async def they_are() -> bool:
        found = await asyncio.gather(*map(readiness, services))
        return set(found) == {status}

    await eventually(they_are, f"all are {status}")


@dataclass
class Callers:
    """Who post one mail each, at whichever door, under a key, until it is accepted."""

    doors: list[Service]
    accepted: dict[str, dict[str, Any]] = field(default_factory=dict)
    refused: list[httpx2.Response] = field(default_factory=list)
    _turn: "count[int]" = field(default_factory=count)

    async def post(self, address: str) -> None:
        """Post until it is accepted. What is neither 202 nor 503 ends the test."""
        body = {"to": address, "subject": "Hello", "text": "It works."}
        headers = {"Idempotency-Key": address}
        while address not in self.accepted:
            web = self.doors[next(self._turn) % len(self.doors)].web
            try:
                answer = await web.post("/v1/notifications", json=body, headers=headers)
            except httpx2.TransportError:
                await asyncio.sleep(_PAUSE_S)  # that door is closed: the next one
                continue
            if answer.status_code == 202:
                self.accepted[address] = answer.json()
                return
            assert answer.status_code == 503, answer.text
            self.refused.append(answer)
            await asyncio.sleep(_PAUSE_S)

    async def keep_posting(self, name: str, enough: asyncio.Event) -> None:
        """One mail after the other."""
        for number in count():
            if enough.is_set():
                return
            await self.post(f"{name}-{number}@example.org")
            await asyncio.sleep(_PAUSE_S)  # the machine is for those who are tested

    @asynccontextmanager
    async def posting(self, callers: int = 4) -> AsyncIterator[None]:
        """So many callers at once post for as long as the block runs, and then to the end."""
        enough = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            for number in range(callers):
                group.create_task(self.keep_posting(f"caller{number}", enough))
            try:
                yield
            finally:
                enough.set()

    async def more(self, accepted: int) -> None:
        """Return when so many more were accepted."""
        wanted = len(self.accepted) + accepted

        async def they_are() -> bool:
            return len(self.accepted) >= wanted

        await eventually(they_are, f"{accepted} more mails are accepted")

    async def check(self, relay: ScriptedSmtp, door: Service) -> None:
        """Everything accepted is sent; what reached the relay twice is the same mail, marked."""
        for told in self.accepted.values():
            await door.until(told, "sent")
        arrived = Counter(mail.rcpt_to for mail in relay.accepted)
        assert arrived.keys() == self.accepted.keys()
        for address in (address for address, times in arrived.items() if times > 1):
            assert await is_flagged(door, self.accepted[address]), f"{address}: unflagged"
            assert len({mail.content for mail in relay.accepted if mail.rcpt_to == address}) == 1


async def is_flagged(door: Service, told: dict[str, Any]) -> bool:
    """Whether the story says that the mail may have gone out before."""
    story = (await door.web.get(told["links"]["events"])).json()["data"]
    return any(event["data"].get("ambiguous") for event in story)
