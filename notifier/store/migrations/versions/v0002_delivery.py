"""Delivery by many processes: fair claims, standing lives, commands, rates, and who works here."""

import random
import time

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

INSTANT = sa.BigInteger()
JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


# In the order in which writers come to them: those who accept mail are kept out before they hold
# anything of the rest. Some come the other way round; then this gives up before PostgreSQL ends
# one of both as a deadlock (after 1 s), and tries again.
LOCKS = """
    LOCK TABLE notification IN SHARE MODE;
    LOCK TABLE outbox IN ACCESS EXCLUSIVE MODE;
    LOCK TABLE message, event IN SHARE MODE
"""
PATIENCE_S = 60.0


def lock_tables() -> None:
    """Take all locks before anything that lasts: the release before is at work meanwhile."""
    connection, deadline = op.get_bind(), time.monotonic() + PATIENCE_S
    connection.execute(sa.text("SET LOCAL lock_timeout = '300ms'"))
    while True:
        try:
            with connection.begin_nested():
                connection.execute(sa.text(LOCKS))
            break
        except sa.exc.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(random.uniform(0.05, 0.3))  # noqa: S311 - out of step with whom it met
    connection.execute(sa.text("SET LOCAL lock_timeout = 0"))


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        lock_tables()
    # NULL in rows of the release before: their lives do not stand still, as they did not there.
    op.add_column("outbox", sa.Column("standstill_us", sa.BigInteger(), nullable=True))
    op.drop_index("ix_outbox_due", table_name="outbox")
    op.create_index("ix_outbox_due", "outbox", ["route", "lane", "project", "due_at"])
    op.create_index("ix_message_recipient", "message", ["rcpt_to", "id"])
    op.create_index("ix_message_content", "message", ["content_id"])
    op.create_index(
        "ix_event_held",
        "event",
        ["message_id"],
        sqlite_where=sa.text("type = 'message.held'"),
        postgresql_where=sa.text("type = 'message.held'"),
    )
    op.create_table(
        "standstill",
        sa.Column("route", sa.String(length=4), nullable=False),
        sa.Column("total_us", sa.BigInteger(), nullable=False),
        sa.Column("seen_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("route"),
    )
    op.create_table(
        "relay_command",
        sa.Column("relay", sa.String(length=64), nullable=False),
        sa.Column(
            "paused", sa.Boolean(), nullable=False, comment="false: go on, and probe at once"
        ),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("reason", sa.String(length=300), nullable=False),
        sa.PrimaryKeyConstraint("relay"),
    )
    op.create_table(
        "worker",
        sa.Column("owner", sa.String(length=36), nullable=False),
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("version", sa.String(length=32), nullable=False),
        sa.Column("started_at", INSTANT, nullable=False),
        sa.Column("seen_at", INSTANT, nullable=False),
        sa.Column("seats", sa.Integer(), nullable=False),
        sa.Column("busy", sa.Integer(), nullable=False),
        sa.Column("relays", JSON, nullable=False),
        sa.PrimaryKeyConstraint("owner"),
    )
    op.create_table(
        "rate",
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("spent_until", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
