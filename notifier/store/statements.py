"""Statement forms that both databases understand."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.dialects.postgresql import Insert, insert


def insert_once(table: Table) -> Insert:
    """`INSERT … ON CONFLICT DO NOTHING`.

    Repeating it is harmless, which is what a commit of unknown outcome needs. SQLite took the
    clause over from PostgreSQL, and its compiler reads the same construct.
    """
    return insert(table).on_conflict_do_nothing()


def put(connection: Connection, statement: Insert, rows: Sequence[dict[str, Any]]) -> None:
    """Execute for all rows at once; none is fine."""
    if rows:
        connection.execute(statement, rows)
