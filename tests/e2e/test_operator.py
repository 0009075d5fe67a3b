"""An operator beside a running service: real commands, a real process, both databases."""

import asyncio
import json
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from notifier.settings.sections import DatabaseSettings
from tests.e2e.process import KEY, ROOT, START_S, Service, environment, eventually, started
from tests.support.scripted_smtp import Hold, Say, ScriptedSmtp, Step

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]
Settings = dict[str, object]


@dataclass
class Terminal:
    """Where an operator types; every command is a process of its own."""

    folder: Path
    settings: Settings

    async def type(self, *words: str) -> tuple[int, str, str]:
        """Exit code, stdout and stderr of `notifier …`."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "notifier", *words,
            cwd=ROOT, env=environment(self.folder, **self.settings),
            stdin=DEVNULL, stdout=PIPE, stderr=PIPE,
        )  # fmt: skip
        out, err = await asyncio.wait_for(process.communicate(), START_S)
        assert b"Traceback" not in err, err.decode()
        return process.returncode or 0, out.decode(), err.decode()

    async def asks(self, *words: str) -> Any:
        """What a command with `--json` answers."""
        code, out, err = await self.type(*words, "--json")
        assert code == 0, err
        return json.loads(out)

    async def until_status(self, word: str) -> str:
        """What `notifier status` says as soon as that has this word in it."""
        said = ""

        async def has_it() -> bool:
            nonlocal said
            _, said, _ = await self.type("status")
            return word in said

        await eventually(has_it, f"status says {word}")
        return said


@pytest.fixture
async def relay() -> AsyncIterator[ScriptedSmtp]:
    async with ScriptedSmtp(users={"user": "right"}) as running:
        yield running


@pytest.fixture
def terminal(database: DatabaseSettings, relay: ScriptedSmtp, tmp_path: Path) -> Terminal:
    assert database.url is not None
    secret = tmp_path / "key"
    secret.write_text(KEY + "\n")
    settings: Settings = {
        "DATABASE__URL": database.url.get_secret_value(),
        "PUBLIC_URL": "http://127.0.0.1:9",
        "SECRET_KEY": "0123456789abcdef0123456789abcdef",
        "MAIL__FROM": "Shop <shop@example.com>",
        "RELAYS__MAIN__URL": f"smtp://user:right@127.0.0.1:{relay.port}?tls=none",
        "RELAYS__MAIN__REST_S": 0.2,
        "KEYS__SHOP__SECRET_FILE": secret,
        "DISPATCH__POLL_S": 0.1,
    }
    return Terminal(tmp_path, settings)


@pytest.fixture
async def service(terminal: Terminal) -> AsyncIterator[Service]:
    async with started(terminal.folder, "serve", **terminal.settings) as running:
        yield running


async def test_a_paused_relay_gets_no_mail_and_costs_no_try_until_it_is_resumed(
    terminal: Terminal, service: Service, relay: ScriptedSmtp
) -> None:
    code, _, said = await terminal.type("relays", "pause", "main", "--reason", "moving house")
    assert (code, "is paused" in said) == (0, True)
    await terminal.until_status("moving house")
    told = await service.send("ann@example.org")
    said = await terminal.until_status("1 mail waits")
    assert "by an operator (moving house); `notifier relays resume main` lets it go on" in said
    assert (await service.read(told))["messages"][0]["status"] == "queued"
    _, story, _ = await terminal.type("why", "ann@example.org")
    assert "`notifier relays resume main`" in story
    assert relay.accepted == []
    await terminal.type("relays", "resume", "main")
    await service.until(told, "sent")
    (trail,) = await terminal.asks("why", "ann@example.org")
    assert (trail["status"], trail["attempts"]) == ("sent", 1)


async def test_a_pause_outlives_the_process(
    terminal: Terminal, service: Service, relay: ScriptedSmtp
) -> None:
    await terminal.type("relays", "pause", "main")
    assert await service.terminate() == 0
    async with started(terminal.folder, "serve", **terminal.settings) as again:
        told = await again.send("ann@example.org")
        await terminal.until_status("1 mail waits")
        assert (await again.read(told))["status"] == "queued"
    assert relay.accepted == []


async def test_a_refused_password_is_explained_with_the_way_out(
    terminal: Terminal, relay: ScriptedSmtp
) -> None:
    wrong = f"smtp://user:wrong@127.0.0.1:{relay.port}?tls=none"
    terminal.settings["RELAYS__MAIN__URL"] = wrong
    terminal.settings["RELAYS__MAIN__REST_S"] = 60
    async with started(terminal.folder, "serve", **terminal.settings) as service:
        await service.send("ann@example.org")
        said = " ".join((await terminal.until_status("1 mail waits")).split())
    assert "1 mail waits: relay main is paused since" in said
    assert "535" in said
    assert "fix NOTIFIER_RELAYS__MAIN__PASSWORD" in said
    assert "have it mended there and then" in said
    assert "`notifier relays resume main`" in said


async def test_status_knows_who_delivers_and_that_nobody_does(
    terminal: Terminal, service: Service
) -> None:
    await terminal.until_status("seats busy")
    seen = await terminal.asks("status")
    assert [worker["pid"] for worker in seen["workers"]] == [service.process.pid]
    assert seen["workers"][0]["alive"] is True
    assert [(relay["name"], relay["state"]) for relay in seen["relays"]] == [("main", "up")]
    assert await service.terminate() == 0
    after = await terminal.asks("status")
    assert after["workers"] == []
    assert after["reasons"][0].startswith("No process delivers")


async def test_refused_mail_is_explained_and_sent_again_once_the_relay_takes_it(
    terminal: Terminal, service: Service, relay: ScriptedSmtp
) -> None:
    refusal = relay.on(Step.RCPT, Say(550, "5.1.1 no such user"), times=1)
    told = await service.send("ann@example.org")
    await service.until(told, "bounced")
    _, story, _ = await terminal.type("why", told["messages"][0]["id"])
    assert "550 5.1.1 no such user" in story
    assert "Whoever keeps the address has to correct it" in " ".join(story.split())
    code, out, err = await terminal.type("retry", "--status", "bounced", "--since", "1h")
    assert (code, out) == (2, "")
    assert "give --yes" in err
    done = await terminal.asks("retry", "--status", "bounced", "--since", "1h", "--yes")
    assert done == {"selected": 1, "done": 1, "left": {}}
    await service.until(told, "sent")
    assert (refusal.hits, len(relay.accepted)) == (1, 1)
    (trail,) = await terminal.asks("why", "ann@example.org")
    assert [event["type"] for event in trail["events"]] == [
        "notification.accepted",
        "message.bounced",
        "message.requeued",
        "message.sent",
    ]


async def test_what_is_at_the_relay_is_not_canceled_and_what_waits_is(
    terminal: Terminal, service: Service, relay: ScriptedSmtp
) -> None:
    at_the_dot = asyncio.Event()
    rule = relay.on(Step.DOT, Hold(at_the_dot), recipient="ann@example.org")
    sending = await service.send("ann@example.org")

    async def bitten() -> bool:
        return bool(rule.hits)

    await eventually(bitten, "the relay has the mail")
    await terminal.type("relays", "pause", "main")
    await terminal.until_status("no reason given")
    waiting = await service.send("eve@example.org")
    code, out, err = await terminal.type("cancel", sending["id"], waiting["id"], "--yes", "--json")
    assert (code, json.loads(out)) == (1, {"selected": 2, "done": 1, "left": {"being_sent": 1}})
    at_the_dot.set()
    await service.until(sending, "sent")
    assert (await service.read(waiting))["status"] == "canceled"
    assert [mail.rcpt_to for mail in relay.accepted] == ["ann@example.org"]
    assert err == ""


async def test_the_doctor_finds_all_well_beside_a_service_and_sends_nothing(
    terminal: Terminal, service: Service, relay: ScriptedSmtp
) -> None:
    await terminal.until_status("seats busy")
    found = await terminal.asks("doctor")
    marks = {check["about"]: check["mark"] for check in found["checks"]}
    assert found["ok"] is True
    assert (marks["relay main"], marks["delivery"], marks["database"]) == ("ok", "ok", "ok")
    assert relay.accepted == []
    assert relay.connections[-1].verbs() == ["EHLO", "AUTH", "MAIL", "RSET", "QUIT"]


async def test_the_doctor_names_the_setting_of_a_refused_password(
    terminal: Terminal, relay: ScriptedSmtp
) -> None:
    terminal.settings["RELAYS__MAIN__URL"] = f"smtp://user:wrong@127.0.0.1:{relay.port}?tls=none"
    code, out, err = await terminal.type("doctor")
    assert (code, err) == (1, "")
    assert "✗ Relay main (127.0.0.1" in out
    assert "→ Fix NOTIFIER_RELAYS__MAIN__USERNAME and NOTIFIER_RELAYS__MAIN__PASSWORD." in out
