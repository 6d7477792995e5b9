"""The one way to PostgreSQL: engines by role, transactions, COPY, and errors that quote no data."""

import io
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg2
import psycopg2.errors
from sqlalchemy import Engine, Row, create_engine, event, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session, sessionmaker

from pipeline.errors import NightreadError
from pipeline.names import Role

# SQLSTATE classes of an environment that failed, not of work that did: connection, resources, operator
# intervention, system error, rolled back by a conflict.
ENVIRONMENT_CLASSES = ("08", "53", "57", "58", "40")


class DatabaseFailed(NightreadError):
    """A statement failed; says SQLSTATE and constraint, never the statement or its values."""

    def __init__(self, sqlstate: str | None, constraint: str | None) -> None:
        self.sqlstate, self.constraint = sqlstate, constraint
        where = f", constraint {constraint}" if constraint else ""
        super().__init__(f"PostgreSQL refused a statement (SQLSTATE {sqlstate or 'unknown'}{where})")


class DatabaseUnavailable(NightreadError):
    """The server cannot be reached or cannot work now; the same call may succeed later."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"PostgreSQL cannot be reached or is not ready: {reason}")


class RoleRefused(NightreadError):
    """The login may not act as the role it needs."""


def driver_url(url: str) -> str:
    """`postgresql://…` for psycopg2: SQLAlchemy 2.1 would take psycopg 3 for it."""
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in {"postgresql", "postgres", "postgresql+psycopg2"}:
        raise NightreadError("a database URL begins with postgresql://, e.g. postgresql://user:secret@host/nightread")
    return f"postgresql+psycopg2://{rest}"


def engine(url: str, role: Role | None = None) -> Engine:
    """An engine whose connections act as `role`, whoever the URL logs in as."""
    made = create_engine(
        driver_url(url),
        hide_parameters=True,  # parameters may hold report text
        pool_pre_ping=True,  # a restarted server costs a reconnect, not a job
        pool_size=5,
        connect_args={
            "connect_timeout": 10,
            "application_name": "nightread",
            # A server that vanishes behind a firewall is noticed within a lease, not after the kernel's quarter hour.
            "keepalives_idle": 30,
            "keepalives_interval": 10,
            "keepalives_count": 3,
            "tcp_user_timeout": 60_000,
        },
    )
    if role is not None:

        @event.listens_for(made, "connect")
        def become(connection: Any, _record: object) -> None:
            with connection.cursor() as cursor:
                cursor.execute("SELECT current_user")
                login = cursor.fetchone()[0]
                try:
                    if login != role:
                        cursor.execute(f'SET ROLE "{role}"')
                except (psycopg2.errors.InsufficientPrivilege, psycopg2.errors.InvalidParameterValue):
                    raise RoleRefused(
                        f"{login} may not act as {role}: run `nightread migrate`, or let an administrator "
                        f'run GRANT {role} TO "{login}"'
                    ) from None
            connection.commit()

    return made


class Sessions:
    """Transactions on one engine, their database errors `translated`."""

    def __init__(self, bound: Engine) -> None:
        self.engine = bound
        self._make = sessionmaker(bound)

    @contextmanager
    def begin(self) -> Iterator[Session]:
        """A transaction: commits at the end, rolls back on an error."""
        with translated(), self._make.begin() as session:
            yield session


@contextmanager
def translated() -> Iterator[None]:
    """Database errors as `DatabaseFailed` or `DatabaseUnavailable`, without psycopg2's message.

    psycopg2 quotes the statement and the conflicting values, so neither the message nor the exception
    chain may survive: a `with` statement makes the error it ends by the new one's `__context__`.
    """
    failure: NightreadError
    try:
        yield
        return
    except PoolTimeout:
        failure = DatabaseUnavailable("all connections are in use")
    except DBAPIError as error:
        failure = _translate(error.orig)
    except psycopg2.Error as error:  # from COPY, which SQLAlchemy does not wrap
        failure = _translate(error)
    try:
        raise failure from None
    finally:
        failure.__context__ = None


def _translate(error: BaseException | None) -> NightreadError:
    sqlstate = getattr(error, "pgcode", None)
    constraint = getattr(getattr(error, "diag", None), "constraint_name", None)
    # psycopg2 gives no SQLSTATE when there is no server to give one.
    lost = sqlstate is None and isinstance(error, (psycopg2.OperationalError, psycopg2.InterfaceError))
    if lost:
        # libpq's first line names server and login; anything that could quote data comes after it.
        return DatabaseUnavailable(next(iter(str(error).strip().splitlines()), "connection lost"))
    if sqlstate is not None and sqlstate[:2] in ENVIRONMENT_CLASSES:
        return DatabaseUnavailable(f"SQLSTATE {sqlstate}")
    return DatabaseFailed(sqlstate, constraint)


def copy_rows(session: Session, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Bulk-write `rows` by COPY: report text is then in no statement that an error or a log could quote."""
    buffer = io.StringIO()
    for row in rows:
        buffer.write("\t".join(map(_field, row)) + "\n")
    buffer.seek(0)
    connection: Any = session.connection().connection
    with connection.cursor() as cursor:
        cursor.copy_expert(f"COPY {table} ({', '.join(columns)}) FROM STDIN", buffer)


def insert_by_copy(
    session: Session,
    table: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
    *,
    conflict: str = "",
    returning: str,
) -> Sequence[Row[Any]]:
    """COPY into a temporary table, then one INSERT that can meet conflicts and give rows back."""
    listed = ", ".join(columns)
    incoming = f"incoming_{table}"
    session.execute(
        text(f"CREATE TEMPORARY TABLE {incoming} ON COMMIT DROP AS SELECT {listed} FROM {table} WITH NO DATA")
    )
    copy_rows(session, incoming, columns, rows)
    stored = session.execute(
        text(f"INSERT INTO {table} ({listed}) SELECT {listed} FROM {incoming} {conflict} RETURNING {returning}")
    ).all()
    session.execute(text(f"DROP TABLE {incoming}"))
    return stored


# COPY's text format: these four are all it needs, and unlike CSV no line of a text can end the data early.
# The backslash first, since the others bring some.
_ESCAPES = {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"}


def _field(value: Any) -> str:
    match value:
        case str():
            escaped: str = value
            for character, instead in _ESCAPES.items():  # ten times as fast as `str.translate`
                escaped = escaped.replace(character, instead)
            return escaped
        case None:
            return r"\N"
        case list() | tuple():
            return "{" + ",".join(map(str, value)) + "}"
        case _:  # numbers and times, which hold none of them
            return str(value)
