"""What is read from `mailbox.db`: plain functions of a connection."""

import json
import sqlite3
from datetime import UTC, datetime

from notifier.mailbox.records import Captured, Change, Person, SessionInfo, Summary, Totals
from notifier.mailbox.search import Query, to_sql

MICROSECONDS = 1_000_000


def to_us(at: datetime) -> int:
    """Microseconds since the epoch, without the rounding of a float."""
    since = at - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86400 + since.seconds) * MICROSECONDS + since.microseconds


def select_page(
    connection: sqlite3.Connection, query: Query, limit: int, before: int | None, after: int = 0
) -> list[Captured]:
    """Newest first: up to `limit` mails that match, with `after < seq < before`."""
    rows = select_rows(connection, "message.*", query, limit, before=before, after=after)
    return [_captured(row) for row in rows]


def select_rows(
    connection: sqlite3.Connection,
    columns: str,
    query: Query,
    limit: int,
    *,
    before: int | None,
    after: int = 0,
) -> list[sqlite3.Row]:
    """Rows of `message`, newest first, that match and have `after < seq < before`."""
    sql = to_sql(query)
    source, place, params = "message", "message.seq", list[str | int]()
    clauses = list(sql.clauses)
    if sql.match is not None:
        # Ordered by the index's own rowid, so that the newest come without sorting all.
        source, place = "search JOIN message ON message.seq = search.rowid", "search.rowid"
        clauses.insert(0, "search MATCH ?")
        params.append(sql.match)
    params += sql.params
    if before is not None:
        clauses.append(f"{place} < ?")
        params.append(before)
    if after:
        clauses.append(f"{place} > ?")
        params.append(after)
    where = f"WHERE {' AND '.join(clauses)} " if clauses else ""
    statement = f"SELECT {columns} FROM {source} {where}ORDER BY {place} DESC LIMIT ?"  # noqa: S608
    return connection.execute(statement, (*params, limit)).fetchall()


def select_one(connection: sqlite3.Connection, message_id: str) -> Captured | None:
    """The mail without its bytes, or None."""
    row = connection.execute("SELECT * FROM message WHERE id = ?", (message_id,)).fetchone()
    return _captured(row) if row else None


def select_raw(connection: sqlite3.Connection, message_id: str) -> bytes | None:
    """The bytes as they were received, or None."""
    row = connection.execute(
        "SELECT raw FROM content JOIN message USING (seq) WHERE id = ?", (message_id,)
    ).fetchone()
    return bytes(row["raw"]) if row else None


def read_totals(connection: sqlite3.Connection) -> Totals:
    """Counts over the whole mailbox."""
    row = connection.execute(
        "SELECT messages, size_bytes, pruned, "
        "(SELECT COUNT(*) FROM message WHERE is_read = 0) AS unread FROM totals"
    ).fetchone()
    return Totals(row["messages"], row["unread"], row["size_bytes"], row["pruned"])


def select_changes(connection: sqlite3.Connection, after: int, limit: int) -> list[Change]:
    """The feed after this place, oldest first."""
    rows = connection.execute(
        "SELECT id, kind, message_ids FROM change WHERE id > ? ORDER BY id LIMIT ?", (after, limit)
    )
    return [Change(row["id"], row["kind"], tuple(json.loads(row["message_ids"]))) for row in rows]


def feed_bounds(connection: sqlite3.Connection) -> tuple[int, int]:
    """The oldest place that a replay can start after, and the newest place."""
    row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'change'").fetchone()
    newest = int(row["seq"]) if row else 0
    oldest = connection.execute("SELECT MIN(id) FROM change").fetchone()[0]
    return (int(oldest) - 1 if oldest is not None else newest), newest


def _captured(row: sqlite3.Row) -> Captured:
    at = datetime.fromtimestamp(row["captured_at_us"] // MICROSECONDS, UTC)
    peer, helo, auth_user, tls, smtputf8 = json.loads(row["session"])
    sender = [Person(*each) for each in json.loads(row["sender"])] if row["sender"] else []
    return Captured(
        seq=row["seq"],
        id=row["id"],
        captured_at=at.replace(microsecond=row["captured_at_us"] % MICROSECONDS),
        is_read=bool(row["is_read"]),
        size_bytes=row["size_bytes"],
        mail_from=row["mail_from"],
        rcpt_to=tuple(json.loads(row["rcpt_to"])),
        session=SessionInfo(peer, helo, auth_user, tls, smtputf8),
        summary=Summary(
            sender=sender[0] if sender else None,
            to=tuple(Person(*each) for each in json.loads(row["recipients"])),
            subject=row["subject"],
            snippet=row["snippet"],
            date=datetime.fromisoformat(row["date"]) if row["date"] else None,
            message_id=row["message_id"],
            template=row["template"],
            attachments=row["attachments"],
            has_html=bool(row["has_html"]),
            has_text=bool(row["has_text"]),
            malformed=row["malformed"],
        ),
    )


def used_bytes(connection: sqlite3.Connection) -> int:
    """Sum of the sizes of all mails."""
    return int(connection.execute("SELECT size_bytes FROM totals").fetchone()[0])
