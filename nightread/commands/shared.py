"""What commands have in common: the home they work on, and how they give data to other programs."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline import settings as house_settings
from pipeline.settings import Settings

Home = Annotated[
    Path | None,
    typer.Option("--home", help="Data folder (default: $NIGHTREAD_HOME, else .nightread).", show_default=False),
]
AsJson = Annotated[bool, typer.Option("--json", help="Write JSON alone to stdout.")]
Wait = Annotated[bool, typer.Option("--wait", help="Wait until it is done, with a progress bar.")]


def settings(home: Path | None) -> Settings:
    """The settings of the home that the command names, or else the environment."""
    return house_settings.read(home)


def write_json(data: Any) -> None:
    json.dump(data, sys.stdout, ensure_ascii=False, indent=2, default=str)
    sys.stdout.write("\n")
