"""`python3 run.py soak`: post, kill, restart, and prove that nothing accepted was lost."""

import argparse
import asyncio
import secrets
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from pydantic import SecretStr

from notifier.settings.sections import DatabaseSettings
from tests.proof.soak import MANY, ONE, Plan, soak
from tests.support.postgres import fresh_database
from tests.support.postgres_crash import CrashingServer, crashing_server


def arguments_of(argv: Sequence[str]) -> argparse.Namespace:
    """The call, understood."""
    parser = argparse.ArgumentParser(prog="run.py soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="how long to post (10)")
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite")
    parser.add_argument("--seed", type=int, default=None, help="the one of an earlier run")
    parser.add_argument("--fleet", choices=["one", "many"], help="PostgreSQL: many, else one")
    parser.add_argument("--rate", type=float, default=100.0, help="posts a second at most (100)")
    parser.add_argument("--calm", action="store_true", help="no kills; memory must stay flat")
    return parser.parse_args(argv)


def plan_of(asked: argparse.Namespace) -> Plan:
    """What is to be done."""
    fleet = asked.fleet or ("many" if asked.database == "postgresql" else "one")
    return Plan(
        seconds=asked.minutes * 60,
        seed=secrets.randbelow(10**6) if asked.seed is None else asked.seed,
        roles=MANY if fleet == "many" else ONE,
        calm=asked.calm,
        posts_a_second=asked.rate,
    )


@contextmanager
def database_of(
    asked: argparse.Namespace, folder: Path
) -> Iterator[tuple[DatabaseSettings, CrashingServer | None]]:
    """An empty database, and the server to crash where there is one."""
    if asked.database == "sqlite":
        yield DatabaseSettings(url=SecretStr(f"sqlite:///{folder}/notifier.db")), None
        return
    with crashing_server() as server, fresh_database(server.url) as url:
        yield DatabaseSettings(url=SecretStr(url)), server


def main(argv: Sequence[str]) -> int:
    """Run one soak; 1 if anything did not hold."""
    asked = arguments_of(argv)
    plan = plan_of(asked)
    sys.stderr.write(f"soak: {asked.minutes:g} minutes on {asked.database}, seed {plan.seed}\n")
    with (
        TemporaryDirectory(prefix="notifier-soak-") as folder,
        database_of(asked, Path(folder)) as (database, server),
    ):
        report = asyncio.run(soak(plan, database, Path(folder), server))
    sys.stdout.writelines(f"{line}\n" for line in report.lines())
    return 1 if report.violations else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
