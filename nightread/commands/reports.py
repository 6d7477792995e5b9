"""`pull`, `label` and `status`: what comes in, what is read, and where it all stands."""

from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from nightread import console, crew, waiting
from nightread.commands.shared import AsJson, Home, Wait, settings, write_json
from nightread.house import House, opened
from pipeline import jobs, labelling, pulls, status
from pipeline.errors import NightreadError
from pipeline.names import JobKind
from pipeline.settings import Settings
from pipeline.status import Status

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
            lacking = labelling.reconcile(session, sizes=house.sizes)
            jobs.wake(session, JobKind.LABEL)  # whoever asks may have mended what they wait for
        if wait:
            waiting.for_labels(house)
        else:
            _say_who_works(house, f"{lacking} reports were given a job.")


@app.command(name="status")
def show_status(as_json: AsJson = False, home: Home = None) -> None:
    """Where everything stands: current reports by state, the model that serves, the last runs."""
    house_settings = settings(home)
    with opened(house_settings) as house, house.sessions.begin() as session:
        now = status.read(session)
    if as_json:
        write_json(now.as_json())
    else:
        print_status(now, house_settings)


def _say_who_works(house: House, what: str) -> None:
    at_work = not house.embedded or crew.is_up(house.settings.home)
    by = "The workers see to it." if at_work else "`nightread up` will see to it; with --wait this command does."
    console.out.print(f"{what} {by}", markup=False)


def print_status(now: Status, house_settings: Settings) -> None:
    reports = Table(title="Reports (current versions)", title_justify="left")
    for column in ("received", "labelled", "pending", "dead", "withdrawn"):
        reports.add_column(column, justify="right")
    reports.add_row(*map(str, (now.received, now.labelled, now.pending, now.dead, now.withdrawn)))
    console.out.print(reports)
    if now.stale:
        console.out.print(f"{now.stale} of the labelled still show an older model's labels.")
    console.out.print(f"Not taken in: {now.quarantined} quarantined, {now.skipped} skipped.")
    if now.model is None:
        console.out.print("Model: none serves yet; run `nightread train … --promote`.")
    else:
        since = (
            f" since {now.model.promoted_at.astimezone(house_settings.zone):%Y-%m-%d %H:%M}"
            if now.model.promoted_at
            else ""
        )
        console.out.print(
            f"Model: version {now.model.version} ({now.model.foundation}), {now.model.labels} labels{since}.",
            markup=False,
        )
    console.out.print(f"Jobs: {now.jobs_running} running, {now.jobs_ready} ready.")
    for reason in now.waiting:
        console.out.print(f"Waiting: {reason}", style="yellow", markup=False)
    if now.runs:
        runs = Table(title="Last pulls", title_justify="left")
        for column in ("feed", "started", "state", "brought"):
            runs.add_column(column)
        for run in now.runs:
            started = f"{run.started_at.astimezone(house_settings.zone):%Y-%m-%d %H:%M}" if run.started_at else ""
            runs.add_row(run.feed, started, run.state, escape(run.error or waiting.counts(run.counts)))
        console.out.print(runs)
