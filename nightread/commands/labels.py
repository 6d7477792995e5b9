"""`labels`: a hospital's own findings, with names in two languages and codes."""

import csv
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from nightread import console
from nightread.commands.shared import AsJson, Home, settings, write_json
from nightread.house import opened
from pipeline import label_set_files, label_sets
from pipeline.label_sets import Stored

app = typer.Typer(
    name="labels",
    no_args_is_help=True,
    help="Label sets: the findings that models name, with Korean names, columns in SQL and codes.",
)

SetName = Annotated[str, typer.Argument(metavar="SET", help="Name of the label set.")]


@app.command(name="import")
def import_file(
    file: Annotated[Path, typer.Argument(help=f"CSV with the columns {', '.join(label_set_files.COLUMNS)}.")],
    name: Annotated[str, typer.Option(help="What to call the set.")],
    home: Home = None,
) -> None:
    """Register your own findings, or bring Korean names, columns and codes of a set up to date.

    Only the column name is needed: the English name, which models and annotations use and which never changes.
    column_name is the finding's column in report_labels; without one it is made of the name. snomed_ct is a SNOMED CT
    concept id, radlex a RadLex id. `nightread labels export ct-rate-18` writes a file to start from.
    """
    if not (name := name.strip()):
        raise typer.BadParameter("a label set needs a name", param_hint="--name")
    found = label_set_files.read(file)
    with opened(settings(home)) as house, house.sessions.begin() as session:
        stored = label_sets.store(session, name, found)
    _say(name, stored, len(found.labels))


@app.command(name="list")
def list_sets(as_json: AsJson = False, home: Home = None) -> None:
    """All label sets: how many findings, annotations and models each has, and which one serves."""
    with opened(settings(home)) as house, house.sessions.begin() as session:
        sets = label_sets.listed(session)
    if as_json:
        write_json([asdict(one) for one in sets])
        return
    table = Table(title="Label sets", title_justify="left")
    table.add_column("name")
    for column in ("findings", "annotations", "models"):
        table.add_column(column, justify="right")
    table.add_column("serves")
    for one in sets:
        numbers = map(str, (one.findings, one.annotations, one.models))
        table.add_row(escape(one.name), *numbers, "yes" if one.serves else "")
    console.out.print(table)


@app.command()
def show(
    name: Annotated[
        str | None, typer.Argument(metavar="SET", help="Label set (default: the serving model's, or else the 18).")
    ] = None,
    as_json: AsJson = False,
    home: Home = None,
) -> None:
    """A label set's findings in order: names, column in report_labels, codes."""
    with opened(settings(home)) as house, house.sessions.begin() as session:
        chosen = label_sets.named(session, name) if name is not None else label_sets.shown(session)
        title, labels = chosen.name, label_sets.labels_of(session, chosen.id)
    if as_json:
        write_json({"label_set": title, "labels": [asdict(label) for label in labels]})
        return
    table = Table(title=escape(title), title_justify="left")
    table.add_column("", justify="right")
    for column in ("name", "Korean name", "column", "SNOMED CT", "RadLex"):
        table.add_column(column)
    for position, one in enumerate(labels, 1):
        values = (one.name, one.korean_name, one.column_name, one.snomed_ct, one.radlex)
        table.add_row(str(position), *(escape(value or "") for value in values))
    console.out.print(table)


@app.command()
def export(name: SetName, home: Home = None) -> None:
    """Write a label set to stdout, as the CSV that `labels import` reads."""
    with opened(settings(home)) as house, house.sessions.begin() as session:
        labels = label_sets.labels_of(session, label_sets.named(session, name).id)
    writer = csv.DictWriter(sys.stdout, label_set_files.COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: value or "" for key, value in asdict(label).items()} for label in labels)


def _say(name: str, stored: Stored, findings: int) -> None:
    if stored.created:
        console.out.print(f"Label set {name}: {findings} findings registered.", markup=False)
    else:
        if stored.former_name is not None:
            console.out.print(f"{stored.former_name} is now called {name}.", markup=False)
        console.out.print(f"Label set {name}: {stored.changed} of {findings} findings changed.", markup=False)
    if stored.view_rebuilt:
        console.out.print("report_labels shows this set.")
    else:
        console.out.print(
            "report_labels shows the serving model's set; it will follow when a model of this set is promoted."
        )
