"""What is written to `mailbox.db`: plain functions of a connection, inside a transaction."""

import json
import sqlite3
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from notifier.core.errors import Unavailable
from notifier.mailbox.records import Arrival, ChangeKind, Deleted, Limits, Person, Summary
from notifier.mailbox.rows import MICROSECONDS, select_rows, to_us, used_bytes
from notifier.mailbox.search import Query

PRUNE_BATCH = 20
DELETE_BATCH = 200
YOUNG_S = 600  # never pruned: a test that just sent a mail must find it
CHANGES_KEPT = 10_000
SEARCHED_CHARS = 100_000

_INSERT = """
INSERT INTO message (seq, id, captured_at_us, size_bytes, mail_from, rcpt_to, session, sender,
    recipients, subject, snippet, date, message_id, template, attachments, has_html, has_text,
    malformed)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""


def insert(
    connection: sqlite3.Connection,
    new_id: str,
    at: datetime,
    arrival: Arrival,
    summary: Summary,
    body: str,
) -> int:
    """Stores a mail, searchable and in the feed; returns its `seq`."""
    seq = add_change(connection, "new", [new_id])
    size = len(arrival.raw)
    connection.execute(_INSERT, _columns(seq, new_id, at, arrival, summary))
    connection.execute("INSERT INTO content VALUES (?, ?)", (seq, arrival.raw))
    words = (seq, *_words(arrival, summary, body))
    connection.execute("INSERT INTO words VALUES (?, ?, ?, ?, ?)", words)
    connection.execute(
        "INSERT INTO search (rowid, sender, recipients, subject, body) VALUES (?, ?, ?, ?, ?)",
        words,
    )
    connection.execute(
        "UPDATE totals SET messages = messages + 1, size_bytes = size_bytes + ?", (size,)
    )
    return seq


def _columns(
    seq: int, new_id: str, at: datetime, arrival: Arrival, summary: Summary
) -> tuple[Any, ...]:
    session = arrival.session
    return (
        seq,
        new_id,
        to_us(at),
        len(arrival.raw),
        arrival.mail_from,
        json.dumps(arrival.rcpt_to),
        json.dumps([session.peer, session.helo, session.auth_user, session.tls, session.smtputf8]),
        _people((summary.sender,)) if summary.sender else None,
        _people(summary.to),
        summary.subject,
        summary.snippet,
        summary.date.isoformat() if summary.date else None,
        summary.message_id,
        summary.template,
        summary.attachments,
        summary.has_html,
        summary.has_text,
        summary.malformed,
    )


def _words(arrival: Arrival, summary: Summary, body: str) -> tuple[str, str, str, str]:
    sender = [arrival.mail_from, *_flat((summary.sender,) if summary.sender else ())]
    recipients = [*arrival.rcpt_to, *_flat(summary.to)]
    return (
        " ".join(sender).casefold(),
        " ".join(dict.fromkeys(recipients)).casefold(),
        summary.subject.casefold(),
        body[:SEARCHED_CHARS].casefold(),
    )


def _flat(people: Iterable[Person]) -> list[str]:
    return [f"{person.name} {person.address}".strip() for person in people]


def _people(people: Sequence[Person]) -> str:
    return json.dumps([[person.name, person.address] for person in people])


def add_change(connection: sqlite3.Connection, kind: ChangeKind, ids: Sequence[str]) -> int:
    """Appends to the feed, and forgets its oldest entries; returns the new entry's id."""
    cursor = connection.execute(
        "INSERT INTO change (kind, message_ids) VALUES (?, ?)", (kind, json.dumps(ids))
    )
    seq = int(cursor.lastrowid or 0)
    connection.execute("DELETE FROM change WHERE id <= ?", (seq - CHANGES_KEPT,))
    return seq


def make_room(
    connection: sqlite3.Connection, limits: Limits, now: datetime, incoming_bytes: int
) -> int:
    """Removes old mail until `incoming_bytes` more fit; returns how many went.

    Mail younger than `YOUNG_S` stays: the count yields to it, the bytes do not, they refuse.
    Raises `Unavailable` when the bytes do not fit.
    """
    if incoming_bytes > limits.max_total_bytes:
        raise _full()
    pruned = 0
    messages = int(connection.execute("SELECT messages FROM totals").fetchone()[0])
    if (excess := messages + 1 - limits.max_messages) > 0:
        pruned += prune(connection, now, YOUNG_S, min(PRUNE_BATCH, excess))
    while used_bytes(connection) + incoming_bytes > limits.max_total_bytes:
        gone = prune(connection, now, YOUNG_S, PRUNE_BATCH)
        if not gone:
            raise _full()
        pruned += gone
    return pruned


def _full() -> Unavailable:
    return Unavailable(
        "The mailbox is full (MAILBOX__MAX_TOTAL_BYTES): delete mail, or raise it.",
        code="mailbox_full",
    )


def prune(connection: sqlite3.Connection, now: datetime, older_than_s: float, most: int) -> int:
    """Removes up to `most` of the oldest mails older than `older_than_s`; counted in totals."""
    before = to_us(now) - int(older_than_s * MICROSECONDS)
    rows = connection.execute(
        "SELECT seq, id FROM message WHERE captured_at_us < ? ORDER BY captured_at_us LIMIT ?",
        (before, most),
    ).fetchall()
    if rows:
        _remove(connection, rows, "pruned")
        connection.execute("UPDATE totals SET pruned = pruned + ?", (len(rows),))
    return len(rows)


def delete_ids(connection: sqlite3.Connection, ids: Sequence[str]) -> Deleted:
    """Removes these mails; unknown ids are reported, not refused."""
    rows = [row for each in dict.fromkeys(ids) if (row := _key(connection, each)) is not None]
    known = {row["id"] for row in rows}
    _remove(connection, rows, "deleted")
    return Deleted(len(rows), tuple(each for each in dict.fromkeys(ids) if each not in known))


def _key(connection: sqlite3.Connection, message_id: str) -> sqlite3.Row | None:
    row: sqlite3.Row | None = connection.execute(
        "SELECT seq, id FROM message WHERE id = ?", (message_id,)
    ).fetchone()
    return row


def delete_matching(connection: sqlite3.Connection, query: Query, upto: int) -> int:
    """Removes up to `DELETE_BATCH` mails that match and came no later than `upto`."""
    rows = select_rows(connection, "message.seq, message.id", query, DELETE_BATCH, before=upto + 1)
    _remove(connection, rows, "deleted")
    return len(rows)


def delete_all(connection: sqlite3.Connection) -> int:
    """Removes every mail in one step."""
    ids = [row["id"] for row in connection.execute("SELECT id FROM message")]
    connection.execute("INSERT INTO search (search) VALUES ('delete-all')")
    for table in ("words", "content", "message"):
        connection.execute(f"DELETE FROM {table}")  # noqa: S608 - names from this line
    connection.execute("UPDATE totals SET messages = 0, size_bytes = 0")
    for start in range(0, len(ids), DELETE_BATCH):
        add_change(connection, "deleted", ids[start : start + DELETE_BATCH])
    return len(ids)


def _remove(connection: sqlite3.Connection, rows: Sequence[sqlite3.Row], kind: ChangeKind) -> None:
    for row in rows:
        seq = (row["seq"],)
        connection.execute(
            "INSERT INTO search (search, rowid, sender, recipients, subject, body) "
            "SELECT 'delete', seq, sender, recipients, subject, body FROM words WHERE seq = ?",
            seq,
        )
        connection.execute(
            "UPDATE totals SET messages = messages - 1, size_bytes = size_bytes - "
            "(SELECT size_bytes FROM message WHERE seq = ?)",
            seq,
        )
        for table in ("words", "content", "message"):
            connection.execute(f"DELETE FROM {table} WHERE seq = ?", seq)  # noqa: S608
    for start in range(0, len(rows), DELETE_BATCH):
        add_change(connection, kind, [row["id"] for row in rows[start : start + DELETE_BATCH]])


def mark(connection: sqlite3.Connection, message_id: str, *, is_read: bool) -> bool:
    """Sets the read flag; False when there is no such mail. Tells the feed only of a change."""
    changed = connection.execute(
        "UPDATE message SET is_read = ? WHERE id = ? AND is_read <> ?",
        (is_read, message_id, is_read),
    ).rowcount
    if changed:
        add_change(connection, "read" if is_read else "unread", [message_id])
    return bool(changed) or _key(connection, message_id) is not None
