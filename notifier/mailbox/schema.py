"""Tables of `mailbox.db`, and how a connection to it is made.

The standard library's `sqlite3` and no SQLAlchemy: this file is never PostgreSQL, it needs FTS5
and hand-held checkpoints, and a stand-alone mailbox starts faster without the larger library.
"""

import os
import sqlite3
from pathlib import Path

from notifier.core.errors import Misconfigured

SCHEMA_VERSION = 1
BUSY_TIMEOUT_S = 10
WAL_KEPT_BYTES = 64 * 1024 * 1024

# `words` holds case-folded text, so that the index (three characters and more) and LIKE (fewer)
# agree on what is equal. `search` is an external-content index over it: no text stands twice.
# The bytes live apart, so that a list never drags them along.
_TABLES = """
CREATE TABLE totals (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    messages INTEGER NOT NULL, size_bytes INTEGER NOT NULL, pruned INTEGER NOT NULL
);
INSERT INTO totals VALUES (1, 0, 0, 0);
CREATE TABLE change (
    id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, message_ids TEXT NOT NULL
);
CREATE TABLE message (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    captured_at_us INTEGER NOT NULL,
    is_read INTEGER NOT NULL DEFAULT 0,
    size_bytes INTEGER NOT NULL,
    mail_from TEXT NOT NULL,
    rcpt_to TEXT NOT NULL,
    session TEXT NOT NULL,
    sender TEXT,
    recipients TEXT NOT NULL,
    subject TEXT NOT NULL,
    snippet TEXT NOT NULL,
    date TEXT,
    message_id TEXT,
    template TEXT,
    attachments INTEGER NOT NULL,
    has_html INTEGER NOT NULL,
    has_text INTEGER NOT NULL,
    malformed TEXT
);
CREATE INDEX message_by_message_id ON message (message_id) WHERE message_id IS NOT NULL;
CREATE INDEX message_unread ON message (seq) WHERE is_read = 0;
CREATE INDEX message_by_age ON message (captured_at_us);
CREATE TABLE content (seq INTEGER PRIMARY KEY, raw BLOB NOT NULL);
CREATE TABLE words (
    seq INTEGER PRIMARY KEY, sender TEXT NOT NULL, recipients TEXT NOT NULL,
    subject TEXT NOT NULL, body TEXT NOT NULL
);
CREATE VIRTUAL TABLE search USING fts5 (
    sender, recipients, subject, body, content='words', content_rowid='seq', tokenize='trigram'
);
"""


def open_writer(path: Path, *, durable: bool) -> sqlite3.Connection:
    """The one connection that writes; makes the file (mode 0600) and its tables when absent.

    The caller holds the file's lock. With `durable`, a commit returns after its fsync. Raises
    `Misconfigured` when the file cannot be used.
    """
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        connection = _connect(path)
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'OFF'}")
        connection.execute("PRAGMA secure_delete = ON")
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute(f"PRAGMA journal_size_limit = {WAL_KEPT_BYTES}")
        _prepare(connection, path)
    except (sqlite3.Error, OSError) as error:
        raise Misconfigured(f"The mailbox cannot use {path}: {error}.") from error
    return connection


def open_reader(path: Path) -> sqlite3.Connection:
    """A connection that cannot write and never checkpoints."""
    connection = _connect(path)
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    connection.execute("PRAGMA query_only = ON")
    return connection


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(
        path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
    )
    connection.row_factory = sqlite3.Row
    return connection


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version > SCHEMA_VERSION:
        raise Misconfigured(
            f"{path} was written by a newer Notifier (schema {version}, this one knows "
            f"{SCHEMA_VERSION}). Update Notifier, or name another DATA_DIR."
        )
    if version == 0:
        connection.executescript(
            f"BEGIN IMMEDIATE;{_TABLES}PRAGMA user_version = {SCHEMA_VERSION};COMMIT;"
        )
