"""The store: what is acked stays, what is searched is found, what is old makes room."""

import asyncio
import os
import sqlite3
import sys
import time
from collections.abc import Callable
from pathlib import Path

import aiosmtplib
import pytest

from notifier.core.errors import Invalid, Misconfigured, NotFound, Unavailable
from notifier.mailbox.records import Arrival, SessionInfo
from notifier.mailbox.search import parse_query
from notifier.observe.door_facts import MailboxPruned
from tests.mailbox.boxes import Mailbox, OpenMailbox, opener

pytestmark = pytest.mark.anyio

SESSION = SessionInfo("127.0.0.1:1", "me", None, tls=False, smtputf8=False)


def mail(subject: str = "x", sender: str = "a@example.com", body: str = "") -> bytes:
    return f"From: {sender}\r\nSubject: {subject}\r\n\r\n{body}\r\n".encode()


async def put(box: Mailbox, raw: bytes, to: str = "ada@example.com") -> str:
    return await box.house.store.capture(Arrival(raw, "env@example.com", (to,), SESSION))


async def test_kill_9_loses_nothing_that_was_acked(tmp_path: Path, open_box: OpenMailbox) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.mailbox.crash_server", str(tmp_path),
        stdout=asyncio.subprocess.PIPE, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert process.stdout is not None
    port = int(await process.stdout.readline())
    acked: list[str] = []
    enough = asyncio.Event()

    async def send() -> None:
        async with aiosmtplib.SMTP(hostname="127.0.0.1", port=port) as client:
            while True:
                _, text = await client.sendmail("a@b.c", ["d@e.f"], mail(body="z" * 3000))
                acked.append(text.split()[-1])
                if len(acked) >= 150:
                    enough.set()

    senders = [asyncio.ensure_future(send()) for _ in range(4)]
    async with asyncio.timeout(30):
        await enough.wait()
    process.kill()
    await process.wait()
    await asyncio.gather(*senders, return_exceptions=True)
    async with open_box() as box:
        page = await box.house.store.page(parse_query(""), 5000)
        assert set(acked) <= {each.id for each in page}
        assert len(page) <= len(acked) + len(senders)
        totals = await box.house.store.totals()
        assert (totals.messages, totals.size_bytes) == (len(page), sum(e.size_bytes for e in page))
        assert len(await box.house.store.page(parse_query("zzz"), 5000)) == len(page)


async def test_everything_survives_a_restart(open_box: OpenMailbox) -> None:
    async with open_box() as box:
        await box.send(mail("kept"), to=["one@example.com", "two@example.com"])
        before = await box.newest()
        await box.house.store.mark(before.id, is_read=True)
        position = box.house.store.feed.position
    async with open_box() as box:
        after = await box.newest()
        assert after.is_read
        assert (after.id, after.captured_at, after.rcpt_to) == (
            before.id, before.captured_at, before.rcpt_to,
        )  # fmt: skip
        assert box.house.store.feed.position >= position


async def test_ephemeral_leaves_nothing(open_box: OpenMailbox, tmp_path: Path) -> None:
    async with open_box(ephemeral=True) as box:
        folder = box.house.store._folder
        await box.send(mail())
        assert len(await box.all()) == 1
    assert not await asyncio.to_thread(folder.exists)
    assert list(await asyncio.to_thread(os.listdir, tmp_path)) == []


FOUND = [
    ("receipt", 1), ("RECEIPT", 1), ("ceip", 1), ("subject:receipt", 1), ("from:receipt", 0),
    ("from:ann", 1), ("to:bob", 1), ("to:ann", 0), ("from:env@example.com", 2), ("öst", 1),
    ("ÖST", 1), ("qü", 1), ("é", 1), ('"two words"', 1), ("two words", 1), ('"words two"', 0),
    ("words nothing", 0), ('say "hi"', 0), ("a_b", 1), ("100%", 1), ("%", 1), ("_", 1), ("", 2),
    ("https://x.example", 1), ("from:ann receipt", 1), ("from:ann zebra", 0),
    ('subject:"my rec"', 1),
    ("OR", 1), ("NEAR(a b)", 0), ("*", 0), ('"', 2), ("sender:ann", 0),
]  # fmt: skip


@pytest.mark.parametrize(("query", "count"), FOUND)
async def test_search(box: Mailbox, query: str, count: int) -> None:
    await put(box, mail("My receipt é", "Ann <ann@example.com>", "100% a_b two words"), "bob@x.org")
    await put(box, mail("zebra", "Zoe <z@example.com>", "Österreich qü https://x.example/1"))
    assert len(await box.all(query)) == count


@pytest.mark.parametrize("query", ["from:", 'to:""', "subject: x", "x" * 501, "a " * 21])
async def test_a_search_that_cannot_be_read_is_refused(query: str) -> None:
    with pytest.raises(Invalid) as refused:
        parse_query(query)
    assert refused.value.errors[0].pointer == "query:query"


async def test_pages_follow_each_other(box: Mailbox) -> None:
    ids = [await put(box, mail(f"n{n}")) for n in range(5)]
    store = box.house.store
    first = await store.page(parse_query(""), 3)
    second = await store.page(parse_query(""), 3, before=first[-1].seq)
    assert [each.id for each in [*first, *second]] == ids[::-1]
    found = await store.page(parse_query("subject:n"), 2, after=first[-1].seq)
    assert [each.id for each in found] == ids[:2:-1]


async def test_the_count_is_kept_by_removing_the_oldest(open_box: OpenMailbox) -> None:
    async with open_box(max_messages=3) as box:
        old = [await put(box, mail(f"old{n}")) for n in range(3)]
        box.clock.move(700)
        new = await put(box, mail("new"))
        assert [each.id for each in await box.all()] == [new, old[2], old[1]]
        assert (await box.house.store.totals()).pruned == 1
        assert box.facts == [MailboxPruned(1)]
        assert await box.all("old0") == []


async def test_young_mail_is_never_pruned_for_the_count(open_box: OpenMailbox) -> None:
    async with open_box(max_messages=3) as box:
        for n in range(6):
            await put(box, mail(f"n{n}"))
        assert len(await box.all()) == 6


async def test_bytes_make_room_from_old_mail_and_else_refuse(open_box: OpenMailbox) -> None:
    async with open_box(max_total_bytes=1024 * 1024) as box:
        await put(box, mail("old", body="x" * 600_000))
        box.clock.move(700)
        await put(box, mail("young", body="y" * 600_000))
        assert [each.summary.subject for each in await box.all()] == ["young"]
        with pytest.raises(Unavailable) as refused:
            await put(box, mail("no", body="z" * 600_000))
        assert refused.value.code == "mailbox_full"
        assert [each.summary.subject for each in await box.all()] == ["young"]


async def test_a_mail_larger_than_the_quota_prunes_nothing(open_box: OpenMailbox) -> None:
    async with open_box(max_total_bytes=1024 * 1024) as box:
        await put(box, mail("old"))
        box.clock.move(700)
        with pytest.raises(Unavailable):
            await put(box, mail("no", body="z" * 2_000_000))
        assert len(await box.all()) == 1


async def test_age_removes_in_small_commits(open_box: OpenMailbox) -> None:
    async with open_box(max_age_s=3600) as box:
        for n in range(45):
            await put(box, mail(f"n{n}"))
        box.clock.move(4000)
        await put(box, mail("young"))
        assert await box.house.store.prune_expired() == 45
        assert [each.summary.subject for each in await box.all()] == ["young"]
        changes = await box.house.store.changes(0, 500)
        assert [len(each.message_ids) for each in changes if each.kind == "pruned"] == [20, 20, 5]


async def test_deleting_by_ids_by_query_and_all(box: Mailbox) -> None:
    store = box.house.store
    ids = [await put(box, mail(f"n{n} {'odd' if n % 2 else 'even'}")) for n in range(6)]
    outcome = await store.delete_ids([ids[0], ids[0], "cap_x"])
    assert (outcome.deleted, outcome.not_found) == (1, ("cap_x",))
    assert (await store.delete_matching(parse_query("odd"))).deleted == 3
    assert {each.id for each in await box.all()} == {ids[2], ids[4]}
    assert (await store.delete_all()).deleted == 2
    totals = await store.totals()
    assert (totals.messages, totals.size_bytes, totals.unread) == (0, 0, 0)
    assert await box.all("even") == []
    await put(box, mail("even again"))
    assert len(await box.all("even")) == 1
    with pytest.raises(NotFound):
        await store.raw(ids[2])


async def test_one_bad_job_does_not_touch_its_neighbours(box: Mailbox) -> None:
    def bad(connection: sqlite3.Connection) -> None:
        connection.execute("DELETE FROM message")
        raise ZeroDivisionError

    await put(box, mail("first"))
    store = box.house.store
    outcomes = await asyncio.gather(
        put(box, mail("a")), store._writer.run(bad), put(box, mail("b")), return_exceptions=True
    )
    assert isinstance(outcomes[1], ZeroDivisionError)
    assert {each.summary.subject for each in await box.all()} == {"first", "a", "b"}


async def test_two_processes_on_one_file_lose_nothing_and_see_each_other(
    box: Mailbox, open_box: OpenMailbox
) -> None:
    async with open_box() as other:
        with box.house.store.feed.subscribe() as news:
            await asyncio.gather(
                *(put(each, mail(f"n{n}")) for n in range(60) for each in (box, other))
            )
            seen: list[str] = []
            async with asyncio.timeout(10):
                while len(seen) < 120:
                    for change in await news.next(5):
                        seen.extend(change.message_ids)
        assert len(set(seen)) == 120
        assert len(await other.all()) == 120
    assert len(await box.all()) == 120


async def test_the_wal_is_folded_in_when_idle(box: Mailbox, tmp_path: Path) -> None:
    await put(box, mail("needle", body="x" * 200_000))
    wal = tmp_path / "mailbox.db-wal"

    def main_file_has_it() -> bool:
        return b"needle" in (tmp_path / "mailbox.db").read_bytes()

    assert await asyncio.to_thread(wal.exists)
    await asyncio.to_thread(wait_until, main_file_has_it)


def wait_until(condition: Callable[[], bool]) -> None:
    """Polls: a checkpoint of the writer thread is announced to nobody."""
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


async def test_a_folder_that_cannot_be_written_is_a_misconfiguration(tmp_path: Path) -> None:
    (tmp_path / "mailbox.db").mkdir()
    with pytest.raises(Misconfigured, match="mailbox"):
        await open_and_close(tmp_path)


async def test_a_file_that_is_no_database_is_a_misconfiguration(tmp_path: Path) -> None:
    (tmp_path / "mailbox.db").write_bytes(b"no database at all" * 100)
    with pytest.raises(Misconfigured, match="mailbox"):
        await open_and_close(tmp_path)


async def test_a_newer_schema_is_not_touched(tmp_path: Path, open_box: OpenMailbox) -> None:
    async with open_box():
        pass
    with sqlite3.connect(tmp_path / "mailbox.db") as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(Misconfigured, match="newer"):
        await open_and_close(tmp_path)


async def open_and_close(folder: Path) -> None:
    async with opener(folder)():
        pass


async def test_the_file_is_for_its_owner_alone(box: Mailbox, tmp_path: Path) -> None:
    mode = (await asyncio.to_thread((tmp_path / "mailbox.db").stat)).st_mode
    assert mode & 0o077 == 0
