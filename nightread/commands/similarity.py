"""`similarity`: does a model find alike what people find alike?"""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from models import sentence_pairs
from models.sentence_pairs import Format
from nightread import console
from nightread.commands.shared import AsJson, write_json

if TYPE_CHECKING:
    from models.similarity import RegressionStep

app = typer.Typer()


@app.command()
def similarity(
    model: Annotated[str, typer.Option(help="Any encoder: a folder or a hub id.", show_default=False)],
    pairs: Annotated[
        Path, typer.Option(help="Sentence pairs with scores of 0 to 5, separated by tabs.", show_default=False)
    ],
    layout: Annotated[
        Format, typer.Option("--format", help="How the files are laid out; n2c2 is as medsts.")
    ] = Format.AUTO,
    fine_tune: Annotated[
        Path | None,
        typer.Option(
            "--fine-tune", metavar="TRAIN_FILE", help="Fit a regression on these pairs first.", show_default=False
        ),
    ] = None,
    epochs: Annotated[int, typer.Option(min=1, help="Times that the training pairs are read.")] = 4,
    learning_rate: Annotated[float, typer.Option(min=1e-9, max=1, help="Peak learning rate of fine-tuning.")] = 5e-5,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same figures.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Judge a model by sentence pairs: correlation with people's scores, with bootstrap intervals (95 %).

    nightread similarity --model km-bert-bilingual/model --pairs sts-dev.tsv

    nightread similarity --model km-bert-bilingual/model --pairs sts-dev.tsv --fine-tune sts-train.tsv
    """
    asked = sentence_pairs.read(pairs, layout)
    train = sentence_pairs.read(fine_tune, layout) if fine_tune else []
    # torch, which no other command should wait for
    from models.similarity import correlation, fine_tuned, zero_shot  # noqa: PLC0415

    if not train:
        scores = zero_shot(model, asked)
    else:
        with console.tracked("fine-tuning") as shown:

            def show(step: "RegressionStep") -> None:
                shown.update(step.step, total=step.steps, note=f"loss {step.loss:.4f}")

            scores = fine_tuned(
                model, train, asked, epochs=epochs, learning_rate=learning_rate, seed=seed, on_step=show
            )
    found = correlation(scores, [pair.score for pair in asked], seed=seed)
    how = "fine-tuned regression" if fine_tune else "zero-shot cosine"
    if as_json:
        write_json({"model": model, "pairs_file": pairs.name, "method": how, **asdict(found)})
        return
    table = Table(title=f"{escape(pairs.name)}: {found.pairs:,} pairs, {how}", title_justify="left")
    for column in ("correlation", "value", "95 % interval"):
        table.add_column(column, justify="left" if column == "correlation" else "right")
    for name, value, (low, high) in (
        ("Pearson", found.pearson, found.pearson_interval),
        ("Spearman", found.spearman, found.spearman_interval),
    ):
        table.add_row(name, f"{value:.3f}", f"{low:.3f} to {high:.3f}")
    console.out.print(table)
