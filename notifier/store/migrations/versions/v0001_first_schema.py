"""The first schema."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

INSTANT = sa.BigInteger()
JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    op.create_table(
        "api_key",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("project", sa.String(length=64), nullable=False),
        sa.Column("route", sa.String(length=4), nullable=False),
        sa.Column(
            "prefix",
            sa.String(length=32),
            nullable=False,
            comment="shown in lists to tell keys apart",
        ),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("scopes", JSON, nullable=False),
        sa.Column("from_domains", JSON, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("expires_at", INSTANT, nullable=True),
        sa.Column("revoked_at", INSTANT, nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("sha256"),
    )
    op.create_index(
        "uq_api_key_name",
        "api_key",
        ["name"],
        unique=True,
        sqlite_where=sa.text("revoked_at IS NULL"),
        postgresql_where=sa.text("revoked_at IS NULL"),
    )
    op.create_table(
        "confirmed_address",
        sa.Column("project", sa.String(length=64), nullable=False),
        sa.Column(
            "route",
            sa.String(length=4),
            nullable=False,
            comment="a test does not make a person known",
        ),
        sa.Column("email_key", sa.String(length=320), nullable=False),
        sa.Column("registration_id", sa.String(length=36), nullable=False),
        sa.Column("confirmed_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("project", "route", "email_key"),
    )
    op.create_table(
        "content",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("project", sa.String(length=64), nullable=False),
        sa.Column(
            "body",
            sa.LargeBinary(),
            nullable=True,
            comment="finished RFC 5322 bytes; NULL once erased",
        ),
        sa.Column(
            "sealed", sa.Boolean(), nullable=False, comment="body is encrypted under SECRET_KEY"
        ),
        sa.Column(
            "size_bytes",
            sa.Integer(),
            nullable=False,
            comment="of the mail, not of the stored form",
        ),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("erased_at", INSTANT, nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "event",
        sa.Column(
            "seq",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("xid", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("project", sa.String(length=64), nullable=False),
        sa.Column("notification_id", sa.String(length=36), nullable=True),
        sa.Column("message_id", sa.String(length=36), nullable=True),
        sa.Column("registration_id", sa.String(length=36), nullable=True),
        sa.Column("type", sa.String(length=48), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("data", JSON, nullable=False),
        sa.PrimaryKeyConstraint("seq"),
        sa.UniqueConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_event_feed", "event", ["project", "xid", "seq"], unique=False)
    op.create_index("ix_event_notification", "event", ["notification_id", "seq"], unique=False)
    op.create_table(
        "idempotency",
        sa.Column("project", sa.String(length=64), nullable=False),
        sa.Column(
            "route",
            sa.String(length=64),
            nullable=False,
            comment="the HTTP route the key was used on",
        ),
        sa.Column("key", sa.String(length=256), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column(
            "winner",
            sa.String(length=36),
            nullable=False,
            comment="id of the thing the first call made",
        ),
        sa.Column("answer", sa.Text(), nullable=False, comment="body of the first answer"),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("project", "route", "key"),
    )
    op.create_index("ix_idempotency_created", "idempotency", ["created_at"], unique=False)
    op.create_table(
        "message",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("project", sa.String(length=64), nullable=False),
        sa.Column("notification_id", sa.String(length=36), nullable=False),
        sa.Column(
            "position",
            sa.SmallInteger(),
            nullable=False,
            comment="place in the notification, from 0",
        ),
        sa.Column("content_id", sa.String(length=36), nullable=False),
        sa.Column("mail_from", sa.String(length=320), nullable=False),
        sa.Column("rcpt_to", sa.String(length=320), nullable=False),
        sa.Column("smtputf8", sa.Boolean(), nullable=False),
        sa.Column(
            "message_id", sa.String(length=320), nullable=False, comment="Message-ID header with <>"
        ),
        sa.Column(
            "status",
            sa.String(length=16),
            nullable=False,
            comment="pending while in outbox, held, or final",
        ),
        sa.Column(
            "attempts",
            sa.SmallInteger(),
            nullable=False,
            comment="written when it leaves the outbox",
        ),
        sa.Column("relay", sa.String(length=255), nullable=True),
        sa.Column(
            "queue_id",
            sa.String(length=200),
            nullable=True,
            comment="the relay's own id, from its 250",
        ),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("sent_at", INSTANT, nullable=True),
        sa.Column("final_at", INSTANT, nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "ix_message_notification",
        "message",
        ["notification_id", "position"],
        unique=False,
    )
    op.create_table(
        "notification",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("project", sa.String(length=64), nullable=False),
        sa.Column("route", sa.String(length=4), nullable=False),
        sa.Column("stream", sa.String(length=16), nullable=False),
        sa.Column("reference", sa.String(length=255), nullable=True),
        sa.Column("template", sa.String(length=64), nullable=True),
        sa.Column("template_version", sa.String(length=64), nullable=True),
        sa.Column("tags", JSON, nullable=True),
        sa.Column("metadata", JSON, nullable=True),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("scheduled_at", INSTANT, nullable=True),
        sa.Column("expires_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_notification_project", "notification", ["project", "id"], unique=False)
    op.create_index(
        "ix_notification_reference",
        "notification",
        ["project", "reference"],
        unique=False,
        sqlite_where=sa.text("reference IS NOT NULL"),
        postgresql_where=sa.text("reference IS NOT NULL"),
    )
    op.create_table(
        "outbox",
        sa.Column("id", sa.String(length=36), nullable=False, comment="the message's id"),
        sa.Column("route", sa.String(length=4), nullable=False, comment="live or test"),
        sa.Column(
            "lane", sa.SmallInteger(), nullable=False, comment="0 urgent, 1 transactional, 2 bulk"
        ),
        sa.Column("project", sa.String(length=64), nullable=False),
        sa.Column("due_at", INSTANT, nullable=False, comment="while claimed: the end of the lease"),
        sa.Column("expires_at", INSTANT, nullable=False),
        sa.Column("claims", sa.Integer(), nullable=False, comment="the fence; only grows"),
        sa.Column("attempt", sa.SmallInteger(), nullable=False, comment="tries that reached MAIL"),
        sa.Column(
            "orphaned",
            sa.SmallInteger(),
            nullable=False,
            comment="claims in a row without an outcome",
        ),
        sa.Column(
            "owner",
            sa.String(length=36),
            nullable=True,
            comment="who holds the lease; NULL: nobody",
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_outbox_due", "outbox", ["route", "lane", "due_at"], unique=False)
    op.create_table(
        "registration",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("project", sa.String(length=64), nullable=False),
        sa.Column("route", sa.String(length=4), nullable=False),
        sa.Column("email", sa.String(length=320), nullable=False),
        sa.Column(
            "email_key",
            sa.String(length=320),
            nullable=False,
            comment="form in which addresses compare",
        ),
        sa.Column("name", sa.String(length=64), nullable=True),
        sa.Column("locale", sa.String(length=35), nullable=True),
        sa.Column("data", JSON, nullable=True),
        sa.Column("redirect_to", sa.Text(), nullable=True),
        sa.Column("status", sa.String(length=16), nullable=False, comment="pending or confirmed"),
        sa.Column("code_tries", sa.SmallInteger(), nullable=False, comment="wrong codes so far"),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("confirmed_at", INSTANT, nullable=True),
        sa.Column("expires_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_registration_email", "registration", ["project", "email_key"], unique=False)
    op.create_table(
        "registration_mail",
        sa.Column("message_id", sa.String(length=36), nullable=False),
        sa.Column("project", sa.String(length=64), nullable=False),
        sa.Column("registration_id", sa.String(length=36), nullable=False),
        sa.Column("token_sha256", sa.String(length=64), nullable=False),
        sa.Column("code_hmac", sa.String(length=64), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column(
            "burnt_at", INSTANT, nullable=True, comment="its code and link confirm nothing any more"
        ),
        sa.PrimaryKeyConstraint("message_id"),
        sa.UniqueConstraint("token_sha256"),
    )
    op.create_index(
        "ix_registration_mail_registration",
        "registration_mail",
        ["registration_id"],
        unique=False,
    )
    op.create_table(
        "tally",
        sa.Column("project", sa.String(length=64), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("messages", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("project", "status"),
    )
    op.create_index(
        "ix_content_kept",
        "content",
        ["created_at"],
        unique=False,
        sqlite_where=sa.text("body IS NOT NULL"),
        postgresql_where=sa.text("body IS NOT NULL"),
    )
    op.create_index(
        "ix_event_loose",
        "event",
        ["at"],
        unique=False,
        sqlite_where=sa.text("notification_id IS NULL"),
        postgresql_where=sa.text("notification_id IS NULL"),
    )
    op.create_index(
        "ix_registration_pending",
        "registration",
        ["expires_at"],
        unique=False,
        sqlite_where=sa.text("status = 'pending'"),
        postgresql_where=sa.text("status = 'pending'"),
    )

    if op.get_context().dialect.name == "postgresql":
        _tune_postgresql()


def _tune_postgresql() -> None:
    # The feed orders events by the transaction that wrote them: a later number can be committed
    # before an earlier one, and a reader that only compares `seq` would step over it.
    op.execute("ALTER TABLE event ALTER COLUMN xid SET DEFAULT pg_current_xact_id()::text::bigint")
    # Every row of the outbox is updated and deleted within seconds: vacuum early and without
    # pause, and leave room in the page for the lease to be renewed in place.
    op.execute(
        "ALTER TABLE outbox SET (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, "
        "autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0)"
    )
