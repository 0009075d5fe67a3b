"""What the Python senders share: their addresses, their loop and their clock."""

import json
import time
from collections.abc import Coroutine
from typing import Any

import uvloop

SENDER = "shop@example.org"


def recipient(number: int) -> str:
    """An address for each mail."""
    return f"p{number:08d}@example.org"


def timed(work: Coroutine[Any, Any, None], count: int) -> None:
    """Do it on uvloop, and print how long it took on the wall and on the processor."""

    async def measured() -> None:
        began, burnt = time.perf_counter(), time.process_time()
        await work
        seconds, cpu_s = time.perf_counter() - began, time.process_time() - burnt
        print(json.dumps({"seconds": seconds, "cpu_s": cpu_s, "sent": count}))

    uvloop.run(measured())
