"""The database schema: Alembic revisions and versioned SQL. `migrations.upgrade` brings a database to head."""

from migrations.schema import SchemaAhead, SchemaBehind, require_head, upgrade

__all__ = ["SchemaAhead", "SchemaBehind", "require_head", "upgrade"]
