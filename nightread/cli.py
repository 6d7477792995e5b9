"""`nightread`: the command line. No command imports torch before it needs it."""

import os
import sys

import typer

from models.errors import ModelError
from nightread import console
from nightread.commands import demo, models, reports, running, sql
from nightread.commands.shared import Home
from pipeline.errors import NightreadError

app = typer.Typer(
    name="nightread",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode="rich",
)
for group in (demo.app, running.app, reports.app, models.app, sql.app):
    app.add_typer(group)


@app.callback()
def nightread(home: Home = None) -> None:
    """Reads a hospital's CT reports at night, and answers in SQL by morning.

    New here? [bold]nightread demo[/] shows the whole job on a made-up feed. For your own reports: name a feed in
    HOME/nightread.toml, make a model with [bold]nightread train … --promote[/], then run [bold]nightread up[/].
    """
    if home is not None:
        os.environ["NIGHTREAD_HOME"] = str(home)  # before the command or behind it, --home means the same


def main() -> None:
    try:
        app()
    except (NightreadError, ModelError) as error:
        console.err.print(f"error: {error}", style="red", markup=False, soft_wrap=True)
        sys.exit(1)
