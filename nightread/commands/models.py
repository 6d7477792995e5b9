"""`train` and `evaluate`: models from annotations, and their figures."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from nightread import console
from nightread.commands.figures import figure, interval, seen_note, site_name, site_table
from nightread.commands.shared import AsJson, Home, settings, who, write_json
from nightread.house import opened
from pipeline import annotation_files
from pipeline.annotation_files import AnnotationFile
from pipeline.sites import Where

if TYPE_CHECKING:
    from models.metrics import LabelScore
    from nightread.site_scores import SiteScore
    from nightread.training import Judged, Trained

app = typer.Typer()

Annotations = Annotated[
    Path | None,
    typer.Option(
        "--annotations",
        help="CSV with one labelled report per line. Every 0/1 column that is not id, text, site, patient, split or "
        "annotator is a label. Without it: what was imported with `annotations import`.",
        show_default=False,
    ),
]
IdColumn = Annotated[str | None, typer.Option(help="Column with the report's id (default: found by its name).")]
TextColumn = Annotated[str | None, typer.Option(help="Column with the text (default: found by its name).")]


@app.command()
def train(
    foundation: Annotated[
        str,
        typer.Option(help="Encoder to start from: a folder or a Hugging Face hub id.", show_default=False),
    ],
    annotations_file: Annotations = None,
    label_set: Annotated[
        str | None,
        typer.Option(help="Without --annotations: whose annotations (default: the only label set that has any)."),
    ] = None,
    site: Annotated[
        list[str] | None,
        typer.Option(
            help="Learn from this site's annotations alone, and judge at every other as a stranger; may be repeated.",
            show_default=False,
        ),
    ] = None,
    id_column: IdColumn = None,
    text_column: TextColumn = None,
    epochs: Annotated[int, typer.Option(min=1, help="Times that all training reports are read.")] = 6,
    seed: Annotated[int, typer.Option(help="The same seed gives the same model.")] = 0,
    learning_rate: Annotated[float, typer.Option(help="Peak learning rate of AdamW.")] = 1.5e-4,
    promote: Annotated[bool, typer.Option("--promote", help="Let it serve at once.")] = False,
    home: Home = None,
) -> None:
    """Make a classifier from labelled reports: fit, set thresholds, judge, register.

    Reports are split by hash of patient or text, once and for all: 80 % to fit, 10 % for thresholds, 10 % to
    judge; a column "split" (train, calibration, gate) takes precedence. Sites are judged one by one: internal ones,
    which the model learnt from, and external ones.
    """
    if annotations_file is not None and label_set is not None:
        raise typer.BadParameter(
            "a file of annotations names its labels itself; leave one out", param_hint="--label-set"
        )
    house_settings = settings(home)
    file = _read(annotations_file, id_column, text_column)
    from nightread import training  # noqa: PLC0415 - torch, which no other command should wait for

    with opened(house_settings) as house:
        recipe = training.Recipe(epochs=epochs, seed=seed, learning_rate=learning_rate)
        made = training.train(
            house, file, foundation, recipe, by=who(), promote=promote, label_set_name=label_set, only=site or ()
        )
    counts = made.parts.counts
    of = f" of {_listed(made.parts.learnt_from)}" if len(made.scores) > 1 else ""
    console.out.print(
        f"{sum(counts.values())} reports{of}, {made.labels} labels; "
        + ", ".join(f"{count} {split}" for split, count in counts.items()),
        markup=False,
    )
    if made.splits_kept:
        console.out.print(f"{made.splits_kept} reports keep the split that they were first imported with.")
    if file is not None and file.ignored_columns:
        console.out.print(f"Columns that are no labels: {', '.join(file.ignored_columns)}", markup=False)
    _print_figures(made)
    serves = "it serves now" if promote else "it is a candidate; train with --promote to let one serve"
    console.out.print(f"Model version {made.version} is registered; {serves}.")


@app.command()
def evaluate(
    annotations_file: Annotations = None,
    model: Annotated[int | None, typer.Option(help="Model version (default: the one that serves).")] = None,
    site: Annotated[
        list[str] | None, typer.Option(help="Only reports of this site; may be repeated.", show_default=False)
    ] = None,
    by_site: Annotated[bool, typer.Option("--by-site", help="Every label's F1 in a column per site.")] = False,
    id_column: IdColumn = None,
    text_column: TextColumn = None,
    include_fitted: Annotated[
        bool, typer.Option("--include-fitted", help="Accept reports that the model was made from.")
    ] = False,
    as_json: AsJson = False,
    home: Home = None,
) -> None:
    """Judge a model on labelled reports: macro F1 and every label, with bootstrap intervals (95 %).

    Without --annotations on the imported ones that are kept for judging (split gate). A site is internal if the model
    learnt from its annotations, and external if it did not.
    """
    house_settings = settings(home)
    file = _read(annotations_file, id_column, text_column)
    from nightread import training  # noqa: PLC0415 - torch, which no other command should wait for

    with opened(house_settings) as house:
        judged = training.evaluate(house, file, model, include_fitted=include_fitted, only=site or ())
    if as_json:
        write_json(_as_json(judged))
        return
    console.out.print(_labels_by_site(judged) if by_site else _labels_table(judged))
    console.out.print(f"Macro F1 {interval(judged.overall.macro_f1, judged.overall.macro_f1_interval)}")
    if len(judged.scores) > 1 or any(one.where is Where.EXTERNAL for one in judged.scores):
        console.out.print(site_table(judged.scores))
    if judged.seen:
        console.out.print(seen_note(judged.seen))


def _print_figures(made: "Trained") -> None:
    uncalibrated = [site for site in made.parts.learnt_from if site not in made.parts.calibrated_at]
    if not made.parts.calibration:
        console.out.print("Every threshold is 0.5: no annotation is in the split calibration to set them on.")
    elif uncalibrated:
        console.out.print(
            f"{_listed(uncalibrated)}: no annotation is in the split calibration; thresholds are set on "
            "the other sites alone.",
            markup=False,
        )
    if made.gate is not None:
        which = "internal gate" if len(made.scores) > 1 else "gate"
        f1 = interval(made.gate.macro_f1, made.gate.macro_f1_interval)
        console.out.print(f"On the {which} reports: macro F1 {f1}")
    if len(made.scores) > 1:
        console.out.print(site_table(made.scores))
    else:
        for one in made.scores:
            if one.not_judged:
                console.out.print(f"Not judged: {one.not_judged}.")
    if made.parts.seen:
        console.out.print(seen_note(made.parts.seen))


def _labels_table(judged: "Judged") -> Table:
    table = Table(title=f"Model {judged.version} on {judged.overall.reports} reports", title_justify="left")
    for column in ("label", "support", "precision", "recall", "F1"):
        table.add_column(column, justify="left" if column == "label" else "right")
    for label, score in judged.labels.items():
        f1 = interval(score.f1, score.f1_interval)
        table.add_row(escape(label), str(score.positives), figure(score.precision), figure(score.recall), f1)
    return table


def _labels_by_site(judged: "Judged") -> Table:
    """F1 of every label at every site that was judged; a dash where no report has it."""
    sites = {one.site: (one.where, one.figures.labels) for one in judged.scores if one.figures}
    table = Table(title=f"Model {judged.version} on {judged.overall.reports} reports: F1", title_justify="left")
    table.add_column("label", overflow="fold")
    for site, (where, _) in sites.items():
        table.add_column(f"{site_name(site)}\n{where or ''}", justify="right", overflow="fold")
    for position, label in enumerate(judged.labels):
        here = [labels[position] for _, labels in sites.values()]
        table.add_row(escape(label), *(interval(one.f1, one.f1_interval) for one in here))
    return table


def _listed(sites: Sequence[str]) -> str:
    """Sites in a sentence, as a terminal may show them."""
    return console.harmless(" and ".join(filter(None, (", ".join(sites[:-1]), sites[-1]))))


def _read(file: Path | None, id_column: str | None, text_column: str | None) -> AnnotationFile | None:
    return None if file is None else annotation_files.read(file, id_column=id_column, text_column=text_column)


def _as_json(judged: "Judged") -> dict[str, Any]:
    return {
        "model": judged.version,
        "reports": judged.overall.reports,
        "macro_f1": judged.overall.macro_f1,
        "macro_f1_interval": judged.overall.macro_f1_interval,
        "labels": _labels_as_json(judged.labels),
        "sites": {one.site: _site_as_json(one, judged.labels) for one in judged.scores},
        "left_out": judged.seen,
    }


def _site_as_json(one: "SiteScore", names: Iterable[str]) -> dict[str, Any]:
    about = {"where": one.where, "reports": one.reports}
    if one.figures is None:
        return {**about, "not_judged": one.not_judged}
    return {
        **about,
        "macro_f1": one.figures.macro_f1,
        "macro_f1_interval": one.figures.macro_f1_interval,
        "labels": _labels_as_json(dict(zip(names, one.figures.labels, strict=True))),
    }


def _labels_as_json(labels: "Mapping[str, LabelScore]") -> dict[str, Any]:
    return {
        label: {
            "support": score.positives,
            "predicted": score.predicted,
            "precision": score.precision,
            "recall": score.recall,
            "f1": score.f1,
            "f1_interval": score.f1_interval,
        }
        for label, score in labels.items()
    }
