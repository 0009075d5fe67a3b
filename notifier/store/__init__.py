"""All SQL: one code path for SQLite and PostgreSQL, plain functions of a connection."""
