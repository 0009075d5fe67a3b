"""A process that meets a full disk at intake, and finds space again; says what it saw as JSON.

python -m tests.store.full_disk <folder> limit|fill
"""

import asyncio
import json
import os
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from notifier.core.errors import Unavailable
from notifier.core.ids import IdSource
from notifier.core.message import Step
from notifier.settings.sections import DatabaseSettings
from notifier.store.migrate import migrate
from notifier.store.schema import content, event, message, outbox
from notifier.store.seal import Seal
from notifier.store.store import Store
from tests.store.world import World

LARGE = b"x" * 1024 * 1024


@contextmanager
def limit(folder: Path) -> Iterator[None]:
    """No file may grow beyond what the WAL is now."""
    before, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    now = (folder / "notifier.db-wal").stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (now, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (before, hard))


@contextmanager
def fill(folder: Path) -> Iterator[None]:
    """Something else takes all space."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            pass
    yield
    filler.unlink()


async def tried(world: World) -> list[str]:
    """Large mails at once and an outcome, which is written down when there is space again."""
    (claimed,) = await world.claim(seats=1)
    with HOW[sys.argv[2]](Path(sys.argv[1])):
        said = await asyncio.gather(
            *(world.accept(world.acceptance(body=LARGE)) for _ in range(5)),
            world.record(claimed, Step.DELIVERED),
            return_exceptions=True,
        )
        still_reads = await world.count(message.c.id)
    assert await world.record(claimed, Step.DELIVERED)
    codes = [one.code if isinstance(one, Unavailable) else repr(one) for one in said]
    return [*codes, f"{still_reads} readable"]


async def main(folder: Path) -> None:
    migrate(DatabaseSettings(), folder)
    store = Store.open(DatabaseSettings(), folder, Seal([b"k" * 32]))
    start = datetime.now(UTC)
    world = World(store, IdSource(lambda: start, os.urandom), start, timedelta(hours=24))
    await world.accept(world.acceptance())
    refused = await tried(world)
    await world.accept(world.acceptance(body=LARGE))
    tables = (content, message, outbox, event)
    counts = {table.name: await world.count(table.c.id) for table in tables}
    await asyncio.to_thread(store.close)
    print(json.dumps({"refused": refused, "counts": counts}))  # noqa: T201


HOW = {"limit": limit, "fill": fill}

if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
