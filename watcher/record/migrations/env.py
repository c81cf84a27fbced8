"""How Alembic runs our migrations: on the engine that the store hands over, in one transaction."""

from __future__ import annotations

from alembic import context

from watcher.record.number_tables import windows

with context.config.attributes["engine"].connect() as connection:
    connection = connection.execution_options(writes=True)
    context.configure(connection=connection, target_metadata=windows.metadata, transactional_ddl=True)
    with context.begin_transaction():
        context.run_migrations()
