"""A process that accepts mails and says each id on stdout once it is promised; made to be killed.

python -m tests.store.acker <database url> <mails at once> <rounds>
"""

import asyncio
import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pydantic import SecretStr

from notifier.core.ids import IdSource
from notifier.settings.sections import DatabaseSettings
from notifier.store.seal import Seal
from notifier.store.store import Store
from tests.store.world import World


async def main(url: str, at_once: int, rounds: int) -> None:
    store = Store.open(DatabaseSettings(url=SecretStr(url)), Path(), Seal([b"k" * 32]))
    start = datetime.now(UTC)
    world = World(store, IdSource(lambda: start, os.urandom), start, timedelta(hours=24))

    async def accept() -> None:
        for _ in range(rounds):
            item = world.acceptance()
            await world.accept(item)
            os.write(1, f"{item.notification.id}\n".encode())

    await asyncio.gather(*(accept() for _ in range(at_once)))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
