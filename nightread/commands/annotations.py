"""`annotations`: what people say of reports; imported, compared, and asked for."""

import csv
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from nightread import console
from nightread.commands.shared import AsJson, Home, settings, write_json
from nightread.house import opened
from pipeline import agreement, annotation_files, annotation_requests, annotations, label_sets, model_versions
from pipeline.agreement import Agreement, Pair
from pipeline.annotation_requests import Request
from pipeline.annotations import Annotators, Kept, ReadReport
from pipeline.errors import NightreadError
from pipeline.tables import Split

LANGUAGES = ("ko", "en", "mixed")

app = typer.Typer(
    name="annotations",
    no_args_is_help=True,
    help="Reports labelled by people: import them, compare their readers, ask for those most worth labelling.",
)

LabelSetName = Annotated[
    str | None, typer.Option("--label-set", help="Label set (default: the only one with annotations).")
]
Disagreements = Annotated[
    Path | None,
    typer.Option(help="Write every difference to this CSV: report, finding and what each said; no text."),
]


class TableNotWritten(NightreadError):
    """A file cannot be written."""


@app.command(name="import")
def import_file(
    file: Annotated[Path, typer.Argument(help="CSV with one labelled report per line: text, id, a 0/1 column each.")],
    annotator: Annotated[
        str | None, typer.Option(help='Who read them; or a column "annotator" says so line by line.')
    ] = None,
    decides: Annotated[
        bool, typer.Option("--decides", help="These readings settle disputes between other annotators.")
    ] = False,
    label_set: Annotated[
        str | None, typer.Option(help="Label set they must belong to (default: the one that has these labels).")
    ] = None,
    id_column: Annotated[str | None, typer.Option(help="Column with the report's id.")] = None,
    text_column: Annotated[str | None, typer.Option(help="Column with the text.")] = None,
    disagreements: Disagreements = None,
    home: Home = None,
) -> None:
    """Import labels, and show how far annotators agree. Importing a file again changes nothing.

    Columns: report_text (or text), source_id (or id, AccessionNo), site, patient, split, annotator; every other
    column of 0 and 1 is a label. A report is split by the hash of its patient or else its text, once and for all:
    80 % train, 10 % calibration, 10 % gate; a column "split" takes precedence at its first import.

    Of several readings the majority stands, a tie goes to the reading imported first until one that decides comes.
    """
    _refuse_existing(disagreements)
    with opened(settings(home)) as house:
        with house.sessions.begin() as session:
            known = label_sets.known(session)
            if label_set is not None:
                known = {label_set: known[label_sets.named(session, label_set).name]}
        found = annotation_files.read(
            file, id_column=id_column, text_column=text_column, annotator=annotator, known=list(known.values())
        )
        if label_set is not None:
            found.require_labels(known[label_set], of=f"label set {label_set!r}")
        with house.sessions.begin() as session:
            label_set_id = label_sets.for_names(session, found.labels)
            names = label_sets.names(session, label_set_id)
            kept = annotations.keep(session, found.in_order(names), label_set_id=label_set_id, decides=decides)
            reports = annotations.read_reports(session, label_set_id)
            session.expunge_all()
    for line in _imported(kept, unread=found.unread, ignored=found.ignored_columns):
        console.out.print(line, markup=False)
    own = {row.annotator for row in found.rows}
    pairs = [one for one in agreement.pairs(one.readings for one in reports) if own & {one.first, one.second}]
    for pair in pairs:
        console.out.print(_table(pair, names))
    _write_disagreements(disagreements, reports, names)


@app.command(name="agreement")
def show_agreement(
    label_set: LabelSetName = None,
    site: Annotated[str | None, typer.Option(help="Only reports of this site.")] = None,
    disagreements: Disagreements = None,
    as_json: AsJson = False,
    home: Home = None,
) -> None:
    """How far annotators agree, pair by pair, on reports that both have read: raw, and by Cohen's kappa.

    Readings that decide are left out: they were made knowing the others.
    """
    with opened(settings(home)) as house, house.sessions.begin() as session:
        chosen = annotations.annotated_set(session, label_set)
        names = label_sets.names(session, chosen.id)
        reports = annotations.read_reports(session, chosen.id, site=site)
    pairs = agreement.pairs(one.readings for one in reports)
    if as_json:
        write_json([_as_json(pair, names) for pair in pairs])
    elif not pairs:
        console.out.print("No report has been read by two annotators.")
    else:
        for pair in pairs:
            console.out.print(_table(pair, names))
    _write_disagreements(disagreements, reports, names)


@app.command(name="list")
def list_annotations(as_json: AsJson = False, home: Home = None) -> None:
    """How many reports are annotated, by label set, site and split, and by whom."""
    with opened(settings(home)) as house, house.sessions.begin() as session:
        counts = annotations.counts(session)
    if as_json:
        write_json([{"label_set": c.label_set, "site": c.site, **c.splits, "annotators": c.annotators} for c in counts])
    elif not counts:
        console.out.print("No annotations yet; run `nightread annotations import FILE`.")
    else:
        console.out.print(_counts_table(counts))


@app.command()
def export(
    site: Annotated[str, typer.Option(help="Hospital whose reports are asked for.")],
    out: Annotated[Path, typer.Option(help="CSV to write; it holds texts, so only you may read it.")],
    uncertain: Annotated[
        int | None, typer.Option(min=1, help="So many reports that the model would learn most from.")
    ] = None,
    random: Annotated[int | None, typer.Option(min=1, help="So many reports drawn at random.")] = None,
    language: Annotated[str | None, typer.Option(help=f"Only reports in: {', '.join(LANGUAGES)}.")] = None,
    label_set: Annotated[
        str | None,
        typer.Option(help="With --random: whose findings to ask for (default: the serving model's, or else the 18)."),
    ] = None,
    home: Home = None,
) -> None:
    """Write reports for people to label: an empty column a finding to fill with 0 and 1, then import the file.

    --uncertain N takes reports that the serving model has read and is unsure of, for every finding in turn, no two
    alike; all of them are for training. --random N draws a fair sample, for a first model and for judging any.
    Reports whose text is annotated already are not asked for again.
    """
    if (uncertain is None) == (random is None):
        raise typer.BadParameter("say either --uncertain N or --random N", param_hint="--uncertain")
    if language is not None and language not in LANGUAGES:
        raise typer.BadParameter(f"use one of {', '.join(LANGUAGES)}", param_hint="--language")
    if uncertain is not None and label_set is not None:
        raise typer.BadParameter("the serving model's findings are asked for; leave it out", param_hint="--label-set")
    _refuse_existing(out)
    with opened(settings(home)) as house, house.sessions.begin() as session:
        if uncertain is not None:
            version = model_versions.serving_or(session, None)
            names = label_sets.names(session, version.label_set_id)
            requests = annotation_requests.worthwhile(
                session, version=version, site=site, count=uncertain, language=language
            )
        else:
            chosen = label_sets.shown(session) if label_set is None else label_sets.named(session, label_set)
            names = label_sets.names(session, chosen.id)
            requests = annotation_requests.at_random(
                session, label_set_id=chosen.id, site=site, count=random or 0, language=language
            )
    _write(out, _request_lines(requests, names))
    wanted = uncertain or random or 0
    console.out.print(
        f"{len(requests)} reports of {site} are in {out}; fill in 0 or 1 for every finding, then run", markup=False
    )
    console.out.print(f"  nightread annotations import {out} --annotator NAME", markup=False)
    if len(requests) < wanted:
        console.out.print(f"That is fewer than {wanted}: the others are annotated, or much like one of these.")
    asked = Counter(names[one.asked_for] for one in requests if one.asked_for is not None)
    if asked:
        console.out.print("Asked for: " + ", ".join(f"{name} {asked[name]}" for name in names), markup=False)


def _request_lines(requests: Sequence[Request], names: Sequence[str]) -> Iterable[Sequence[object]]:
    """The columns that an import reads, the findings still empty, and at the end why a report was chosen."""
    yield ("source_id", "report_id", "site", "patient", "language", "report_text", *names, "asked_for", "probability")
    for one in requests:
        why = ("", "")
        if one.asked_for is not None and one.probability is not None:
            why = (names[one.asked_for], f"{one.probability:.3f}")
        yield (
            one.source_id, one.report_id, one.site, one.patient or "", one.language, one.text,
            *("" for _ in names), *why,
        )  # fmt: skip


def _imported(kept: Kept, *, unread: int, ignored: Sequence[str]) -> Iterable[str]:
    splits = Counter(one.split for one in kept.annotations)
    listed = ", ".join(f"{splits[split]} {split}" for split in Split)
    yield f"{len(kept.annotations)} reports ({listed}): {kept.new_reports} are new."
    yield f"{kept.new_readings} readings are new, {kept.changed_readings} replace what the same annotator said before."
    if kept.splits_kept:
        yield f"{kept.splits_kept} reports keep the split that they were first imported with."
    if kept.disputed:
        yield f"{kept.disputed} reports are disputed: the reading imported first stands until one with --decides comes."
    if unread:
        yield f"{unread} reports have no label yet and were left out."
    if ignored:
        yield f"Columns that are no labels: {', '.join(ignored)}"


def _table(pair: Pair, names: Sequence[str]) -> Table:
    table = Table(
        title=escape(f"{pair.first} and {pair.second}: {pair.over_all.reports} reports read by both"),
        title_justify="left",
    )
    table.add_column("finding")
    for column in (escape(f"{pair.first} +"), escape(f"{pair.second} +"), "agreed", "kappa"):
        table.add_column(column, justify="right")
    for name, one in (*zip(names, pair.labels, strict=True), ("all findings", pair.over_all)):
        kappa = "–" if one.kappa is None else f"{one.kappa:.2f}"
        table.add_row(escape(name), str(one.first_positives), str(one.second_positives), f"{one.agreed:.1%}", kappa)
    return table


def _as_json(pair: Pair, names: Sequence[str]) -> dict[str, Any]:
    def figures(one: Agreement) -> dict[str, Any]:
        return {
            "positives": {pair.first: one.first_positives, pair.second: one.second_positives},
            "agreed": one.agreed,
            "kappa": one.kappa,
        }

    return {
        "annotators": [pair.first, pair.second],
        "reports": pair.over_all.reports,
        "all": figures(pair.over_all),
        "labels": {name: figures(one) for name, one in zip(names, pair.labels, strict=True)},
    }


def _counts_table(counts: Sequence[Annotators]) -> Table:
    table = Table(title="Annotated reports", title_justify="left")
    for column in ("label set", "site"):
        table.add_column(column)
    for split in Split:
        table.add_column(split, justify="right")
    table.add_column("read by")
    for one in counts:
        readers = ", ".join(f"{annotator} {reports}" for annotator, reports in one.annotators.items())
        splits = (str(one.splits[split]) for split in Split)
        table.add_row(escape(one.label_set), escape(one.site), *splits, escape(readers))
    return table


def _write_disagreements(out: Path | None, reports: Sequence[ReadReport], names: Sequence[str]) -> None:
    if out is None:
        return
    annotators = sorted({reading.annotator for one in reports for reading in one.readings})
    lines: list[Sequence[object]] = [("site", "source_id", "finding", *annotators, "stands")]
    for one in reports:
        said = {reading.annotator: reading.labels for reading in one.readings}
        for position, name in enumerate(names):
            if len({labels[position] for labels in said.values()}) > 1:
                each = [said[reader][position] if reader in said else "" for reader in annotators]
                lines.append((one.site, one.source_id, name, *each, one.labels[position]))
    _write(out, lines)
    console.out.print(f"{len(lines) - 1} disagreements are in {out}.", markup=False)


def _refuse_existing(out: Path | None) -> None:
    if out is not None and out.exists():
        raise TableNotWritten(f"{out} exists; name another file, so that no labels in it are lost")


def _write(out: Path, lines: Iterable[Sequence[object]]) -> None:
    """A CSV that only its owner may read. With a byte order mark: Excel would take Korean for something else."""
    _refuse_existing(out)
    try:
        descriptor = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8-sig", newline="") as stream:
            csv.writer(stream).writerows(lines)
    except OSError as error:
        raise TableNotWritten(f"{out} cannot be written: {error.strerror}") from None
