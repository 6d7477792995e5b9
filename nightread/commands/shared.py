"""What commands have in common: the home they work on, and how they give data to other programs."""

import getpass
import json
import os
import socket
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline import settings as house_settings
from pipeline.settings import Settings


def _or_before(context: typer.Context, option: typer.CallbackParam, given: Any) -> Any:
    """What is given, or else what stands before the subcommand, as in `nightread refresh --json status`."""
    return given or (context.parent.params.get(option.name or "", given) if context.parent else given)


Home = Annotated[
    Path | None,
    typer.Option(
        "--home",
        help="Data folder (default: $NIGHTREAD_HOME, else .nightread).",
        show_default=False,
        callback=_or_before,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Write JSON alone to stdout.", callback=_or_before)]
Wait = Annotated[bool, typer.Option("--wait", help="Wait until it is done, with a progress bar.")]


def settings(home: Path | None) -> Settings:
    """The settings of the home that the command names, or else the environment."""
    return house_settings.read(home)


def who() -> str:
    """Who runs this command, as user@host: what the audit trail calls them. Under sudo, whoever called it."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's account may have a number and no name
        user = f"uid-{os.getuid()}"
    if user == "root":
        user = os.environ.get("SUDO_USER") or user
    return f"{user}@{socket.gethostname()}"


def write_json(data: Any) -> None:
    json.dump(data, sys.stdout, ensure_ascii=False, indent=2, default=str)
    sys.stdout.write("\n")
