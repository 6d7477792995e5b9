"""`vocabulary`: a bilingual WordPiece vocabulary from corpora."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from nightread import console
from nightread.commands.shared import AsJson, Home, settings, write_json

if TYPE_CHECKING:
    from models.fertility import Fertility

app = typer.Typer(name="vocabulary", help="Bilingual vocabularies.", no_args_is_help=True)


@app.callback()
def vocabulary() -> None:
    """A callback keeps `build` a command of its own."""


@app.command()
def build(
    corpus: Annotated[
        list[str],
        typer.Option("--corpus", help="Corpus to learn from; may be given again.", show_default=False),
    ],
    out: Annotated[Path, typer.Option("--out", help="New folder for the tokenizer.", show_default=False)],
    size: Annotated[int, typer.Option(min=1, help="How many pieces.")] = 45_000,
    as_json: AsJson = False,
    home: Home = None,
) -> None:
    """Train a WordPiece vocabulary, balanced between Korean and English, and show how it cuts held-out text."""
    house_settings = settings(home)
    from nightread import vocabularies  # noqa: PLC0415 - transformers, which no other command should wait for

    with console.tracked("reading") as shown:
        made = vocabularies.make(house_settings, corpus, size, out, shown)
    built = made.vocabulary
    shares = f"{built.korean:.1%} of the words are Korean, {built.english:.1%} in Latin letters"
    if built.one_sided:
        console.err.print(
            f"warning: the corpus is in one language ({shares}); for a bilingual vocabulary add text in the other",
            style="yellow",
        )
    if as_json:
        write_json(
            {
                "pieces": len(built.tokenizer),
                "words": built.words,
                "korean": built.korean,
                "english": built.english,
                "sha256": made.sha256,
                "held_out": {spoken: _figures(found) for spoken, found in made.held_out.items()},
            }
        )
        return
    console.out.print(f"{len(built.tokenizer):,} pieces from {built.words:,} words in {out}; {shares}.", markup=False)
    table = Table(title="On held-out text", title_justify="left")
    for name in ("language", "words", "pieces per word", "unknown words", "bytes per piece"):
        table.add_column(name, justify="left" if name == "language" else "right")
    for spoken, found in made.held_out.items():
        table.add_row(
            spoken,
            f"{found.words:,}",
            f"{found.pieces_per_word:.2f}",
            f"{found.unknown_rate:.2%}",
            f"{found.bytes_per_piece:.2f}",
        )
    console.out.print(table)


def _figures(found: "Fertility") -> dict[str, float]:
    return {
        "words": found.words,
        "pieces_per_word": found.pieces_per_word,
        "unknown_rate": found.unknown_rate,
        "bytes_per_piece": found.bytes_per_piece,
    }
