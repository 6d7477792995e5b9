"""`nightread …` typed inside this process, where starting another one is not the point."""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import typer

from models.errors import ModelError
from nightread import cli
from pipeline.errors import NightreadError

Typed = Callable[..., "Said"]


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str

    @property
    def plain(self) -> str:
        """All that was said, without the line breaks of a narrow terminal."""
        return " ".join((self.out + self.err).split())

    @property
    def plain_err(self) -> str:
        """The same of the errors alone."""
        return " ".join(self.err.split())


def typist(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Typed:
    """Types a command in the environment of the test."""

    def run(*arguments: object) -> Said:
        monkeypatch.setattr(sys, "argv", ["nightread", *map(str, arguments)])
        capsys.readouterr()
        try:
            cli.main()
            code = 0
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else 0
        return Said(code, *capsys.readouterr())

    return run


@dataclass(frozen=True)
class Told:
    out: str
    err: str
    error: str | None

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def plain(self) -> str:
        """What was told, without the lines of tables and without line breaks."""
        return " ".join("".join(" " if "\u2500" <= sign <= "\u257f" else sign for sign in self.out).split())


def typist_of(*groups: typer.Typer, capsys: pytest.CaptureFixture[str]) -> Callable[..., Told]:
    """Types commands of these groups; an error of ours is told as its message."""
    app = typer.Typer()
    for group in groups:
        app.add_typer(group)

    def run(*arguments: object) -> Told:
        capsys.readouterr()
        error = None
        try:
            app([str(one) for one in arguments], prog_name="nightread", standalone_mode=False)
        except (NightreadError, ModelError) as raised:
            error = str(raised)
        return Told(*capsys.readouterr(), error)

    return run
