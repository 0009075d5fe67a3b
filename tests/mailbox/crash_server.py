"""A capture server in a process of its own, to be killed. Run with a folder; prints its port."""

import asyncio
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

from notifier.core.ids import IdSource
from notifier.mailbox.house import open_mailbox
from notifier.settings.sections import MailboxSettings


def now() -> datetime:
    return datetime.now(UTC)


async def serve(folder: Path) -> None:
    async with open_mailbox(
        MailboxSettings(), folder, now=now, new_id=IdSource(now, os.urandom), observe=lambda _: None
    ) as house:
        port = await house.listen(("127.0.0.1", 0))
        sys.stdout.write(f"{port}\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1])))
