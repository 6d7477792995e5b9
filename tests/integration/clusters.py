"""PostgreSQL servers in which tests make databases and logins of their own, and what a database holds."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg2
from sqlalchemy import Connection, create_engine, make_url, text

from nightread.servers import Addresses
from pipeline.database import driver_url
from pipeline.names import Role
from pipeline.tables import Table

TEXT_VIEWS = {"report_texts", "finding_words", "note_nlp"}
TABLES = {table.name for table in Table.metadata.sorted_tables}


class Cluster:
    """A PostgreSQL in which tests make databases and logins of their own."""

    def __init__(self, addresses: Addresses, home: Path) -> None:
        password = json.loads((home / "credentials.json").read_text())["postgres"]
        owner = make_url(addresses.database_url(Role.OWNER))
        self._superuser = owner.set(username="postgres", password=password)
        self.made: list[str] = []

    def url(self, database: str, login: str | None = None) -> str:
        url = self._superuser.set(database=database)
        if login is not None:
            url = url.set(username=login, password=f"pw-{login}")
        return url.render_as_string(hide_password=False)

    def execute(self, *statements: str, database: str = "postgres") -> None:
        administer(*statements, dsn=self.url(database))

    def database(self, name: str, *, owner: str = "postgres") -> str:
        self.execute(f'CREATE DATABASE {name} OWNER "{owner}"')
        self.made.append(name)
        return name

    def drop(self) -> None:
        self.execute(*(f"DROP DATABASE {name} WITH (FORCE)" for name in self.made))
        self.made = []


def administer(*statements: str, **where: str) -> None:
    """Statements that no transaction may hold; `where` as psycopg2 connects."""
    connection = psycopg2.connect(**where)
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
    finally:
        connection.close()


@contextmanager
def connected(url: str) -> Iterator[Connection]:
    bound = create_engine(driver_url(url))
    try:
        with bound.connect() as connection:
            yield connection
    finally:
        bound.dispose()


def rows(url: str, query: str) -> list[tuple[Any, ...]]:
    with connected(url) as connection:
        return [tuple(row) for row in connection.execute(text(query))]


def views(url: str) -> set[str]:
    return {name for (name,) in rows(url, "SELECT viewname FROM pg_views WHERE schemaname = 'public'")}
