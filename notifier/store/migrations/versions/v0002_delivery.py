"""Delivery by many processes: fair claims, standing lives, commands, rates, and who works here."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

INSTANT = sa.BigInteger()
JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
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
