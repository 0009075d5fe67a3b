"""Twenty seconds of the crash soak; `python3 run.py soak` is the long one."""

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from notifier.settings.sections import DatabaseSettings
from tests.proof.soak import MANY, ONE, Plan, Report, soak
from tests.support.postgres import fresh_database
from tests.support.postgres_crash import CrashingServer, crashing_server

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(240)]
SECONDS = 20.0


@pytest.fixture(scope="module")
def server() -> Iterator[CrashingServer]:
    with crashing_server() as running:
        yield running


def short(roles: tuple[tuple[str, ...], ...]) -> Plan:
    return Plan(SECONDS, secrets.randbelow(10**6), roles, posts_a_second=80, keep_s=3)


def held(report: Report) -> bool:
    """Whether everything did, and whether there was something to hold against."""
    assert report.violations == [], "\n".join(report.lines())
    return report.audit.accepted > 20 and report.done["kills"] > 0


async def test_kills_at_random_lose_nothing_on_sqlite(tmp_path: Path) -> None:
    database = DatabaseSettings(url=SecretStr(f"sqlite:///{tmp_path}/notifier.db"))
    report = await soak(short(ONE), database, tmp_path)
    assert held(report), "\n".join(report.lines())


async def test_kills_and_crashes_lose_nothing_with_four_processes_on_postgresql(
    server: CrashingServer, tmp_path: Path
) -> None:
    with fresh_database(server.url) as url:
        database = DatabaseSettings(url=SecretStr(url))
        report = await soak(short(MANY), database, tmp_path, server)
    assert held(report), "\n".join(report.lines())
