"""Alembic runs inside the caller's connection: migrations are one transaction."""

from alembic import context

from tieout.sync.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
