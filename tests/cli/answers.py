"""An HTTP server that answers from a list and remembers what it was asked."""

import json
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Semaphore, Thread
from types import TracebackType
from typing import Any, Self


@dataclass(frozen=True)
class Asked:
    """One request, its header names in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any


class Answers:
    """Give the answers first: `will(202, {...})`. Then look at `asked`."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.heard = Semaphore(0)
        self._answers: list[tuple[int, bytes, dict[str, str]]] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = Thread(target=self._server.serve_forever, args=(0.01,))

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def port(self) -> int:
        """The same as a number."""
        return self._server.server_port

    def will(self, status: int, body: Any, **headers: str) -> None:
        """The next answer; bytes are sent as they are, the rest as JSON."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self._answers.append((status, content, headers))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: object, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        content = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in handler.headers.items()}
        body = json.loads(content) if content else None
        self.asked.append(Asked(handler.command, handler.path, headers, body))
        self.heard.release()
        status, answer, more = self._answers.pop(0)
        handler.send_response(status)
        for name, value in {"Content-Length": str(len(answer)), **more}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(answer)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        answers = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                answers._answer(self)

            do_POST = do_GET  # noqa: N815 - the base class's name

            def log_message(self, *_: Any) -> None:
                return

        return Handler


def notification(*statuses: str, final: bool = True) -> dict[str, Any]:
    """A notification as the API answers it, with one message for each status."""
    return {
        "id": "ntf_1",
        "object": "notification",
        "messages": [
            {"id": f"msg_{n}", "to": f"{n}@x.example", "status": status, "final": final}
            for n, status in enumerate(statuses)
        ],
    }
