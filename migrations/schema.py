"""Bringing a database to head, and refusing to work on one that is not there."""

from collections.abc import Callable
from importlib import resources

from sqlalchemy import Connection, NullPool, create_engine, text

from migrations.roles import become_owner
from pipeline import label_sets
from pipeline.database import Sessions, driver_url, engine, translated
from pipeline.errors import NightreadError
from pipeline.names import Role

# The newest revision in versions/; a test holds it to that.
HEAD = "0004"
# Any fixed number will do, as long as every version of Nightread uses the same.
MIGRATION_LOCK = 0x6E69676874


class SchemaBehind(NightreadError):
    """The database is not at the revision that this version of Nightread is written for."""


class SchemaAhead(NightreadError):
    """The database is at a revision that this version of Nightread does not know."""


def sql(name: str) -> str:
    """A versioned SQL file; never edited after a release, so revisions stay what they were."""
    return resources.files("migrations").joinpath("sql", f"{name}.sql").read_text(encoding="utf-8")


def upgrade(url: str, *, told: Callable[[str], None] = lambda _: None) -> None:
    """Bring the database behind `url` to head; safe when several machines start at once. Raises `SchemaAhead`."""
    with translated():
        # The lock has a connection of its own: a revision may commit or fail without letting go of it.
        own = create_engine(driver_url(url), poolclass=NullPool)
        with own.connect() as lock, own.connect() as connection:
            lock.execute(text("SELECT pg_advisory_lock(:key)"), {"key": MIGRATION_LOCK})
            _require_utf8(connection)
            become_owner(connection)
            before = _known_revision(connection)
            if before != HEAD:
                from migrations import revisions  # noqa: PLC0415 - Alembic, which a database at head can do without

                revisions.upgrade(connection)
            connection.commit()
            told(f"database schema: {before or 'empty'} → {HEAD}" if before != HEAD else "database schema: at head")
            owner = engine(url, Role.OWNER)
            with Sessions(owner).begin() as session:
                label_sets.register_default(session)
            owner.dispose()


def require_head(sessions: Sessions) -> None:
    """Raise `SchemaBehind` or `SchemaAhead` unless the database is at this version's head."""
    with translated(), sessions.engine.connect() as connection:
        found = _known_revision(connection)
    if found != HEAD:
        raise SchemaBehind(
            f"the database is at revision {found or 'none'}, this version needs {HEAD}; run `nightread migrate`"
        )


def _require_utf8(connection: Connection) -> None:
    """Offsets count characters, and Korean needs all of Unicode."""
    encoding = connection.scalar(text("SHOW server_encoding"))
    if encoding != "UTF8":
        raise NightreadError(
            f"the database's encoding is {encoding}, but offsets count characters of UTF-8; make one with "
            "CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0"
        )


def _known_revision(connection: Connection) -> str | None:
    """The database's revision; None if it has none."""
    if connection.scalar(text("SELECT to_regclass('alembic_version')")) is None:
        return None
    revision: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    if revision is not None and revision > HEAD:  # four digits each
        raise SchemaAhead(
            f"the database is at revision {revision}, this version knows {HEAD}; install the newer Nightread again, or "
            "restore the backup from before the upgrade"
        )
    return revision
