"""The profile `scale` of compose.yaml without containers: its processes, started as it says.

Their environment, commands, secrets and numbers are read from the file. Only what containers bring
is put in: other addresses and ports, and the database and relay of this test.
"""

import asyncio
import runpy
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.files import DEPLOY, SCALE
from tests.e2e.fleet import Callers, all_are, one
from tests.e2e.process import Service, run
from tests.support.postgres import fresh_database
from tests.support.scripted_smtp import ScriptedSmtp

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(180)]

MAILS = 60
OF_CONTAINERS = {"OPS__HOST", "OPS__PORT"}


@pytest.fixture
async def relay() -> AsyncIterator[ScriptedSmtp]:
    async with ScriptedSmtp() as running:
        yield running


@pytest.fixture
def secrets(postgres_url: str, relay: ScriptedSmtp, tmp_path: Path) -> Iterator[Path]:
    """The secret files, made by the script; what names a host names this machine."""
    folder = tmp_path / "secrets"
    script = runpy.run_path(str(DEPLOY / "make_secrets.py"), run_name="make_secrets")
    assert script["main"]([f"smtp://127.0.0.1:{relay.port}?tls=none"], folder) == 0
    with fresh_database(postgres_url) as url:
        (folder / "database_url").chmod(0o644)
        (folder / "database_url").write_text(url)
        yield folder


def settings_of(service: str, secrets: Path) -> dict[str, Any]:
    """What compose would put into the environment, where nothing is set outside."""
    found = {}
    for name, text in SCALE[service]["environment"].items():
        key = name.removeprefix("NOTIFIER_")
        value = str(text).replace("/run/secrets", str(secrets))
        if value.startswith("${"):
            value = value.removesuffix("}").partition(":-")[2]
        if key not in OF_CONTAINERS:
            found[key] = value
    return found


async def start(stack: AsyncExitStack, name: str, folder: Path, secrets: Path) -> list[Service]:
    """As many processes of a service as the file asks for."""
    command, replicas = SCALE[name]["command"], SCALE[name]["deploy"]["replicas"]
    settings = settings_of(name, secrets)
    processes = [one(folder, *command, **settings) for _ in range(replicas)]
    return [await stack.enter_async_context(process) for process in processes]


async def test_its_processes_send_what_both_apis_accept_exactly_once(
    relay: ScriptedSmtp, secrets: Path, tmp_path: Path
) -> None:
    migrated = await run(tmp_path, *SCALE["migrate"]["command"], **settings_of("migrate", secrets))
    assert migrated[0] == 0, migrated[1]
    key = (secrets / "api_key").read_text().strip()
    addresses = [f"p{number}@example.org" for number in range(MAILS)]
    async with AsyncExitStack() as stack:
        apis = await start(stack, "api", tmp_path, secrets)
        workers = await start(stack, "worker", tmp_path, secrets)
        for api in apis:
            api.web.headers["Authorization"] = f"Bearer {key}"
        await all_are("ready", [*apis, *workers])
        callers = Callers(apis)
        async with asyncio.TaskGroup() as group:
            for address in addresses:
                group.create_task(callers.post(address))
        await callers.check(relay, apis[1])
        assert [await process.terminate() for process in (*apis, *workers)] == [0] * 4
    assert Counter(mail.rcpt_to for mail in relay.accepted) == Counter(addresses)


async def test_before_the_migration_its_processes_wait(secrets: Path, tmp_path: Path) -> None:
    settings = settings_of("worker", secrets)
    async with AsyncExitStack() as stack:
        waiting = asyncio.ensure_future(
            stack.enter_async_context(one(tmp_path, *SCALE["worker"]["command"], **settings))
        )
        migrated = await run(tmp_path, "migrate", **settings_of("migrate", secrets))
        assert migrated[0] == 0, migrated[1]
        worker = await waiting
        assert await worker.terminate() == 0
