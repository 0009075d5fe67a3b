"""What only a real process with a real port can show."""

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


class Process:
    """A running `tests.api.served`."""

    def __init__(self, grace_s: float, head_timeout_s: float, linger_s: float) -> None:
        numbers = map(str, (grace_s, head_timeout_s, linger_s))
        command = [sys.executable, "-m", "tests.api.served", *numbers]
        self.popen = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert self.popen.stdout is not None
        self.out = self.popen.stdout
        self.port = int(self.out.readline())

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)

    def get(self, path: str) -> socket.socket:
        """A connection on which the answer's first line has come."""
        sock = self.ask(path)
        assert sock.recv(9) == b"HTTP/1.1 "
        return sock

    def ask(self, path: str) -> socket.socket:
        sock = self.connect()
        sock.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        return sock

    def talk(self, sent: bytes) -> bytes:
        """Sends all of it, then reads until the other side closes or is silent for long."""
        with self.connect() as sock:
            sock.sendall(sent)
            sock.shutdown(socket.SHUT_WR)
            return rest(sock)

    def signal(self, number: int) -> None:
        self.popen.send_signal(number)

    def ended(self, within_s: float) -> int:
        return self.popen.wait(within_s)


@contextmanager
def running(grace_s: float, head_timeout_s: float = 30, linger_s: float = 5) -> Iterator[Process]:
    process = Process(grace_s, head_timeout_s, linger_s)
    try:
        yield process
    finally:
        process.popen.kill()
        process.popen.communicate()


def rest(sock: socket.socket) -> bytes:
    """Everything until the other side closes."""
    found = b""
    while part := sock.recv(65536):
        found += part
    return found


@pytest.fixture(scope="module")
def process() -> Iterator[Process]:
    with running(grace_s=5) as found:
        yield found


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_an_idle_server_with_exit_code_0(number: int) -> None:
    with running(grace_s=30) as process:
        process.get("/").close()
        process.signal(number)
        assert process.ended(within_s=5) == 0
        assert process.out.read() == "closed\n"


def test_sigterm_ends_open_streams_by_their_own_last_word() -> None:
    with running(grace_s=30) as process:
        with process.get("/stream") as stream:
            process.signal(signal.SIGTERM)
            assert b"event: bye" in rest(stream)
        assert process.ended(within_s=5) == 0


def test_a_request_under_way_is_answered_before_the_end() -> None:
    with running(grace_s=30) as process:
        process.get("/").close()
        with process.ask("/slow") as slow:
            process.get("/").close()
            process.signal(signal.SIGTERM)
            assert rest(slow).endswith(b"done")
        assert process.ended(within_s=5) == 0


def test_what_does_not_end_is_cut_off_after_the_grace_time_and_the_exit_code_is_0() -> None:
    with running(grace_s=1) as process:
        stream = process.get("/deaf")
        began = time.monotonic()
        process.signal(signal.SIGTERM)
        assert process.ended(within_s=3) == 0
        assert time.monotonic() - began >= 0.9
        stream.close()


def test_a_second_ctrl_c_ends_at_once() -> None:
    with running(grace_s=60) as process:
        stream = process.get("/deaf")
        process.signal(signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):
            process.ended(within_s=0.5)
        process.signal(signal.SIGINT)
        assert process.ended(within_s=2) == 130
        stream.close()


def test_a_head_is_answered_and_the_connection_goes_on(process: Process) -> None:
    ask = "HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n"
    last = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    with process.connect() as sock:
        sock.sendall((ask + ask + last).encode())
        answer = rest(sock)
    assert answer.count(b"HTTP/1.1 200 OK") == 3
    assert answer.count(b"content-length: 5\r\n") == 3
    assert answer.count(b"hello") == 1


def test_no_answer_names_the_server_software(process: Process) -> None:
    head = process.talk(b"GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n").lower()
    assert b"404 not found" in head
    assert b"\r\nserver:" not in head
    assert b"\r\ndate:" in head


ODD = {
    "no HTTP": (b"\x16\x03\x01 hello\r\n\r\n", 400),
    "no version": (b"GET /\r\n\r\n", 400),
    "HTTP/2 at once": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "two lengths": (b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
    "a huge length": (b"POST / HTTP/1.1\r\nContent-Length: " + b"9" * 30 + b"\r\n\r\n", 400),
    "a long line": (b"GET /" + b"a" * 400_000, 431),
    "a long complete line": (
        b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        431,
    ),
    "a long header": (b"GET / HTTP/1.1\r\nX: " + b"a" * 400_000, 431),
    "many headers": (b"GET / HTTP/1.1\r\n" + b"X: a\r\n" * 200_000, 431),
    "no host": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "HTTP/1.0 without host": (b"GET / HTTP/1.0\r\n\r\n", 400),
    "a body over the limit": (
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 31457281\r\n\r\n" + b"a" * 31457281,
        413,
    ),
}


@pytest.mark.parametrize(("sent", "status"), ODD.values(), ids=ODD)
def test_an_odd_request_gets_a_problem_however_much_is_still_to_come(
    process: Process, sent: bytes, status: int
) -> None:
    head, _, body = process.talk(sent).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status), head
    assert b"application/problem+json" in head
    assert body.startswith(b'{"type":"urn:notifier:problem:')


@pytest.mark.parametrize("sent", [b"", b"GET / HT", b"\r\n\r\n"])
def test_a_head_that_never_ends_is_cut_off(sent: bytes) -> None:
    with running(grace_s=5, head_timeout_s=0.2) as process, process.connect() as sock:
        sock.sendall(sent)
        answer = rest(sock)
    assert answer == b"" if not sent.strip() else answer.startswith(b"HTTP/1.1 408 ")


ENDLESS = {
    "a chunk extension": b"1;" + b"a" * 1_000_000,
    "trailers": b"1\r\nx\r\n0\r\n" + b"a: b\r\n" * 200_000,
    "a trailer": b"1\r\nx\r\n0\r\na: " + b"b" * 1_000_000,
}


@pytest.mark.parametrize("endless", ENDLESS.values(), ids=ENDLESS)
def test_what_surrounds_a_body_is_bounded_too(process: Process, endless: bytes) -> None:
    head = b"POST /read HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    with process.connect() as sock:
        sock.settimeout(10)  # the body itself would be waited for much longer
        sock.sendall(head + endless)
        assert rest(sock) == b""


def test_a_body_of_many_small_chunks_is_no_head(process: Process) -> None:
    head = "POST /read HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"
    body = b"1\r\nx\r\n" * 100_000 + b"0\r\na: b\r\n\r\n"
    with process.connect() as sock:
        sock.sendall(f"{head}Connection: close\r\n\r\n".encode() + body)
        assert rest(sock).endswith(b"\r\n\r\n100000")


def test_an_unread_body_is_thrown_away_and_the_connection_lives_on(process: Process) -> None:
    body = b"a" * 1_000_000
    post = b"POST /nothing HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n"
    get = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    with process.connect() as sock:
        sock.sendall(post + body + get)
        answer = rest(sock)
    assert answer.startswith(b"HTTP/1.1 404")
    assert answer.endswith(b"hello")


def test_a_client_that_stalls_after_its_answer_is_cut_off() -> None:
    post = b"POST /nothing HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\na"
    with running(grace_s=5, linger_s=0.2) as process, process.connect() as sock:
        sock.sendall(post)
        assert rest(sock).startswith(b"HTTP/1.1 404")
