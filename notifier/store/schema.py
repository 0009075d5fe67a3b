"""The tables. The migrations make them; this module is what statements are written against.

There are no foreign keys: rows are written in one transaction by one module each, retention
deletes in batches of its own order, and a check per insert on the hot tables would buy nothing.
Every row carries its project.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    text,
)

from notifier.store.types import Instant, Json

metadata = MetaData()

_Id = String(36)
_Project = String(64)

content = Table(
    "content",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("project", _Project, nullable=False),
    Column("body", LargeBinary, comment="finished RFC 5322 bytes; NULL once erased"),
    Column("sealed", Boolean, nullable=False, comment="body is encrypted under SECRET_KEY"),
    Column(
        "size_bytes",
        Integer,
        nullable=False,
        comment="of the mail, not of the stored form",
    ),
    Column("created_at", Instant, nullable=False),
    Column("erased_at", Instant),
    Index(
        "ix_content_kept",
        "created_at",
        sqlite_where=text("body IS NOT NULL"),
        postgresql_where=text("body IS NOT NULL"),
    ),
)
"""Finished bytes, once per distinct mail. A sealed body is erased at its last final state."""

notification = Table(
    "notification",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("project", _Project, nullable=False),
    Column("route", String(4), nullable=False),
    Column("stream", String(16), nullable=False),
    Column("reference", String(255)),
    Column("template", String(64)),
    Column("template_version", String(64)),
    Column("tags", Json),
    Column("metadata", Json),
    Column("created_at", Instant, nullable=False),
    Column("scheduled_at", Instant),
    Column("expires_at", Instant, nullable=False),
    Index("ix_notification_project", "project", "id"),
    Index(
        "ix_notification_reference",
        "project",
        "reference",
        sqlite_where=text("reference IS NOT NULL"),
        postgresql_where=text("reference IS NOT NULL"),
    ),
)

message = Table(
    "message",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("project", _Project, nullable=False),
    Column("notification_id", _Id, nullable=False),
    Column(
        "position",
        SmallInteger,
        nullable=False,
        comment="place in the notification, from 0",
    ),
    Column("content_id", _Id, nullable=False),
    Column("mail_from", String(320), nullable=False),
    Column("rcpt_to", String(320), nullable=False),
    Column("smtputf8", Boolean, nullable=False),
    Column("message_id", String(320), nullable=False, comment="Message-ID header with <>"),
    Column(
        "status",
        String(16),
        nullable=False,
        comment="pending while in outbox, held, or final",
    ),
    Column(
        "attempts",
        SmallInteger,
        nullable=False,
        comment="written when it leaves the outbox",
    ),
    Column("relay", String(255)),
    Column("queue_id", String(200), comment="the relay's own id, from its 250"),
    Column("created_at", Instant, nullable=False),
    Column("sent_at", Instant),
    Column("final_at", Instant),
    Index("ix_message_notification", "notification_id", "position"),
    Index("ix_message_recipient", "rcpt_to", "id"),
    # Whether anybody still needs a content is asked each time a mail with a secret ends.
    Index("ix_message_content", "content_id"),
)
"""One mail to one recipient: envelope and status."""

outbox = Table(
    "outbox",
    metadata,
    Column("id", _Id, primary_key=True, comment="the message's id"),
    Column("route", String(4), nullable=False, comment="live or test"),
    Column(
        "lane",
        SmallInteger,
        nullable=False,
        comment="0 urgent, 1 transactional, 2 bulk",
    ),
    Column("project", _Project, nullable=False),
    Column("due_at", Instant, nullable=False, comment="while claimed: the end of the lease"),
    Column("expires_at", Instant, nullable=False),
    Column("claims", Integer, nullable=False, comment="the fence; only grows"),
    Column("attempt", SmallInteger, nullable=False, comment="tries that reached MAIL"),
    Column(
        "orphaned",
        SmallInteger,
        nullable=False,
        comment="claims in a row without an outcome",
    ),
    Column("owner", String(36), comment="who holds the lease; NULL: nobody"),
    # The total of `standstill` when it was accepted. NULL: its life was asked for and goes on.
    Column("standstill_us", BigInteger),
    Index("ix_outbox_due", "route", "lane", "project", "due_at"),
)
"""What is still to be done, and nothing else: finished rows leave it."""

event = Table(
    "event",
    metadata,
    Column(
        "seq",
        BigInteger().with_variant(Integer, "sqlite"),
        primary_key=True,
        autoincrement=True,
    ),
    Column("xid", BigInteger, nullable=False, server_default=text("0")),
    Column("id", _Id, nullable=False, unique=True),
    Column("project", _Project, nullable=False),
    Column("notification_id", _Id),
    Column("message_id", _Id),
    Column("registration_id", _Id),
    Column("type", String(48), nullable=False),
    Column("at", Instant, nullable=False),
    Column("data", Json, nullable=False),
    Index("ix_event_notification", "notification_id", "seq"),
    Index("ix_event_feed", "project", "xid", "seq"),
    Index(
        "ix_event_loose",
        "at",
        sqlite_where=text("notification_id IS NULL"),
        postgresql_where=text("notification_id IS NULL"),
    ),
    # Finds the few messages that are held. An index by `message.status` would keep PostgreSQL
    # from updating a message in place when it is sent.
    Index(
        "ix_event_held",
        "message_id",
        sqlite_where=text("type = 'message.held'"),
        postgresql_where=text("type = 'message.held'"),
    ),
    sqlite_autoincrement=True,
)
"""What happened. On PostgreSQL `xid` is the writing transaction (see `feed`)."""

idempotency = Table(
    "idempotency",
    metadata,
    Column("project", _Project, primary_key=True),
    Column(
        "route",
        String(64),
        primary_key=True,
        comment="the HTTP route the key was used on",
    ),
    Column("key", String(256), primary_key=True),
    Column("fingerprint", String(64), nullable=False),
    Column("winner", _Id, nullable=False, comment="id of the thing the first call made"),
    Column("answer", Text, nullable=False, comment="body of the first answer"),
    Column("created_at", Instant, nullable=False),
    Index("ix_idempotency_created", "created_at"),
)

api_key = Table(
    "api_key",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("name", String(64), nullable=False),
    Column("project", _Project, nullable=False),
    Column("route", String(4), nullable=False),
    Column(
        "prefix",
        String(32),
        nullable=False,
        comment="shown in lists to tell keys apart",
    ),
    Column("sha256", String(64), nullable=False, unique=True),
    Column("scopes", Json, nullable=False),
    Column("from_domains", Json, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant),
    Column("revoked_at", Instant),
    Index(
        "uq_api_key_name",
        "name",
        unique=True,
        sqlite_where=text("revoked_at IS NULL"),
        postgresql_where=text("revoked_at IS NULL"),
    ),
)

registration = Table(
    "registration",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("project", _Project, nullable=False),
    Column("route", String(4), nullable=False),
    Column("email", String(320), nullable=False),
    Column(
        "email_key",
        String(320),
        nullable=False,
        comment="form in which addresses compare",
    ),
    Column("name", String(64)),
    Column("locale", String(35)),
    Column("data", Json),
    Column("redirect_to", Text),
    Column("status", String(16), nullable=False, comment="pending or confirmed"),
    Column("code_tries", SmallInteger, nullable=False, comment="wrong codes so far"),
    Column("created_at", Instant, nullable=False),
    Column("confirmed_at", Instant),
    Column("expires_at", Instant, nullable=False),
    Index("ix_registration_email", "project", "email_key"),
    Index(
        "ix_registration_pending",
        "expires_at",
        sqlite_where=text("status = 'pending'"),
        postgresql_where=text("status = 'pending'"),
    ),
)

registration_mail = Table(
    "registration_mail",
    metadata,
    Column("message_id", _Id, primary_key=True),
    Column("project", _Project, nullable=False),
    Column("registration_id", _Id, nullable=False),
    Column("token_sha256", String(64), nullable=False, unique=True),
    Column("code_hmac", String(64), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("burnt_at", Instant, comment="its code and link confirm nothing any more"),
    Index("ix_registration_mail_registration", "registration_id"),
)
"""One confirmation mail: the link and the code it carries, both only as hashes."""

confirmed_address = Table(
    "confirmed_address",
    metadata,
    Column("project", _Project, primary_key=True),
    Column("route", String(4), primary_key=True, comment="a test does not make a person known"),
    Column("email_key", String(320), primary_key=True),
    Column("registration_id", _Id, nullable=False),
    Column("confirmed_at", Instant, nullable=False),
)
"""Addresses known in a project. Its primary key is what makes the welcome mail single."""

tally = Table(
    "tally",
    metadata,
    Column("project", _Project, primary_key=True),
    Column("status", String(16), primary_key=True),
    Column("messages", BigInteger, nullable=False),
)
"""Messages that retention deleted, by their final status, so that the sums still close."""

standstill = Table(
    "standstill",
    metadata,
    Column("route", String(4), primary_key=True),
    Column("total_us", BigInteger, nullable=False),
    Column("seen_at", Instant, nullable=False),
)
"""For how long, in microseconds, every relay of a route has been paused since the beginning.

Whoever sees it so says so every few seconds; `seen_at` is when it was last said. A default life
ends at `expires_at` plus what was added here since the message was accepted.
"""

relay_command = Table(
    "relay_command",
    metadata,
    Column("relay", String(64), primary_key=True),
    Column("paused", Boolean, nullable=False, comment="false: go on, and probe at once"),
    Column("at", Instant, nullable=False),
    Column("reason", String(300), nullable=False),
)
"""What an operator last told all processes about a relay."""

worker = Table(
    "worker",
    metadata,
    Column("owner", _Id, primary_key=True),
    Column("host", String(255), nullable=False),
    Column("pid", Integer, nullable=False),
    Column("role", String(16), nullable=False),
    Column("version", String(32), nullable=False),
    Column("started_at", Instant, nullable=False),
    Column("seen_at", Instant, nullable=False),
    Column("seats", Integer, nullable=False),
    Column("busy", Integer, nullable=False),
    Column("relays", Json, nullable=False),
)
"""Processes that deliver: how each of them sees its relays, said every few seconds."""

rate = Table(
    "rate",
    metadata,
    Column("name", String(128), primary_key=True),
    Column("spent_until", Instant, nullable=False),
)
"""Rates that all processes share: up to when the allowance of each has been taken."""
