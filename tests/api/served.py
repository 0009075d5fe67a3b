"""A process that serves a door, as the roles do: `python -m tests.api.served GRACE HEAD LINGER`.

The arguments are seconds.

Prints its port. `GET /stream` is open until the server stops, `GET /deaf` whatever happens.
"""

import asyncio
import sys
from collections.abc import AsyncIterator

import uvloop
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route, Router

from notifier.api import protocol
from notifier.api.app import protect
from notifier.api.listen import bind, bound_port
from notifier.api.server import Server, stop_on_signals
from tests.api.door import dev


def say(word: object) -> None:
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


async def main(grace_s: float) -> None:
    stop = asyncio.Event()
    door = dev(grace_s=grace_s)

    async def until_stopped(*, deaf: bool) -> AsyncIterator[str]:
        yield ": open\n\n"
        await (asyncio.Event() if deaf else stop).wait()
        yield "event: bye\n\n"

    async def stream(request: Request) -> Response:
        deaf = request.url.path == "/deaf"
        return StreamingResponse(until_stopped(deaf=deaf), media_type="text/event-stream")

    async def read(request: Request) -> Response:
        return PlainTextResponse(str(len(await request.body())))

    async def slow(_: Request) -> Response:
        await stop.wait()
        return PlainTextResponse("done")

    routes = [Route("/stream", stream), Route("/deaf", stream), Route("/slow", slow)]
    routes += [Route("/read", read, methods=["POST"])]
    app = protect(Router([*routes, Route("/", lambda _: PlainTextResponse("hello"))]), door.frame())
    sock = bind("127.0.0.1", 0, fixed=True, setting="X")
    with stop_on_signals(stop):
        say(bound_port(sock))
        await Server(app, door.settings.http, stop).serve([sock])
    say("closed")


if __name__ == "__main__":
    protocol.HEAD_TIMEOUT_S, protocol.LINGER_S = map(float, sys.argv[2:])  # type: ignore[misc]
    uvloop.run(main(float(sys.argv[1])))
