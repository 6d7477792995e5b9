"""`corpus`: text for vocabularies and pre-training, added once, cleaned, and listed with its languages."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from nightread import console, corpora
from nightread.commands.shared import AsJson, Home, settings, write_json
from nightread.corpora import Corpus, Kind
from nightread.house import opened
from pipeline.names import Language

_SHOWN_PLACES = 10
# A corpus said to be in a language should be so in most of its bytes.
_MOSTLY = 0.5

app = typer.Typer(name="corpus", help="Text to learn language from.", no_args_is_help=True)


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="What the corpus is called from now on.")],
    files: Annotated[
        list[Path], typer.Argument(help="Plain text, .csv or .tsv (also as .gz), or .parquet.", show_default=False)
    ],
    language: Annotated[Language | None, typer.Option(help="What it is said to be written in.")] = None,
    kind: Annotated[
        Kind | None, typer.Option(help="What it is; of `ehr`, texts with identifying data are left out.")
    ] = None,
    column: Annotated[str, typer.Option(help="Column with the text, in tables.")] = "text",
    encoding: Annotated[str, typer.Option(help="Encoding of the files, e.g. cp949; it is never guessed.")] = "utf-8",
    as_json: AsJson = False,
    home: Home = None,
) -> None:
    """Clean files and keep them as a corpus: control characters, boilerplate and near-duplicates are left out."""
    with console.tracked(f"adding {name}") as shown:

        def on_progress(done: int, total: int) -> None:
            shown.update(done >> 10, total=max(1, total >> 10), note="KiB")

        corpus = corpora.add(
            settings(home),
            name,
            files,
            language=language,
            kind=kind,
            column=column,
            encoding=encoding,
            on_progress=on_progress,
        )
    if as_json:
        write_json(asdict(corpus))
        return
    console.out.print(_table([corpus]))
    for reason, lines in corpus.dropped.items():
        console.out.print(f"Left out, {reason}: {lines} lines.", markup=False)
    for place in corpus.places[:_SHOWN_PLACES]:
        console.out.print(f"  {place}", markup=False, soft_wrap=True)
    if len(corpus.places) > _SHOWN_PLACES:
        console.out.print(f"  … more in {settings(home).home / 'corpora' / name / 'corpus.json'}", markup=False)
    if language is not None and corpus.share(language) + corpus.share("mixed") < _MOSTLY:
        console.err.print(
            f"warning: said to be {language}, but {corpus.share(language):.0%} of it is; see the shares above",
            style="yellow",
        )


@app.command(name="list")
def show(as_json: AsJson = False, home: Home = None) -> None:
    """All corpora with their languages, and the stored reports, which are one too."""
    house_settings = settings(home)
    found = corpora.listed(house_settings)
    with opened(house_settings) as house:
        found.append(corpora.of_reports(house))
    if as_json:
        write_json([asdict(corpus) for corpus in found])
    else:
        console.out.print(_table(found))


@app.command()
def remove(
    name: Annotated[str, typer.Argument(help="The corpus to delete.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    home: Home = None,
) -> None:
    """Delete a corpus and its files; what was made from it stays. It can only be added anew, from its sources.

    A pre-training that was stopped reads its corpora again, so it cannot go on without them.
    """
    house_settings = settings(home)
    lost = corpora.described(house_settings, name)
    if not yes:
        console.out.print(f"Corpus {name}: {lost}.", markup=False)
        typer.confirm("Delete it?", abort=True)
    corpora.remove(house_settings, name)
    console.out.print(f"Corpus {name} is deleted.", markup=False)


def _table(found: list[Corpus]) -> Table:
    table = Table()
    for column in ("corpus", "kind", "said to be", "documents", "lines", "MB", "ko", "mixed", "en", "left out"):
        is_name = column in ("corpus", "kind", "said to be")
        table.add_column(column, justify="left" if is_name else "right", overflow="fold")
    for corpus in found:
        table.add_row(
            escape(corpus.name),
            corpus.kind or "",
            corpus.language or "",
            f"{corpus.documents:,}",
            f"{corpus.lines:,}" if corpus.lines else "",
            f"{corpus.text_bytes / 1e6:.1f}",
            *(f"{corpus.share(language):.0%}" for language in ("ko", "mixed", "en")),
            f"{sum(corpus.dropped.values()):,}" if corpus.lines else "",
        )
    return table
