"""The database schema: Alembic revisions and versioned SQL. `migrations.upgrade` brings a database to head."""

from migrations.schema import SchemaBehind, require_head, upgrade

__all__ = ["SchemaBehind", "require_head", "upgrade"]
