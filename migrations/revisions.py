"""Alembic, which takes 0.1 s to import: for a database that is behind, and for the tests."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection


def config() -> Config:
    made = Config()
    made.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    return made


def upgrade(connection: Connection) -> None:
    """Run every revision that this database lacks."""
    alembic = config()
    alembic.attributes["connection"] = connection
    command.upgrade(alembic, "head")
