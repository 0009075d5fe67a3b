"""The audit finds each kind of disagreement between the books; one that cannot is no proof."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import delete

from notifier.settings.sections import DatabaseSettings
from notifier.store.engine import database_url, standalone, writing
from notifier.store.schema import message
from tests.proof.books import Books, Ledger, StoreBook, StoredMessage, audit, glance
from tests.proof.sink import Taken
from tests.support.office import START

ANN = "ann@example.org"
ROW = StoredMessage("msg_1", "ntf_1", ANN, "<1@x>", "sent")
BOOK = StoreBook(messages=(ROW,))
COPY = Taken("<1@x>", ANN, b"digest", 0.0)


def ledger(*ids: str) -> Ledger:
    found = Ledger()
    post = found.open([ANN], key="k")
    for one in ids or ("ntf_1",):
        found.acknowledge(post, one)
    return found


def doubted(times: int) -> StoreBook:
    return replace(BOOK, doubts=Counter({"msg_1": times}))


def with_row(**changes: str) -> StoreBook:
    return replace(BOOK, messages=(replace(ROW, **changes),))


@pytest.mark.parametrize(
    ("what", "journal", "book"),
    [
        ("lost", [], BOOK),
        ("lost", [COPY], StoreBook()),
        ("lost", [COPY], with_row(status="bounced")),
        ("lost", [COPY], with_row(notification_id="ntf_2")),
        ("unflagged", [COPY, COPY], BOOK),
        ("unflagged", [COPY, COPY, COPY], doubted(1)),
        ("stray", [COPY, replace(COPY, message_id="<2@x>")], BOOK),
        ("stray", [COPY, replace(COPY, rcpt_to="eve@example.org")], BOOK),
        ("stray", [COPY], replace(BOOK, messages=(ROW, replace(ROW, rcpt_to="eve@x.org")))),
        ("twins", [COPY], replace(BOOK, messages=(ROW, replace(ROW, id="msg_2")))),
        ("bytes", [COPY, replace(COPY, digest=b"other")], doubted(1)),
        ("unfinished", [COPY], with_row(status="held")),
        ("conservation", [COPY], with_row(status="pending")),
        ("conservation", [COPY], replace(BOOK, queued=frozenset({"msg_1"}))),
        ("conservation", [COPY], replace(BOOK, tally=Counter({"sent": 1}))),
        ("conservation", [COPY], replace(BOOK, deleted=Counter({"sent": 1}))),
    ],
)
def test_the_audit_finds(what: str, journal: list[Taken], book: StoreBook) -> None:
    found = audit(ledger(), journal, book).violations
    assert any(one.startswith(what) for one in found), found


def test_the_audit_finds_a_key_that_was_answered_with_two_ids() -> None:
    assert "twins" in str(audit(ledger("ntf_1", "ntf_2"), [COPY], BOOK).violations)


def test_the_audit_repeats_what_was_strange() -> None:
    odd = ledger()
    odd.strange["500 oh"] += 1
    assert audit(odd, [COPY], BOOK).violations == ("strange: 500 oh, 1 times",)


@pytest.mark.parametrize("copies", [1, 2, 3])
def test_the_audit_is_content_with_books_that_agree(copies: int) -> None:
    found = audit(ledger(), [COPY] * copies, doubted(copies - 1))
    assert found.violations == ()
    assert (found.accepted, found.sent, found.lost) == (1, 1, 0)
    assert found.duplicates == found.flagged == copies - 1


def test_a_glance_finds_an_acknowledged_mail_that_is_gone() -> None:
    odd = ledger()
    glance(odd, [(odd.posts[0], "ntf_1")], StoreBook())
    assert "is gone" in next(iter(odd.strange))


def test_what_is_deleted_stays_in_the_book(database: DatabaseSettings, tmp_path: Path) -> None:
    books = Books(database, tmp_path)
    books.copy_what_is_deleted()
    numbers = {"position": 0, "attempts": 0, "smtputf8": False}
    names = [column.name for column in message.c if column.name not in {"sent_at", "final_at"}]
    row = dict.fromkeys(names, "x") | numbers | {"created_at": START}
    with standalone(database_url(database, tmp_path), database) as opened:
        with writing(opened) as connection:
            connection.exec_driver_sql("INSERT INTO tally VALUES ('default', 'x', 1)")
            connection.execute(message.insert(), row)
        with writing(opened) as connection:
            connection.execute(delete(message))
    book = books.read()
    assert [one.id for one in book.messages] == ["x"]
    assert book.tally == book.deleted == Counter({"x": 1})
