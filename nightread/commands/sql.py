"""`sql`: the data team's questions, as the role that they have."""

import csv
import sys
from enum import StrEnum
from itertools import groupby
from typing import Annotated, Any

import psycopg2
import typer
from rich.markup import escape
from rich.table import Table

from nightread import console
from nightread.commands.shared import Home, settings
from nightread.house import opened
from pipeline.database import engine, translated
from pipeline.errors import NightreadError
from pipeline.names import Role

app = typer.Typer()

# Columns that would get less than this are shown below each other, a table per row.
NARROWEST = 8


class Reading(StrEnum):
    ANALYST = "analyst"
    READER = "reader"


ROLES = {Reading.ANALYST: Role.ANALYST, Reading.READER: Role.READER}


# Classes of SQLSTATE whose messages quote values, which may be report text: data exceptions, and RAISE.
QUOTES_VALUES = ("22", "P0")
NOT_PERMITTED = "42501"

VIEWS = """
SELECT c.relname AS view, obj_description(c.oid) AS about, a.attname AS "column",
       format_type(a.atttypid, a.atttypmod) AS type, col_description(c.oid, a.attnum) AS meaning
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'v' AND has_table_privilege(c.oid, 'SELECT')
ORDER BY c.relname, a.attnum
"""


class QueryFailed(NightreadError):
    """PostgreSQL did not accept the query."""


@app.command()
def sql(
    query: Annotated[str | None, typer.Argument(help="One query; without it the connection URL is printed.")] = None,
    role: Annotated[
        Reading, typer.Option(help="analyst sees labels and numbers; reader sees words and texts as well.")
    ] = Reading.ANALYST,
    views: Annotated[
        bool, typer.Option("--views", help="List every view that the role may read, with its columns and comments.")
    ] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Write CSV alone to stdout.")] = False,
    home: Home = None,
) -> None:
    """Ask the data team's questions in SQL, read-only.

    For example:

    nightread sql "SELECT * FROM daily_prevalence ORDER BY day DESC LIMIT 20"

    nightread sql --role reader "SELECT word, weight FROM finding_words WHERE report_id = 1"

    nightread sql --views

    The reader sees three views more, with text: finding_words, report_texts, note_nlp.
    """
    with opened(settings(home)) as house:
        wanted = ROLES[role]
        if views:
            columns, rows = _ask(house.urls[wanted], wanted, VIEWS)
            if not as_csv:
                _print_views(rows)
                return
        elif query is None:
            sys.stdout.write(f"{house.urls[wanted]}\n")
            console.err.print(
                "(answers while `nightread up` runs)"
                if house.embedded
                else f"(give {wanted} a login of its own and name it NIGHTREAD_{role.upper()}_DATABASE_URL)",
                style="dim",
            )
            return
        else:
            columns, rows = _ask(house.urls[wanted], wanted, query)
    if as_csv:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)
        return
    _print_table(columns, rows)


def _print_views(rows: list[tuple[object, ...]]) -> None:
    """One table a view: its columns, their types and what they mean."""
    for view, columns in groupby(rows, key=lambda row: row[0]):
        listed = list(columns)
        table = Table(title=escape(f"{view}: {listed[0][1]}"), title_justify="left", title_style="bold")
        table.add_column("column", no_wrap=True)
        table.add_column("type", style="dim", no_wrap=True)
        table.add_column("meaning")
        for row in listed:
            table.add_row(*(escape(str(value or "")) for value in row[2:]))
        console.out.print(table)


def print_answer(url: str, role: Role, query: str) -> None:
    """Ask and show the answer as a table."""
    _print_table(*_ask(url, role, query))


def _print_table(columns: list[str], rows: list[tuple[object, ...]]) -> None:
    # Names and values are data: square brackets in them are no markup.
    shown = [["" if value is None else escape(str(value)) for value in row] for row in rows]
    if len(columns) * NARROWEST > console.out.width:
        for number, row in enumerate(shown, 1):
            record = Table("column", f"row {number}")
            for name, value in zip(columns, row, strict=True):
                record.add_row(escape(name), value)
            console.out.print(record)
    else:
        table = Table(*map(escape, columns))
        for row in shown:
            table.add_row(*row)
        console.out.print(table)
    console.out.print(f"{len(rows)} rows", style="dim")


def _ask(url: str, role: Role, query: str) -> tuple[list[str], list[tuple[object, ...]]]:
    bound = engine(url, role)
    with translated():
        pooled: Any = bound.raw_connection()
    try:
        with pooled.cursor() as cursor:
            cursor.execute("SET TRANSACTION READ ONLY")
            cursor.execute(query)
            if cursor.description is None:
                raise QueryFailed("the query returns no rows; ask with SELECT")
            return [column.name for column in cursor.description], cursor.fetchall()
    except psycopg2.Error as error:
        # To the terminal that asked, and nowhere else; the details, which may quote rows, are left out.
        said = error.diag.message_primary or "the connection was lost"
        if (error.pgcode or "").startswith(QUOTES_VALUES):
            said = "a value in the data does not fit what the query does with it"
        way_out = "; `nightread sql --views` lists what a role may read" if error.pgcode == NOT_PERMITTED else ""
        raise QueryFailed(f"{said} (SQLSTATE {error.pgcode or 'unknown'}){way_out}") from None
    finally:
        pooled.close()
        bound.dispose()
