"""Alembic's entry: runs on the connection that `notifier.store.migrate` hands over."""

from alembic import context

from notifier.store.schema import metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata, transaction_per_migration=False)
context.run_migrations()
