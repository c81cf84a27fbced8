"""How Alembic runs our migrations: on the engine that the store hands over, in one transaction."""

from __future__ import annotations

from alembic import context

from watcher.record.tables import metadata

with context.config.attributes["engine"].connect() as connection:
    connection = connection.execution_options(writes=True)
    context.configure(connection=connection, target_metadata=metadata, transactional_ddl=True)
    with context.begin_transaction():
        context.run_migrations()
