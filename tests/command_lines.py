"""Whether a command line that some file names would be understood: by `nightread`, Celery or Python."""

import importlib.util
import itertools
from collections.abc import Sequence

import typer
from celery import Celery
from kombu.utils.imports import symbol_by_name
from typer.exceptions import TyperException

from nightread import cli
from pipeline import names


def refused(words: Sequence[str]) -> str | None:
    """Why a command line of ours would be refused, or None. `nightread …`, `celery --app …` and `python -m …`."""
    match list(words):
        case ["nightread", *rest]:
            return _nightread(rest)
        case [_, "-m", "celery", *rest] | ["celery", *rest]:
            return _celery(rest)
        case [_, "-m", module, *_]:
            return None if importlib.util.find_spec(module) else f"there is no module {module}"
    return f"{words[0]} is no program of ours"


def _nightread(words: list[str]) -> str | None:
    """As Typer would read it, without running it."""
    group = typer.main.get_command(cli.app)
    said = ["nightread"]
    while commands := getattr(group, "commands", None):
        if not words or words[0] not in commands:
            break
        name, *words = words
        said.append(name)
        group = commands[name]
    if said == ["nightread"]:
        return f"`nightread {' '.join(words)}` names no command"
    try:
        group.make_context(said[-1], words)
    except TyperException as error:
        return f"`{' '.join(said)}`: {error}"
    return None


def _celery(words: list[str]) -> str | None:
    options = dict(itertools.pairwise(words))
    try:
        app = symbol_by_name(f"{options.get('--app', '')}:app")
    except (ImportError, AttributeError, ValueError):
        return f"there is no Celery app {options.get('--app')!r}"
    if not isinstance(app, Celery):
        return f"{options['--app']}:app is no Celery app"
    unknown = [queue for queue in options.get("--queues", "").split(",") if queue not in list(names.Queue)]
    return f"there is no queue {unknown[0]!r}" if unknown else None
