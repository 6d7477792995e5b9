"""`work`: one member of the crew on its own, for the hospital's own servers and a supervisor such as systemd."""

import os
from typing import Annotated, Never

import typer

from nightread import console, crew, readiness
from nightread.commands.shared import Home, settings
from nightread.crew import Member
from nightread.house import House, opened
from pipeline.errors import NightreadError

app = typer.Typer()


class NoServersNamed(NightreadError):
    """A member on its own needs servers that do not end with a command."""


@app.command()
def work(
    member: Annotated[Member, typer.Argument(help="Which one.", show_default=False)],
    check: Annotated[
        bool,
        typer.Option(
            "--check", help="Start nothing; exit with 1 and say what is missing if it could not do its work here."
        ),
    ] = False,
    home: Home = None,
) -> None:
    """Run the scheduler or one kind of worker, in the foreground, for a service manager to look after.

    Several machines may run the same one. SIGTERM lets it finish what it has in hand; whatever is killed, training
    included, is taken up again by another after two minutes.
    """
    house_settings = settings(home)
    if house_settings.embedded:
        raise NoServersNamed(
            "`nightread work` is for a PostgreSQL and Redis of your own: set NIGHTREAD_DATABASE_URL and "
            "NIGHTREAD_BROKER_URL, or let `nightread up` run everything"
        )
    with opened(house_settings) as house:
        if check:
            _check(house, member)
            return
    _become(house, member)


def _check(house: House, member: Member) -> None:
    found = list(readiness.lacking(house, member))
    for problem in found:
        console.err.print(f"{member}: {problem}", markup=False, soft_wrap=True)
    if found:
        raise typer.Exit(1)


def _become(house: House, member: Member) -> Never:
    """In place of this process, so that signals reach the member itself and a supervisor sees how it ends."""
    command = crew.commands(house.settings.label_workers)[member]
    os.execve(command[0], command, {**os.environ, **house.environment()})
