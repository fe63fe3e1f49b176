"""Alembic's entry: runs on the connection that `gateway.storage.migrate` hands over."""

from alembic import context

from gateway.storage.tables import Table

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Table.metadata,
    render_as_batch=True,
    transactional_ddl=False,  # the caller's transaction holds it all
)
context.run_migrations()
