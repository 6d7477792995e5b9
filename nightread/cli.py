"""`nightread`: the command line. No command imports torch before it needs it."""

import os
import sys
from typing import Annotated

import typer

from nightread import console
from nightread.commands import (
    annotations,
    corpus,
    dead_letters,
    demo,
    drift,
    explain,
    feeds,
    labels,
    models,
    pretrain,
    quarantine,
    refresh,
    registry,
    replay,
    reports,
    running,
    schedules,
    similarity,
    sql,
    status,
    vocabulary,
    work,
)
from nightread.commands.shared import Home
from worker import reasons

app = typer.Typer(
    name="nightread",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode="rich",
)
# Whether `--debug` was given.
show_tracebacks = False

for group in (
    demo.app,
    running.app,
    work.app,
    status.app,
    explain.app,
    sql.app,
    feeds.app,
    reports.app,
    schedules.app,
    quarantine.app,
    annotations.app,
    labels.app,
    models.app,
    registry.app,
    refresh.app,
    replay.app,
    drift.app,
    corpus.app,
    vocabulary.app,
    pretrain.app,
    similarity.app,
    dead_letters.app,
):
    app.add_typer(group)


@app.callback()
def nightread(
    home: Home = None,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error; it may quote data, so keep it to yourself.")
    ] = False,
) -> None:
    """Reads a hospital's CT reports at night, and answers in SQL by morning.

    New here? [bold]nightread demo[/] shows the whole job on a made-up feed. For your own reports: name a feed in
    HOME/nightread.toml, make a model with [bold]nightread train … --promote[/], then run [bold]nightread up[/].
    """
    global show_tracebacks  # noqa: PLW0603 - read where the error arrives, outside of any command
    show_tracebacks = debug
    if home is not None:
        os.environ["NIGHTREAD_HOME"] = str(home)  # before the command or behind it, --home means the same


def main() -> None:
    """Exit codes: 0 it is done, 1 it failed (said in one line), 2 it was used wrongly (Typer says how)."""
    try:
        app()
    except Exception as error:
        if show_tracebacks:
            raise
        console.err.print(f"error: {_said(error)}", style="red", markup=False, soft_wrap=True)
        sys.exit(1)


def _said(error: Exception) -> str:
    """An error in one readable line, with the way out."""
    return reasons.message(error) or (
        f"{reasons.kind_and_place(error)}, which should not happen; "
        "run it again as `nightread --debug …` to see more, and tell us"
    )
