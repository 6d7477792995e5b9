"""What Alembic runs: on the connection it is given (`migrations.upgrade`), comparing with the tables."""

from alembic import context

from pipeline.tables import Table

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=Table.metadata,
    transaction_per_migration=True,
    compare_type=True,
    compare_server_default=True,
)
with context.begin_transaction():
    context.run_migrations()
