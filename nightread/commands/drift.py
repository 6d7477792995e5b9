"""`drift`: how far new reports are from what the serving model knows."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import groupby
from zoneinfo import ZoneInfo

import typer
from rich.markup import escape
from rich.table import Table
from sqlalchemy.orm import Session

from nightread import console, crew
from nightread.commands.shared import AsJson, Home, settings, write_json
from nightread.console import local_time
from nightread.house import opened
from pipeline import drift, schedules
from pipeline.drift import Measured
from pipeline.settings import Settings
from pipeline.tables import JobState
from scheduler import clock

app = typer.Typer(
    name="drift", help="How far new reports are from what the model knows; [bold]drift measure[/] asks for it now."
)


@app.callback(invoke_without_command=True)
def show(context: typer.Context, as_json: AsJson = False, home: Home = None) -> None:
    """How far the new reports of each site are from what the serving model knows: the signals measured last.

    New reports are those that the model has not learnt from. A signal that drifts beyond its threshold makes a refresh
    of the language model due.
    """
    if context.invoked_subcommand is not None:
        return
    house_settings = settings(home)
    with opened(house_settings) as house, house.sessions.begin() as session:
        found = drift.newest(session)
        last = _last(session, least_reports=house_settings.refresh.drift.least_reports)
        coming = _coming(session, house_settings)
    if as_json:
        write_json([asdict(one) for one in found])
        return
    if found:
        _print(found, house_settings.zone)
    console.out.print(f"{last} {coming}", markup=False, soft_wrap=True)


@app.command()
def measure(home: Home = None) -> None:
    """Measure now, whatever the schedule says, and let a refresh begin if one is due."""
    house_settings = settings(home)
    with opened(house_settings) as house:
        with house.sessions.begin() as session:
            new = drift.ask(session, attempts=house_settings.attempts) is not None
        at_work = not house.embedded or crew.is_up(house_settings.home)
    what = "A measurement was asked for." if new else "A measurement was asked for already."
    by = "The workers see to it" if at_work else "`nightread up` will see to it"
    console.out.print(f"{what} {by}; `nightread drift` then shows what it found.", markup=False)


def _print(found: Sequence[Measured], zone: ZoneInfo) -> None:
    for site, signals in groupby(found, key=lambda one: one.site):
        table = Table(title=escape(site), title_justify="left")
        for column in ("signal", "reports", "new", "known", "drift", "threshold"):
            table.add_column(column, justify="left" if column == "signal" else "right")
        for one in signals:
            table.add_row(
                escape(f"{one.signal} of {one.label}" if one.label else one.signal),
                str(one.reports),
                *map(_number, (one.value, one.reference, one.drift)),
                f"{'> ' if one.exceeded else ''}{_number(one.threshold)}",
                style="bold red" if one.exceeded else None,
            )
        console.out.print(table)
    exceeded = sum(one.exceeded for one in found)
    what = f"{exceeded} of {len(found)} signals exceed their thresholds (>)" if exceeded else "No threshold is exceeded"
    night = found[0]
    console.out.print(
        f"{what}. Measured {local_time(night.measured_at, zone)}, by model version {night.model_version}.",
        soft_wrap=True,
    )


def _last(session: Session, *, least_reports: int) -> str:
    """What came of the last measurement."""
    job = drift.newest_job(session)
    if job is None:
        return "Nothing has been measured yet; `nightread drift measure` asks for it now."
    match job.state:
        case JobState.DONE:
            outcome = job.outcome or {}
            if "nothing" in outcome:
                return f"The last measurement (job {job.id}) had nothing to measure by: {outcome['nothing']}."
            if not outcome.get("signals"):
                return (
                    f"The last measurement (job {job.id}) found no site with {least_reports} new reports; fewer prove "
                    "nothing (refresh.drift.least_reports)."
                )
            return f"The last measurement (job {job.id}) made these {outcome['signals']} signals."
        case JobState.READY | JobState.RUNNING:
            waits = job.state == JobState.READY and job.error
            return f"A measurement (job {job.id}) {f'waits: {job.error}' if waits else 'is under way'}."
        case _:
            return (
                f"The last measurement (job {job.id}) failed: {job.error}; `nightread drift measure` asks for another."
            )


def _coming(session: Session, house_settings: Settings) -> str:
    one = next(
        one
        for one in clock.standing(session, house_settings, now=datetime.now(UTC))
        if one.schedule.name == schedules.DRIFT
    )
    if one.paused_since is not None:
        return "All schedules are paused; `nightread resume` ends that."
    return f"The next is due {local_time(one.next, house_settings.zone)}." if one.next else ""


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
