"""`pretrain`: a foundation learns the language of corpora, in a new vocabulary if one is given."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nightread import console
from nightread.commands.shared import AsJson, Home, settings, write_json

if TYPE_CHECKING:
    from nightread.pretraining import Pretrained

app = typer.Typer()


@app.command()
def pretrain(
    foundation: Annotated[
        str, typer.Option(help="WordPiece BERT to start from: a folder or a hub id.", show_default=False)
    ],
    corpus: Annotated[
        list[str], typer.Option("--corpus", help="Corpus to learn from; may be given again.", show_default=False)
    ],
    out: Annotated[Path, typer.Option("--out", help="New folder for model, log and curve.", show_default=False)],
    vocabulary: Annotated[
        Path | None,
        typer.Option(help="Folder of a vocabulary to move to (default: the foundation's own).", show_default=False),
    ] = None,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Steps of the optimizer (default: by --epochs).", show_default=False)
    ] = None,
    epochs: Annotated[float, typer.Option(min=0.01, help="Times that all text is read.")] = 1.0,
    length: Annotated[int, typer.Option(min=16, help="Tokens in a row.")] = 128,
    batch_tokens: Annotated[int, typer.Option(min=16, help="Tokens in a step, over all processes.")] = 16_384,
    learning_rate: Annotated[float, typer.Option(min=1e-9, max=1, help="Peak learning rate of AdamW.")] = 1e-4,
    whole_word: Annotated[bool, typer.Option("--whole-word", help="Mask whole words.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same model.")] = 0,
    checkpoint_every: Annotated[int, typer.Option(min=1, help="Steps between checkpoints.")] = 500,
    tokens_per_pass: Annotated[
        int | None,
        typer.Option(
            min=16, help="Tokens that a device holds at once: fewer take less memory.", show_default="what suits it"
        ),
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu or cuda (default: a GPU, if there is one).")] = None,
    compiled: Annotated[
        bool, typer.Option("--compile", help="Compile the model first: minutes to begin with, faster on a GPU.")
    ] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint in OUT.")] = False,
    as_json: AsJson = False,
    home: Home = None,
) -> None:
    """Pre-train a foundation further on corpora (masked language modelling).

    nightread pretrain --foundation /models/km-bert --corpus textbooks --corpus reports --out km-bert-bilingual

    accelerate launch --num_processes 4 -m nightread pretrain …       on four GPUs

    OUT/model is a foundation for `train` and `similarity`; OUT/log.jsonl and OUT/curve.png show how it went.
    """
    if batch_tokens < length:
        raise typer.BadParameter(f"a step of {batch_tokens} tokens holds no row of {length}; raise --batch-tokens")
    house_settings = settings(home)
    from nightread import pretraining  # noqa: PLC0415 - torch, which no other command should wait for

    recipe = pretraining.Recipe(
        steps=steps,
        epochs=epochs,
        length=length,
        batch_tokens=batch_tokens,
        learning_rate=learning_rate,
        whole_words=whole_word,
        seed=seed,
        checkpoint_every=checkpoint_every,
        tokens_per_pass=tokens_per_pass,
        device=device,
        compiled=compiled,
    )
    made = pretraining.run(house_settings, corpus, foundation, vocabulary, out, recipe, resume=resume)
    if made is None:
        return  # one of several processes, and not the one that speaks
    if as_json:
        write_json({"model": made.folder, "sha256": made.sha256, "last_step": made.log[-1]})
        return
    _print(made)
    console.out.print(f"The new foundation is {made.folder}, its curve {out / pretraining.CURVE}.", markup=False)


def _print(made: "Pretrained") -> None:
    first, last = made.log[0], made.log[-1]
    if made.transplanted:
        moved = made.transplanted
        console.out.print(
            f"New vocabulary: {moved.kept:,} pieces kept their embedding, {moved.composed:,} are the mean of old ones, "
            f"{moved.drawn:,} were drawn."
        )
    console.out.print(
        f"{last['step']:,} steps, {last['tokens']:,} tokens, {last['tokens_per_second']:,.0f} tokens/s; "
        f"loss {first['loss']:.3f} at first, {last['loss']:.3f} at last."
    )
