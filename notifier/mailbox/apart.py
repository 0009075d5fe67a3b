"""Work that grows with a mail's size, kept off the event loop when it is large."""

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

T = TypeVar("T")
P = ParamSpec("P")

SMALL_BYTES = 32 * 1024  # a few milliseconds at most; below it a thread's round trip costs more


async def apart(size_bytes: int, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """`function(*args)`, on a thread when it works on a large mail."""
    if size_bytes <= SMALL_BYTES:
        return function(*args, **kwargs)
    return await asyncio.to_thread(function, *args, **kwargs)
