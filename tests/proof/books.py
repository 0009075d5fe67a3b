"""The three books and the audit that lays them side by side.

`Ledger`: what was posted and what was answered 202. The sink's journal: what a relay took. The
store's book: every row there is, and a carbon copy of every row that retention has deleted,
made by triggers of the test's own in the transaction that deletes.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, MetaData, Table, select

from notifier.settings.sections import DatabaseSettings
from notifier.store.engine import database_url, standalone, writing
from notifier.store.schema import event, message, notification, outbox, tally
from tests.proof.sink import Taken

COPIED = (message, event, notification)
"""Tables whose deleted rows are kept in `kept_<table>`."""


@dataclass(eq=False, slots=True)
class Post:
    """One call of `POST /v1/notifications`; with a key perhaps several, all of which say the same.

    `ids` are those of its 202s. Recipients are nobody else's, so an address names its post.
    """

    recipients: tuple[str, ...]
    key: str | None = None
    ids: set[str] = field(default_factory=set)


@dataclass
class Ledger:
    """What the clients know. `people` are those whose mails come from registrations; `strange`
    counts what should not have happened, in words.
    """

    posts: list[Post] = field(default_factory=list)
    people: set[str] = field(default_factory=set)
    strange: Counter[str] = field(default_factory=Counter)
    acknowledged: int = 0

    def open(self, recipients: Iterable[str], key: str | None = None) -> Post:
        """Write down a post before it is made."""
        post = Post(tuple(recipients), key)
        self.posts.append(post)
        return post

    def acknowledge(self, post: Post, notification_id: str) -> None:
        """Write down a 202. `acknowledged` counts messages."""
        self.acknowledged += 0 if post.ids else len(post.recipients)
        post.ids.add(notification_id)


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """A message row, also one that retention has deleted since."""

    id: str
    notification_id: str
    rcpt_to: str
    message_id: str
    status: str
    template: str | None = None


@dataclass(frozen=True, slots=True)
class StoreBook:
    """The store at one moment. `doubts` says how many sendings of a message are marked as ones
    whose outcome nobody knows.
    """

    messages: tuple[StoredMessage, ...] = ()
    doubts: Counter[str] = field(default_factory=Counter)
    queued: frozenset[str] = frozenset()
    tally: Counter[str] = field(default_factory=Counter)
    deleted: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Audit:
    """What came of it. `violations` are sentences; none means that the books agree.

    All are counts of messages. `acknowledged` are those of a 202, `accepted` those that the store
    ever had: some calls took effect and were killed before their answer. `tallied` are those
    that retention has deleted meanwhile.
    """

    acknowledged: int
    accepted: int
    sent: int
    lost: int
    duplicates: int
    flagged: int
    tallied: int
    violations: tuple[str, ...]

    def __str__(self) -> str:
        return (
            f"acknowledged {self.acknowledged:,} · accepted {self.accepted:,}"
            f" · sent {self.sent:,} · lost {self.lost:,}"
            f" · duplicates {self.duplicates:,}, flagged {self.flagged:,}"
            f" · forgotten and tallied {self.tallied:,}"
        )


def audit(ledger: Ledger, journal: Sequence[Taken], book: StoreBook) -> Audit:
    """Compare the books of a system whose queue is empty."""
    rows: dict[str, list[StoredMessage]] = {}
    for row in book.messages:
        rows.setdefault(row.rcpt_to, []).append(row)
    copies = Counter((one.message_id, one.rcpt_to) for one in journal)
    lost = list(_lost(ledger, rows, copies))
    unflagged = {row.id: over for row in book.messages if (over := _unflagged(row, copies, book))}
    duplicates = sum(count - 1 for count in copies.values())
    violations = [
        *(f"lost: {sentence}" for sentence in lost),
        *(f"unflagged: {over} of the copies of {name}" for name, over in unflagged.items()),
        *_strays(ledger, rows, copies),
        *_twins(ledger, rows),
        *_differing(journal),
        *_unbalanced(book),
        *(f"unfinished: {row.id} is {row.status}" for row in book.messages if _open(row)),
        *(f"strange: {what}, {count} times" for what, count in ledger.strange.items()),
    ]
    return Audit(
        acknowledged=ledger.acknowledged,
        accepted=len(book.messages),
        sent=sum(row.status == "sent" for row in book.messages),
        lost=len(lost),
        duplicates=duplicates,
        flagged=duplicates - sum(unflagged.values()),
        tallied=sum(book.tally.values()),
        violations=tuple(violations),
    )


def glance(ledger: Ledger, known: Sequence[tuple[Post, str]], book: StoreBook) -> None:
    """What has to hold at any moment: `known`, acknowledged before `book` was read, is in it, and
    its sums close. Anything else is written down as strange.
    """
    there = {row.notification_id for row in book.messages}
    for post, notification_id in known:
        if notification_id not in there:
            ledger.strange[f"{post.recipients} was acknowledged and is gone"] += 1
    for sentence in _unbalanced(book):
        ledger.strange[sentence] += 1


def _lost(
    ledger: Ledger, rows: dict[str, list[StoredMessage]], copies: Counter[tuple[str, str]]
) -> Iterable[str]:
    for post in ledger.posts:
        for address in post.recipients if post.ids else ():
            mine = [row for row in rows.get(address, ()) if row.notification_id in post.ids]
            if not mine:
                yield f"{address} was acknowledged and is not in the store"
            elif any(row.status != "sent" for row in mine):
                yield f"{address} was acknowledged and is {mine[0].status}"
            elif not all(copies[row.message_id, address] for row in mine):
                yield f"{address} is sent in the store, and the relay never took it"


def _unflagged(row: StoredMessage, copies: Counter[tuple[str, str]], book: StoreBook) -> int:
    """Copies of a message beyond the first that no event admits to."""
    return max(0, copies[row.message_id, row.rcpt_to] - 1 - book.doubts[row.id])


def _strays(
    ledger: Ledger, rows: dict[str, list[StoredMessage]], copies: Counter[tuple[str, str]]
) -> Iterable[str]:
    posted = {address for post in ledger.posts for address in post.recipients} | ledger.people
    for message_id, address in copies:
        if address not in posted:
            yield f"stray: a mail to {address}, to whom nobody posted"
        elif not any(row.message_id == message_id for row in rows.get(address, ())):
            yield f"stray: {message_id} to {address} is not in the store"
    for address in rows.keys() - posted:
        yield f"stray: {address} is in the store, and nobody posted to them"


def _twins(ledger: Ledger, rows: dict[str, list[StoredMessage]]) -> Iterable[str]:
    for post in ledger.posts:
        if len(post.ids) > 1:
            yield f"twins: the key {post.key} was answered with {sorted(post.ids)}"
        for address in post.recipients:
            if len(rows.get(address, ())) > 1:
                yield f"twins: {address} has {len(rows[address])} messages of one post"


def _differing(journal: Sequence[Taken]) -> Iterable[str]:
    first: dict[tuple[str, str], bytes] = {}
    for one in journal:
        if first.setdefault((one.message_id, one.rcpt_to), one.digest) != one.digest:
            yield f"bytes: {one.message_id} to {one.rcpt_to} came in two versions"


def _unbalanced(book: StoreBook) -> Iterable[str]:
    """P2: a message is pending just when it is in the queue, and the tally is what was deleted."""
    pending = {row.id for row in book.messages if row.status == "pending"}
    if pending != book.queued:
        yield f"conservation: {sorted(pending ^ book.queued)} are pending or queued, not both"
    if book.tally != book.deleted:
        yield f"conservation: the tally is {dict(book.tally)}, deleted were {dict(book.deleted)}"


def _open(row: StoredMessage) -> bool:
    return row.status in {"pending", "held"}


class Books:
    """Reads the store's book from outside, from the database itself."""

    def __init__(self, database: DatabaseSettings, folder: Path) -> None:
        self._settings = database
        self._url = database_url(database, folder)

    def copy_what_is_deleted(self) -> None:
        """Install the carbon copies. Once, on a migrated database."""
        with standalone(self._url, self._settings) as database, writing(database) as connection:
            for table in COPIED:
                _install(connection, table)

    def read(self) -> StoreBook:
        """Everything, in one snapshot."""
        with self._reading() as connection:
            if connection.dialect.name != "sqlite":
                connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            return _book(connection)

    def waiting(self) -> int:
        """Messages in the queue."""
        with self._reading() as connection:
            return len(connection.execute(select(outbox.c.id)).all())

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        """A connection of its own, so that each look may be the one that finds a killed
        process's write-ahead log.
        """
        with (
            standalone(self._url, self._settings) as database,
            database.engine.connect().execution_options(reads=True) as connection,
            connection.begin(),
        ):
            yield connection


def _install(connection: Connection, table: Table) -> None:
    kept = f"kept_{table.name}"
    columns = ", ".join(column.name for column in table.columns)
    old = ", ".join(f"OLD.{column.name}" for column in table.columns)
    copy = f"INSERT INTO {kept} ({columns}) VALUES ({old});"
    connection.exec_driver_sql(f"CREATE TABLE {kept} AS SELECT * FROM {table.name} WHERE 1 = 0")
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(
            f"CREATE TRIGGER {kept} AFTER DELETE ON {table.name} BEGIN {copy} END"
        )
        return
    connection.exec_driver_sql(
        f"CREATE FUNCTION {kept}() RETURNS trigger LANGUAGE plpgsql"
        f" AS $$ BEGIN {copy} RETURN OLD; END $$"
    )
    connection.exec_driver_sql(
        f"CREATE TRIGGER {kept} AFTER DELETE ON {table.name} FOR EACH ROW EXECUTE FUNCTION {kept}()"
    )


def _book(connection: Connection) -> StoreBook:
    deleted = _copied(message)
    gone = [row.status for row in connection.execute(select(deleted.c.status))]
    counted = connection.execute(select(tally.c.status, tally.c.messages))
    return StoreBook(
        messages=(*_messages(connection, message), *_messages(connection, deleted)),
        doubts=_doubts(connection, event) + _doubts(connection, _copied(event)),
        queued=frozenset(connection.execute(select(outbox.c.id)).scalars()),
        tally=Counter({row.status: row.messages for row in counted}),
        deleted=Counter(gone),
    )


def _copied(table: Table) -> Table:
    return table.to_metadata(MetaData(), name=f"kept_{table.name}")


def _messages(connection: Connection, table: Table) -> list[StoredMessage]:
    templates: dict[str, str | None] = {}
    for source in (notification, _copied(notification)):
        found = connection.execute(select(source.c.id, source.c.template))
        templates |= {row.id: row.template for row in found}
    columns = (table.c.id, table.c.notification_id, table.c.rcpt_to, table.c.message_id)
    return [
        StoredMessage(*row, template=templates.get(row.notification_id))
        for row in connection.execute(select(*columns, table.c.status))
    ]


def _doubts(connection: Connection, table: Table) -> Counter[str]:
    """How many sendings of each message the events call ambiguous."""
    found: Counter[str] = Counter()
    query = select(table.c.message_id, table.c.data).where(table.c.message_id.is_not(None))
    for row in connection.execute(query):
        data: dict[str, Any] = row.data
        if data.get("ambiguous"):
            found[row.message_id] += int(data.get("times", 1))
    return found
