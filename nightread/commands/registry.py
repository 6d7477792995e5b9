"""`models`: which versions there are, which one serves, and changing that."""

import math
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer
from rich.markup import escape
from rich.table import Table

from nightread import console, registry, thresholds
from nightread.commands.figures import figure, interval, number, site_table
from nightread.commands.shared import AsJson, Home, settings, who, write_json
from nightread.console import local_time
from nightread.house import House, opened
from nightread.registry import Verified
from pipeline import annotation_files, model_forgetting, model_history
from pipeline.model_forgetting import Matrix
from pipeline.model_history import Details, Version
from pipeline.names import EventKind

app = typer.Typer(
    name="models",
    no_args_is_help=True,
    help="Which models there are and which one serves: promote one, roll back, verify their files.",
)

VersionNumber = Annotated[int, typer.Argument(help="Model version.", metavar="VERSION")]
Note = Annotated[str | None, typer.Option(help="Why; kept with the change.")]


@app.command(name="list")
def list_versions(as_json: AsJson = False, home: Home = None) -> None:
    """All versions: stage, serving rank, figures, who made them and when. The highest rank serves."""
    house_settings = settings(home)
    with opened(house_settings) as house, house.sessions.begin() as session:
        found = model_history.versions(session)
    if as_json:
        write_json([asdict(one) for one in found])
        return
    if not found:
        console.out.print("No model yet; `nightread train … --promote` makes one.")
        return
    table = Table()
    for column in ("model", "from", "rank", "F1", "reports"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("stage", no_wrap=True)
    for column in ("foundation, labels", "made"):  # two lines each: the whole fits a terminal of 80 columns
        table.add_column(column, overflow="fold")
    for one in found:
        table.add_row(
            str(one.version),
            number(one.parent),
            number(one.serving_rank),
            figure(one.gate_macro_f1),
            str(one.reports_labelled),
            _stage(one),
            escape(f"{one.foundation}\n{one.label_set}"),
            escape(f"{one.created_at.astimezone(house_settings.zone):%Y-%m-%d}\n{one.created_by or ''}"),
        )
    console.out.print(table)
    console.out.print("F1: macro F1 on the gate reports. Reports: how many it has read.", style="dim")


@app.command()
def show(version: VersionNumber, as_json: AsJson = False, home: Home = None) -> None:
    """Everything about a version: thresholds, figures, settings, what became of it, whether its files are whole."""
    house_settings = settings(home)
    with opened(house_settings) as house:
        with house.sessions.begin() as session:
            found = model_history.details(session, version)
        (verified,) = registry.verify(house, [version])
    if as_json:
        write_json({**found.as_json(), "verified": verified.as_json()})
        return
    _print_details(found, verified, house_settings.zone)


@app.command()
def promote(
    version: VersionNumber,
    note: Note = None,
    force: Annotated[bool, typer.Option("--force", help="Even if its gates rejected it.")] = False,
    home: Home = None,
) -> None:
    """Let a version serve from now on; workers need no restart.

    Its files are verified first. Labels of the version before stay visible, as stale, until its own have come.
    One about which the gates of its refresh were inconclusive needs a --note that says why it may serve.
    """
    with opened(settings(home)) as house:
        former = registry.promote(house, version, by=who(), note=note, force=force)
        if former == version:
            console.out.print(f"Model version {version} serves already.")
            return
        before = f" in place of {former}" if former is not None else ""
        console.out.print(f"Model version {version} serves now{before}. {_still_to_come(house)}")


@app.command()
def rollback(
    to: Annotated[
        int | None, typer.Option(help="Withdraw all that were promoted after this one (default: the last one only).")
    ] = None,
    note: Note = None,
    force: Annotated[
        bool, typer.Option("--force", help="Even if the files of what serves then are missing or altered.")
    ] = False,
    home: Home = None,
) -> None:
    """Withdraw the version that serves: its labels leave the views at once, and the one before serves again.

    What only the withdrawn version had read is pending again and is read first. Nothing is deleted:
    classification_history keeps what it said.
    """
    with opened(settings(home)) as house:
        done = registry.rollback(house, to=to, by=who(), note=note, force=force)
        withdrawn = ", ".join(map(str, done.withdrawn))
        console.out.print(
            f"Withdrawn: version {withdrawn}. Model version {done.serving} serves again. {_still_to_come(house)}"
        )


@app.command()
def verify(
    versions: Annotated[list[int] | None, typer.Argument(help="Model versions (default: all).")] = None,
    as_json: AsJson = False,
    home: Home = None,
) -> None:
    """Hold every file of a model against its manifest, and the manifest against what was registered."""
    with opened(settings(home)) as house:
        found = registry.verify(house, versions or ())
    if as_json:
        write_json([one.as_json() for one in found])
    else:
        for one in found:
            _print_verified(one)
    if not all(one.ok for one in found):
        raise typer.Exit(1)


@app.command(name="thresholds")
def set_thresholds(
    version: VersionNumber,
    chosen: Annotated[
        list[str] | None, typer.Option("--set", help='LABEL=THRESHOLD, e.g. "Lung nodule=0.4"; may be repeated.')
    ] = None,
    calibrate: Annotated[
        bool, typer.Option("--calibrate", help="Set all thresholds anew on the imported annotations.")
    ] = False,
    annotations_file: Annotated[
        Path | None,
        typer.Option("--annotations", help="CSV of labelled reports to set all thresholds on; it is imported, too."),
    ] = None,
    site: Annotated[
        list[str] | None,
        typer.Option(
            help="Set them on this site's annotations alone (default: where it was fitted); may be repeated.",
            show_default=False,
        ),
    ] = None,
    home: Home = None,
) -> None:
    """Give a version other thresholds, as a candidate of its own that shares the files.

    Thresholds never change in place: what a version said stays what it said. With --calibrate or --annotations
    they are set anew on the reports in the split calibration, of the sites that the version was fitted on, and judged
    on those in the split gate of every site.
    """
    if not chosen and not calibrate and annotations_file is None:
        raise typer.BadParameter("name a threshold with --set LABEL=THRESHOLD, or say --calibrate or --annotations")
    if site and not calibrate and annotations_file is None:
        raise typer.BadParameter(
            "says whose annotations to calibrate on; add --calibrate or --annotations", param_hint="--site"
        )
    by_hand = dict(map(_assignment, chosen or ()))
    house_settings = settings(home)
    file = annotation_files.read(annotations_file) if annotations_file is not None else None
    with opened(house_settings) as house:
        made = thresholds.make(
            house, version, chosen=by_hand, calibrate=calibrate, file=file, by=who(), only=site or ()
        )
    for label, (old, new) in made.changed.items():
        console.out.print(f"{label}: {old:.3f} → {new:.3f}", markup=False)
    if made.calibrated_on:
        of = f" of {console.harmless(', '.join(made.calibrated_at))}" if len(made.scores) > 1 else ""
        console.out.print(f"Set on {made.calibrated_on} reports{of}.", markup=False)
    if made.gate_macro_f1 is not None:
        which = "internal gate" if len(made.scores) > 1 else "gate"
        console.out.print(f"On the {which} reports: macro F1 {made.gate_macro_f1:.3f}")
    if len(made.scores) > 1:
        console.out.print(site_table(made.scores))
    console.out.print(
        f"Model version {made.version} is registered, a candidate; `nightread models promote {made.version}` "
        "lets it serve.",
        markup=False,
    )


@app.command()
def forgetting(
    png: Annotated[Path | None, typer.Option(help="Draw it into this file, too.", show_default=False)] = None,
    as_json: AsJson = False,
    home: Home = None,
) -> None:
    """What refreshes did to what was learnt before: scores by refresh and suite, backward transfer, forgetting.

    A refresh counts once its model has served. The formulas are in the comments of the views model_scores and
    model_forgetting.
    """
    with opened(settings(home)) as house, house.sessions.begin() as session:
        matrices = model_forgetting.read(session)
    if png is not None and matrices:
        from nightread import forgetting_chart  # noqa: PLC0415 - matplotlib, which no other command should wait for

        forgetting_chart.draw(matrices, png)
    if as_json:
        write_json([one.as_json() for one in matrices])
        return
    if not matrices:
        console.out.print("No refreshed model has served yet, so nothing can have been forgotten.")
        return
    for one in matrices:
        console.out.print(_matrix_table(one))
    console.out.print("In brackets: not learnt by then. Forgetting above zero is bad.", style="dim")
    if png is not None:
        console.out.print(f"The picture is {png}.", markup=False, soft_wrap=True)


def _matrix_table(matrix: Matrix) -> Table:
    better = "lower" if matrix.lower_is_better else "higher"
    table = Table(title=f"{matrix.metric}: {better} is better", title_justify="left")
    table.add_column("refresh", no_wrap=True)
    for suite in matrix.suites:
        table.add_column(escape(console.harmless(suite)), justify="right", overflow="fold")
    for column in ("average", "backward transfer", "forgetting"):
        table.add_column(column, justify="right")
    for row in matrix.rows:
        scores = (row.scores.get(suite) for suite in matrix.suites)
        shown = ("" if one is None else figure(one.score) if one.learnt else f"({figure(one.score)})" for one in scores)
        summaries = map(figure, (row.average, row.backward_transfer, row.forgetting))
        table.add_row(f"{row.refresh_number} (model {row.model_version})", *shown, *summaries)
    return table


def _assignment(given: str) -> tuple[str, float]:
    label, _, value = given.rpartition("=")
    try:
        threshold = float(value)
    except ValueError:
        threshold = math.nan
    if not label.strip() or math.isnan(threshold):
        raise typer.BadParameter(f'{given!r} is not LABEL=THRESHOLD, e.g. --set "Lung nodule=0.4"')
    return label.strip(), threshold


def _still_to_come(house: House) -> str:
    with house.sessions.begin() as session:
        pending, stale = model_history.still_to_come(session)
    if not pending + stale:
        return "It has read every report already."
    anew = "to be read anew" if house.rules.relabel_since is None else "read before, anew as far as `relabel` says"
    parts = [f"{pending} reports without a label"] * bool(pending) + [f"{stale} {anew}"] * bool(stale)
    return f"Still to come: {', '.join(parts)}; `nightread status` says how far it is."


def _print_details(found: Details, verified: Verified, zone: ZoneInfo) -> None:
    one = found.version
    facts = Table(show_header=False, title=f"Model version {one.version}", title_justify="left")
    facts.add_column()
    facts.add_column(overflow="fold")
    children = ", ".join(map(str, found.children))
    for name, value in {
        "stage": _stage(one),
        "rank": number(one.serving_rank),
        "made from version": number(one.parent),
        "children": children or "–",
        "foundation": one.foundation,
        "label set": f"{one.label_set}, {len(found.thresholds)} labels",
        "reports labelled": str(one.reports_labelled),
        "annotations fitted on": str(found.fitted_on),
        "created": _when_and_who(one.created_at, one.created_by, zone),
        "promoted": _when_and_who(one.promoted_at, one.promoted_by, zone),
        "withdrawn": _when_and_who(one.withdrawn_at, one.withdrawn_by, zone),
        "note": one.note or "–",
        "settings": _flat(found.settings),
        "figures": _figures(found.metrics),
        "artifact": found.artifact,
        "sha256": found.artifact_sha256,
        "files": verified.fault or f"ok ({len(verified.files)})",
    }.items():
        facts.add_row(name, escape(value))
    console.out.print(facts)
    table = Table("label", "threshold")
    for label, threshold in found.thresholds.items():
        table.add_row(escape(label), f"{threshold:.3f}")
    console.out.print(table)
    for change in found.changes:
        what = "promoted" if change.what is EventKind.MODEL_PROMOTED else "rolled back"
        said = f"{_when_and_who(change.at, change.by, zone)}: {what}, version {change.serving} serves"
        console.out.print(said + (f" – {change.note}" if change.note else ""), markup=False)


def _print_verified(one: Verified) -> None:
    said = "ok" if one.ok else f"{one.fault}"
    style = None if one.ok else "red"
    console.out.print(f"{one.version} ({one.artifact}): {said}", style=style, markup=False, soft_wrap=True)
    for name, state in one.files.items():
        console.out.print(f"  {state:8} {name}", markup=False, soft_wrap=True)


def _stage(one: Version) -> str:
    return "serves" if one.serves else one.stage


def _when_and_who(moment: datetime | None, who_did: str | None, zone: ZoneInfo) -> str:
    if moment is None:
        return "–"
    return local_time(moment, zone) + (f" by {who_did}" if who_did else "")


def _flat(values: dict[str, object]) -> str:
    return "; ".join(f"{name}: {value}" for name, value in values.items()) or "–"


def _figures(metrics: dict[str, Any]) -> str:
    """Macro F1 on the gate reports, then a line per site, then whatever else was measured."""
    lines = []
    if gate := metrics.get("gate"):
        lines.append(f"macro F1 {figure(gate['macro_f1'])} on {gate['reports']} gate reports")
    for site, one in metrics.get("sites", {}).items():
        said = interval(one["macro_f1"], one["macro_f1_interval"]) if "macro_f1" in one else one["not_judged"]
        lines.append(f"{console.harmless(site)} ({one['where']}, {one['reports']} reports): {said}")
    if others := {name: value for name, value in metrics.items() if name not in ("gate", "sites")}:
        lines.append(_flat(others))
    return "\n".join(lines) or "–"
