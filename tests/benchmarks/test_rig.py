"""The parts that measure, against a server that is known: what they count is what happened."""

import asyncio
import json
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path

import pytest

from benchmarks.lines.million import copies
from benchmarks.lines.one_process import stamping_sink
from benchmarks.lines.peer_templates import with_blanks
from benchmarks.rig.delay import Near
from benchmarks.rig.load import Generator, Load
from benchmarks.rig.sink import Sink
from benchmarks.rig.tools import PEERS, PINS

ROUND_TRIP_S = 0.04
CONNECTIONS = 4


@asynccontextmanager
async def http_server(status: int = 202) -> AsyncIterator[tuple[int, list[bytes]]]:
    """Answers every POST, and keeps the bodies."""
    bodies: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with closing(writer), suppress(asyncio.IncompleteReadError, ConnectionError):
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
                bodies.append(await reader.readexactly(length))
                writer.write(b"HTTP/1.1 %d x\r\nContent-Length: 2\r\n\r\n" % status)
                await asyncio.sleep(0)  # the body comes apart from the head
                writer.write(b"{}")
        ended.release()

    ended = asyncio.Semaphore(0)
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1], bodies
    server.close()
    for _ in range(CONNECTIONS):
        await asyncio.wait_for(ended.acquire(), 5)


async def under_load(port: int, rate: float | None) -> dict[str, object]:
    generator = Generator(Load([port], '{"n": "NNNNNNNN"}', 50, connections=CONNECTIONS, rate=rate))
    return await generator.run()


@pytest.mark.parametrize("rate", [None, 1000.0])
@pytest.mark.anyio
async def test_a_load_asks_each_number_once(rate: float | None) -> None:
    async with http_server() as (port, bodies):
        told = await under_load(port, rate)
    assert sorted(bodies) == [json.dumps({"n": f"{n:08d}"}).encode() for n in range(50)]
    assert (told["answers"], told["statuses"]) == (50, {202: 50})


@pytest.mark.anyio
async def test_a_load_tells_answers_that_were_no_success() -> None:
    async with http_server(503) as (port, _):
        assert (await under_load(port, None))["statuses"] == {503: 50}


@pytest.mark.anyio
async def test_an_open_loop_keeps_its_pace() -> None:
    async with http_server() as (port, _):
        began = time.monotonic()
        await under_load(port, 250)
    assert time.monotonic() - began >= 49 / 250


@pytest.mark.anyio
async def test_what_travels_arrives_late_whole_and_in_order() -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1000):
            writer.write(data)
        writer.close()
        ended.set()

    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    far = await asyncio.start_server(echo, "127.0.0.1", 0)
    target = far.sockets[0].getsockname()[1]
    near = await loop.create_server(lambda: Near(target, ROUND_TRIP_S), "127.0.0.1", 0)
    port = near.sockets[0].getsockname()[1]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    sent = [b"%04d" % number for number in range(200)]
    for piece in sent:
        writer.write(piece)
        await asyncio.sleep(0)
    assert await reader.readexactly(800) == b"".join(sent)
    began = loop.time()
    writer.write(b"ping")
    assert await reader.readexactly(4) == b"ping"
    assert loop.time() - began >= ROUND_TRIP_S * 0.9
    writer.close()
    await asyncio.wait_for(ended.wait(), 5)
    near.close()
    far.close()


@pytest.mark.anyio
async def test_the_stamping_sink_takes_pipelined_mail_and_tells_of_it() -> None:
    async with stamping_sink() as (port, came):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"EHLO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nSubject: x\r\n")
        assert not came.is_set()
        writer.write(b"\r\nDATA\r\n.\r\nQUIT\r\n")
        told = await reader.readuntil(b"taken\r\n")
        writer.close()
    assert came.is_set()
    codes = [line[:3] for line in told.splitlines() if line[3:4] == b" "]
    assert codes == [b"220", b"250", b"250", b"250", b"354", b"250"]


def test_the_sinks_last_counter_counts(tmp_path: Path) -> None:
    told = tmp_path / "sink"
    sink = Sink(0, told)
    told.write_bytes(b"")
    assert sink.count() == 0
    told.write_bytes(b"".join(b"sess=1 quit=0 mesg=%d\r" % n for n in range(1, 4321)))
    assert sink.count() == 4320


def test_copies_have_ids_of_their_own_that_still_belong_together(tmp_path: Path) -> None:
    tail = "0197f0c4a1b27c3d8e4f5a6b7c8d9e0f"
    store = sqlite3.connect(tmp_path / "x.db", isolation_level=None)
    store.execute("CREATE TABLE message (id TEXT PRIMARY KEY, content_id TEXT, due_at BIGINT)")
    store.execute("CREATE TABLE event (seq INTEGER PRIMARY KEY, id TEXT UNIQUE, message_id TEXT)")
    store.execute("CREATE TABLE setting (name TEXT PRIMARY KEY)")
    store.execute("INSERT INTO message VALUES (?, ?, 7)", (f"msg_{tail}", f"cnt_{tail}"))
    store.execute("INSERT INTO event VALUES (1, ?, ?)", (f"evt_{tail}", f"msg_{tail}"))
    store.execute("INSERT INTO setting VALUES ('kept')")
    copies(tmp_path / "x.db", 100)
    count = "SELECT count(*) FROM event JOIN message ON message.id = event.message_id"
    assert store.execute(count).fetchone() == (101,)
    assert store.execute("SELECT count(DISTINCT due_at) FROM message").fetchone() == (101,)
    assert store.execute("SELECT * FROM setting").fetchall() == [("kept",)]
    assert all(len(row[0]) == 36 for row in store.execute("SELECT id FROM message"))
    store.close()


def test_marks_become_blanks_and_the_preview_is_cut() -> None:
    assert with_blanks("MARKEDMESSAGE|MARKEDMESSAGE|MARKEDTITLE") == (
        "{{ message|truncate(120) }}|{{ message }}|{{ title }}"
    )


def test_every_python_peer_is_pinned_by_hash() -> None:
    blocks = PINS.read_text().replace("\\\n", "").splitlines()
    assert blocks
    assert all("==" in line and "--hash=sha256:" in line for line in blocks)


def test_the_node_peers_are_pinned_by_hash_and_without_addresses() -> None:
    pins = json.loads((PEERS / "package.json").read_text())
    assert pins["dependencies"]
    assert pins["dependencies"].keys() == pins["integrity"].keys()
    assert all(version[0].isdigit() for version in pins["dependencies"].values())
    assert all(one.startswith("sha512-") for one in pins["integrity"].values())
    assert not (PEERS / "package-lock.json").exists()
