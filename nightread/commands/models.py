"""`train` and `evaluate`: models from annotations, and their figures."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from nightread import console
from nightread.commands.shared import AsJson, Home, settings, who, write_json
from nightread.house import opened
from pipeline import annotation_files
from pipeline.annotation_files import AnnotationFile

if TYPE_CHECKING:
    from nightread.training import Judged

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
    judge; a column "split" (train, calibration, gate) takes precedence.
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
        made = training.train(house, file, foundation, recipe, by=who(), promote=promote, label_set_name=label_set)
    console.out.print(
        f"{sum(made.reports.values())} reports, {made.labels} labels; "
        + ", ".join(f"{count} {split}" for split, count in made.reports.items())
    )
    if made.splits_kept:
        console.out.print(f"{made.splits_kept} reports keep the split that they were first imported with.")
    if file is not None and file.ignored_columns:
        console.out.print(f"Columns that are no labels: {', '.join(file.ignored_columns)}", markup=False)
    if made.gate is not None:
        console.out.print(f"On the gate reports: macro F1 {_interval(made.gate.macro_f1, made.gate.macro_f1_interval)}")
    serves = "it serves now" if promote else "it is a candidate; train with --promote to let one serve"
    console.out.print(f"Model version {made.version} is registered; {serves}.")


@app.command()
def evaluate(
    annotations_file: Annotations = None,
    model: Annotated[int | None, typer.Option(help="Model version (default: the one that serves).")] = None,
    id_column: IdColumn = None,
    text_column: TextColumn = None,
    include_fitted: Annotated[
        bool, typer.Option("--include-fitted", help="Accept reports that the model was made from.")
    ] = False,
    as_json: AsJson = False,
    home: Home = None,
) -> None:
    """Judge a model on labelled reports: macro F1 and every label, with bootstrap intervals (95 %).

    Without --annotations on the imported ones that are kept for judging (split gate).
    """
    house_settings = settings(home)
    file = _read(annotations_file, id_column, text_column)
    from nightread import training  # noqa: PLC0415 - torch, which no other command should wait for

    with opened(house_settings) as house:
        judged = training.evaluate(house, file, model, include_fitted=include_fitted)
    if as_json:
        write_json(_as_json(judged))
        return
    table = Table(title=f"Model {judged.version} on {judged.overall.reports} reports", title_justify="left")
    for column in ("label", "support", "precision", "recall", "F1"):
        table.add_column(column, justify="left" if column == "label" else "right")
    for label, score in judged.labels.items():
        f1 = _interval(score.f1, score.f1_interval)
        table.add_row(escape(label), str(score.positives), _figure(score.precision), _figure(score.recall), f1)
    console.out.print(table)
    console.out.print(f"Macro F1 {_interval(judged.overall.macro_f1, judged.overall.macro_f1_interval)}")


def _read(file: Path | None, id_column: str | None, text_column: str | None) -> AnnotationFile | None:
    return None if file is None else annotation_files.read(file, id_column=id_column, text_column=text_column)


def _as_json(judged: "Judged") -> dict[str, Any]:
    return {
        "model": judged.version,
        "reports": judged.overall.reports,
        "macro_f1": judged.overall.macro_f1,
        "macro_f1_interval": judged.overall.macro_f1_interval,
        "labels": {
            label: {
                "support": score.positives,
                "predicted": score.predicted,
                "precision": score.precision,
                "recall": score.recall,
                "f1": score.f1,
                "f1_interval": score.f1_interval,
            }
            for label, score in judged.labels.items()
        },
    }


def _figure(value: float | None) -> str:
    """A figure; a dash where it means nothing, such as the recall of a finding that nobody has."""
    return "–" if value is None else f"{value:.3f}"


def _interval(value: float | None, interval: tuple[float, float] | None) -> str:
    return _figure(value) + (f" ({interval[0]:.3f} to {interval[1]:.3f})" if interval else "")
