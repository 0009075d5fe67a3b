"""The capture server, spoken to by real clients."""

import asyncio
import fcntl
import smtplib
import sqlite3
from contextlib import suppress
from email.message import EmailMessage
from pathlib import Path

import aiosmtplib
import pytest
import uvloop

from notifier.core.errors import Unavailable
from notifier.observe.door_facts import CaptureRefused, MailCaptured
from tests.mailbox.boxes import Mailbox, OpenMailbox

pytestmark = pytest.mark.anyio

HEAD = b"From: a@example.com\r\nSubject: x\r\n\r\n"
BODIES = {
    "plain": b"hello\r\n",
    "leading dots": b".\r\n..\r\n...\r\n.x\r\n. \r\n",
    "dots at the start of all": b"",
    "blank lines": b"\r\n\r\n\r\n",
    "lone line feeds": b"a\nb\n.\nc\n..\n\r\n",
    "lone carriage returns": b"a\rb\r.\rc\r\r\n",
    "a line of 100,000": b"x" * 100_000 + b"\r\n",
    "a megabyte without an end of line": b"y" * 1_000_000 + b"\r\n",
    "eight-bit and nul": bytes(range(1, 10)) + b"\xff\xfe\x00\x80\r\n",
    "a dot across two blocks": b"z" * (64 * 1024 - len(HEAD) - 5) + b"\r\n.\r\n.." + b"\r\n",
}


async def dialogue(port: int, sent: bytes) -> bytes:
    """Writes everything at once (as pipelining does) and returns all that comes back."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    try:
        async with asyncio.timeout(20):
            return await reader.read()
    finally:
        await shut(writer)


async def shut(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


def stuffed(raw: bytes) -> bytes:
    """Dot-stuffing by the letter of RFC 5321 §4.5.2: only CRLF ends a line."""
    return b"\r\n".join(
        b"." + line if line.startswith(b".") else line for line in raw.split(b"\r\n")
    )


def conversation(
    raw: bytes, sender: bytes = b"<a@example.com>", to: bytes = b"<b@example.com>"
) -> bytes:
    return b"EHLO me\r\nMAIL FROM:%b\r\nRCPT TO:%b\r\nDATA\r\n%b.\r\nQUIT\r\n" % (
        sender,
        to,
        stuffed(raw),
    )


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
async def test_bytes_are_kept_exactly(box: Mailbox, body: bytes) -> None:
    raw = HEAD + body
    answer = await dialogue(box.smtp_port, conversation(raw))
    assert b"250 2.0.0 OK" in answer
    assert await box.house.store.raw((await box.newest()).id) == raw


@pytest.mark.parametrize("raw", [b"", b"\r\n", b".\r\n", b"\r\n.\r\n", b"..\r\n\r\n"])
async def test_a_body_of_almost_nothing_is_kept_exactly(box: Mailbox, raw: bytes) -> None:
    await dialogue(box.smtp_port, conversation(raw))
    assert await box.house.store.raw((await box.newest()).id) == raw


async def test_a_body_that_trickles_in_byte_by_byte_is_kept_exactly(box: Mailbox) -> None:
    raw = b"\r\n.x\r\n\r\n..\r\r\n.\n\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", box.smtp_port)
    for byte in conversation(raw):
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0)
    await reader.read()
    await shut(writer)
    assert await box.house.store.raw((await box.newest()).id) == raw


async def test_a_lone_line_feed_does_not_end_the_data(box: Mailbox) -> None:
    smuggled = HEAD + b"x\n.\nMAIL FROM:<evil@example.com>\r\n"
    await dialogue(box.smtp_port, conversation(smuggled))
    assert len(await box.all()) == 1


async def test_smtplib_and_the_envelope(box: Mailbox) -> None:
    message = EmailMessage()
    message["Subject"] = "Grüße"
    message.set_content("hello")

    def send() -> None:
        with smtplib.SMTP("127.0.0.1", box.smtp_port) as client:
            client.login("anyone", "anything")
            client.send_message(message, "from@example.com", ["one@example.com", "two@example.com"])

    await asyncio.to_thread(send)
    mail = await box.newest()
    assert mail.mail_from == "from@example.com"
    assert mail.rcpt_to == ("one@example.com", "two@example.com")
    assert mail.summary.subject == "Grüße"
    assert mail.session.auth_user == "anyone"
    assert isinstance(box.facts[-1], MailCaptured)


async def test_a_password_is_not_kept(box: Mailbox, tmp_path: Path) -> None:
    async with aiosmtplib.SMTP(hostname="127.0.0.1", port=box.smtp_port) as client:
        await client.login("anyone", "correct-horse-battery")
        await client.sendmail("a@example.com", ["b@example.com"], HEAD)
    files = await asyncio.to_thread(
        lambda: b"".join(path.read_bytes() for path in tmp_path.iterdir())
    )
    assert b"anyone" in files
    assert b"correct-horse-battery" not in files


ADDRESSES = [
    (b"<>", ""),
    (b'<"odd one"@example.com>', '"odd one"@example.com'),
    (b'<"a>b"@example.com>', '"a>b"@example.com'),
    (b"<@relay.example:a@example.com>", "a@example.com"),
    (b"<a@[127.0.0.1]>", "a@[127.0.0.1]"),
    (b"<a+b=c@example.com>", "a+b=c@example.com"),
    (b"<Postmaster>", "Postmaster"),
    (b" a@example.com", "a@example.com"),
    (b"<b\xc3\xbcro@example.com> SMTPUTF8", "büro@example.com"),
    (b"<b\xfcro@example.com>", "büro@example.com"),
    (b"<a@example.com> SIZE=100 BODY=8BITMIME", "a@example.com"),
]


@pytest.mark.parametrize(("sent", "kept"), ADDRESSES, ids=[kept or "null" for _, kept in ADDRESSES])
async def test_odd_senders_are_kept_as_they_are(box: Mailbox, sent: bytes, kept: str) -> None:
    await dialogue(box.smtp_port, conversation(HEAD, sender=sent))
    assert (await box.newest()).mail_from == kept


async def test_an_empty_recipient_is_refused(box: Mailbox) -> None:
    answer = await dialogue(box.smtp_port, conversation(HEAD, to=b"<>"))
    assert b"\r\n553 5.1.3" in answer
    assert await box.all() == []


async def test_nonsense_is_answered_and_the_session_goes_on(box: Mailbox) -> None:
    nonsense = b"MAIL FROM:<a b@c>\r\nRCPT\r\nXYZZY\r\nDATA now\r\n" + b"Q" * 20_000 + b"\r\n"
    answer = await dialogue(box.smtp_port, b"EHLO me\r\n" + nonsense + conversation(HEAD))
    assert b"250 2.0.0 OK" in answer


async def test_the_next_mail_of_a_pipelined_session_is_its_own(box: Mailbox) -> None:
    two = conversation(HEAD + b"one\r\n").replace(b"QUIT\r\n", b"") + conversation(
        HEAD + b"two\r\n"
    )
    answer = await dialogue(box.smtp_port, two)
    assert answer.count(b"250 2.0.0 OK") == 2
    assert b"250-PIPELINING" in answer
    assert [mail.size_bytes for mail in await box.all()] == [len(HEAD) + 5] * 2


async def test_too_large_is_552_by_size_and_by_body(open_box: OpenMailbox) -> None:
    async with open_box(max_message_bytes=2048) as box:
        declared = await dialogue(
            box.smtp_port, conversation(HEAD, sender=b"<a@example.com> SIZE=4000")
        )
        assert b"\r\n552 " in declared
        answer = await dialogue(box.smtp_port, conversation(HEAD + b"x" * 200_000 + b"\r\n"))
        assert b"\r\n552 5.3.4" in answer
        assert answer.endswith(b"221 Bye\r\n")
        assert await box.all() == []
        exact = HEAD + b"x" * (2048 - len(HEAD) - 2) + b"\r\n"
        assert b"250 2.0.0" in await dialogue(box.smtp_port, conversation(exact))


async def test_too_many_recipients_are_452_and_the_rest_is_taken(open_box: OpenMailbox) -> None:
    async with open_box(max_recipients=2) as box:
        talk = b"EHLO me\r\nMAIL FROM:<a@b.c>\r\n" + b"RCPT TO:<x@y.z>\r\n" * 3
        answer = await dialogue(box.smtp_port, talk + b"DATA\r\n" + HEAD + b".\r\nQUIT\r\n")
        assert answer.count(b"\r\n452 4.5.3") == 1
        assert len((await box.newest()).rcpt_to) == 2


async def test_a_connection_over_the_limit_is_421(open_box: OpenMailbox) -> None:
    async with open_box(max_connections=1) as box:
        reader, writer = await asyncio.open_connection("127.0.0.1", box.smtp_port)
        assert (await reader.readline()).startswith(b"220")
        assert (await dialogue(box.smtp_port, b"")).startswith(b"421 ")
        writer.write(b"QUIT\r\n")
        await reader.read()
        await shut(writer)
        assert b"250 2.0.0" in await dialogue(box.smtp_port, conversation(HEAD))


def test_sessions_are_ended_with_a_word_under_the_loop_of_production_too(
    open_box: OpenMailbox,
) -> None:
    async def talk() -> tuple[bytes, bytes]:
        async with open_box(max_connections=1) as box:
            reader, writer = await asyncio.open_connection("127.0.0.1", box.smtp_port)
            await reader.readline()
            turned_away = await dialogue(box.smtp_port, b"")
        try:
            async with asyncio.timeout(20):
                return turned_away, await reader.read()
        finally:
            await shut(writer)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        turned_away, hung_up = runner.run(talk())
    assert turned_away.startswith(b"421 4.7.0")
    assert hung_up.startswith(b"421 4.3.2")


async def test_a_web_page_cannot_post_a_mail(box: Mailbox) -> None:
    sent = b"POST / HTTP/1.1\r\nHost: localhost\r\n\r\n" + conversation(HEAD)
    answer = await dialogue(box.smtp_port, sent)
    assert b"421 4.7.0 This is no web server\r\n" in answer
    assert await box.all() == []


async def test_no_250_before_the_commit(box: Mailbox, tmp_path: Path) -> None:
    with (tmp_path / "mailbox.db.lock").open("r+b") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        sending = asyncio.ensure_future(dialogue(box.smtp_port, conversation(HEAD)))
        done, _ = await asyncio.wait([sending], timeout=0.4)
        assert not done
        assert await box.all() == []
        fcntl.flock(lock, fcntl.LOCK_UN)
    assert b"250 2.0.0 OK" in await sending
    assert len(await box.all()) == 1


async def test_a_commit_that_fails_is_452_and_nothing_is_stored(box: Mailbox) -> None:
    def fill(connection: sqlite3.Connection) -> None:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages}")

    await box.house.store._writer.run(fill)
    answer = await dialogue(box.smtp_port, conversation(HEAD + b"x" * 100_000 + b"\r\n"))
    assert b"\r\n452 4.3.1" in answer
    assert b"250 2.0.0" not in answer
    assert await box.all() == []
    assert any(isinstance(fact, CaptureRefused) for fact in box.facts)
    await box.house.store._writer.run(
        lambda connection: connection.execute("PRAGMA max_page_count = 1000000").fetchall()
    )
    assert b"250 2.0.0" in await dialogue(box.smtp_port, conversation(HEAD))


async def test_over_the_byte_quota_is_452_before_data(open_box: OpenMailbox) -> None:
    async with open_box(max_total_bytes=1024 * 1024) as box:
        await box.send(HEAD + b"x" * 900_000)
        answer = await dialogue(
            box.smtp_port, conversation(HEAD, sender=b"<a@example.com> SIZE=300000")
        )
        assert b"452 4.3.1" in answer
        assert b"354" not in answer


async def test_a_client_that_hangs_up_in_the_body_leaves_nothing(box: Mailbox) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", box.smtp_port)
    writer.write(conversation(HEAD)[: -len(b".\r\nQUIT\r\n")])
    await writer.drain()
    await shut(writer)
    await box.send(HEAD)
    assert len(await box.all()) == 1


async def test_a_refused_body_that_goes_on_keeps_nobody_elses_mail_out(
    open_box: OpenMailbox,
) -> None:
    async with open_box(max_message_bytes=100_000) as box:
        _, writer = await asyncio.open_connection("127.0.0.1", box.smtp_port)
        # More than sockets buffer: when it has been taken, most of it has been read.
        writer.write(conversation(b"x" * 24_000_000)[: -len(b"\r\n.\r\nQUIT\r\n")])
        await writer.drain()
        assert any(isinstance(fact, CaptureRefused) for fact in box.facts)
        await box.send(HEAD)
        assert len(await box.all()) == 1
        await shut(writer)


async def test_closing_answers_the_mail_being_committed(
    open_box: OpenMailbox, tmp_path: Path
) -> None:
    async with open_box() as box:
        with (tmp_path / "mailbox.db.lock").open("r+b") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            sending = asyncio.ensure_future(
                dialogue(box.smtp_port, conversation(HEAD).removesuffix(b"QUIT\r\n"))
            )
            done, _ = await asyncio.wait([sending], timeout=0.3)
            assert not done
            closing = asyncio.ensure_future(box.house.stop_listening())
            await asyncio.sleep(0)
            fcntl.flock(lock, fcntl.LOCK_UN)
        await closing
        answer = await sending
        assert b"250 2.0.0 OK" in answer
        assert answer.endswith(b"421 4.3.2 The mailbox is closing\r\n")
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", box.smtp_port)


async def test_an_open_session_does_not_hold_the_close_up(open_box: OpenMailbox) -> None:
    loop = asyncio.get_running_loop()
    async with open_box() as box:
        reader, writer = await asyncio.open_connection("127.0.0.1", box.smtp_port)
        await reader.readline()
        began = loop.time()
    assert loop.time() - began < 1
    assert (await reader.read()).startswith(b"421")
    await shut(writer)


async def test_a_closed_store_is_unavailable(open_box: OpenMailbox) -> None:
    async with open_box() as box:
        store = box.house.store
    with pytest.raises(Unavailable):
        await store.totals()
    with pytest.raises(Unavailable):
        await store.delete_all()


async def test_a_failing_commit_statement_acks_nothing(box: Mailbox) -> None:
    """The insert goes well and only COMMIT fails: an answer given before it would be a lie."""
    connection = box.house.store._writer._connection
    # Inside the transaction of the first pruning the pragma would do nothing.
    await box.house.store.prune_expired()
    connection.execute("PRAGMA foreign_keys = ON")
    connection.executescript(
        "CREATE TABLE parent (id INTEGER PRIMARY KEY);"
        "CREATE TABLE child (id REFERENCES parent DEFERRABLE INITIALLY DEFERRED);"
        "CREATE TRIGGER orphan AFTER INSERT ON message BEGIN INSERT INTO child VALUES (1); END;"
    )
    answer = await dialogue(box.smtp_port, conversation(HEAD))
    assert b"\r\n452 4.3.1" in answer
    assert b"250 2.0.0" not in answer
    assert await box.all() == []
    connection.execute("DROP TRIGGER orphan")
    assert b"250 2.0.0" in await dialogue(box.smtp_port, conversation(HEAD))
