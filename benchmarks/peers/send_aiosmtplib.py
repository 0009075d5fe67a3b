"""Send mails with aiosmtplib, over kept-open connections or with a connection a mail.

`send_aiosmtplib.py kept|each PORT CONNECTIONS COUNT FILE`; prints figures as JSON.
"""

import asyncio
import sys
from pathlib import Path

import aiosmtplib

from benchmarks.peers.timed import SENDER, recipient, timed

LOCAL = "127.0.0.1"


async def kept(port: int, connections: int, count: int, content: bytes) -> None:
    """Each client has a connection of its own and sends stored bytes, mail after mail."""
    left = iter(range(count))

    async def client() -> None:
        async with aiosmtplib.SMTP(hostname=LOCAL, port=port, use_tls=False, start_tls=False) as it:
            for number in left:
                await it.sendmail(SENDER, [recipient(number)], content)

    await asyncio.gather(*(client() for _ in range(connections)))


async def each(port: int, connections: int, count: int, content: bytes) -> None:
    """`aiosmtplib.send`, as its first page shows it: a connection for each mail."""
    left = iter(range(count))

    async def client() -> None:
        for number in left:
            await aiosmtplib.send(
                content,
                sender=SENDER,
                recipients=[recipient(number)],
                hostname=LOCAL,
                port=port,
                start_tls=False,
            )

    await asyncio.gather(*(client() for _ in range(connections)))


if __name__ == "__main__":
    way, port_, connections_, count_, file = sys.argv[1:]
    send = {"kept": kept, "each": each}[way]
    timed(send(int(port_), int(connections_), int(count_), Path(file).read_bytes()), int(count_))
