"""`pull` and `label`: what comes in, and what is read."""

from typing import Annotated

import typer

from nightread import console, crew, waiting
from nightread.commands.shared import Home, Wait, settings
from nightread.house import House, opened
from pipeline import jobs, labelling, pulls
from pipeline.errors import NightreadError
from pipeline.names import JobKind

app = typer.Typer()


@app.command()
def pull(
    feed: Annotated[str | None, typer.Argument(help="Feed of the settings; none: all of them.")] = None,
    wait: Wait = False,
    home: Home = None,
) -> None:
    """Pull a feed now, whatever its schedule says. New reports are labelled right after."""
    house_settings = settings(home)
    names = [feed] if feed else sorted(house_settings.feeds)
    feeds = {name: pulls.named(house_settings, name) for name in names}
    if not feeds:
        raise NightreadError(f"the settings name no feed; {pulls.how_to_add(house_settings.home)}")
    with opened(house_settings) as house:
        with house.sessions.begin() as session:
            for name, one in feeds.items():
                pulls.ask(session, name, one, attempts=house_settings.attempts)
        if wait:
            waiting.for_pulls(house, names)
        else:
            _say_who_works(house, f"Asked for: {', '.join(names)}.")


@app.command()
def label(wait: Wait = False, home: Home = None) -> None:
    """Give a job to every report that lacks the label it should have, as happens each night."""
    with opened(settings(home)) as house:
        with house.sessions.begin() as session:
            lacking = labelling.reconcile(session, rules=house.rules)
            jobs.wake(session, JobKind.LABEL)  # whoever asks may have mended what they wait for
        if wait:
            waiting.for_labels(house)
        else:
            _say_who_works(house, f"{lacking} reports were given a job.")


def _say_who_works(house: House, what: str) -> None:
    at_work = not house.embedded or crew.is_up(house.settings.home)
    by = "The workers see to it." if at_work else "`nightread up` will see to it; with --wait this command does."
    console.out.print(f"{what} {by}", markup=False)
