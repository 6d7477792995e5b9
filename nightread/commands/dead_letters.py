"""`dead-letters`: work that was given up; looked into, tried again, or dropped."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table
from sqlalchemy.orm import Session

from nightread import console
from nightread.commands.figures import number
from nightread.commands.shared import AsJson, Home, settings, who, write_json
from nightread.console import local_time
from nightread.house import opened
from pipeline import dead_letters
from pipeline.dead_letters import DeadLetter, Retried
from pipeline.names import EventKind, FailureCause, JobKind
from pipeline.tables import JobState

app = typer.Typer(
    name="dead-letters",
    no_args_is_help=True,
    help="Work that was given up after its last attempt: why, and whether to try again or to drop it.",
)

Jobs = Annotated[list[int] | None, typer.Argument(help="Jobs, as `dead-letters list` numbers them.", metavar="JOB…")]
All = Annotated[bool, typer.Option("--all", help="All that are not dropped.")]
Kind = Annotated[JobKind | None, typer.Option(help="With --all: only this kind.")]
Note = Annotated[str | None, typer.Option(help="Why; kept with the decision.")]

CAUSES = {
    FailureCause.WORK: "the work failed",
    FailureCause.ENVIRONMENT: "waited for its environment",
    FailureCause.SILENCE: "its worker fell silent",
}


@app.command(name="list")
def list_letters(
    kind: Annotated[JobKind | None, typer.Option(help="Only this kind.")] = None,
    dropped: Annotated[bool, typer.Option("--dropped", help="Those that were dropped instead.")] = False,
    as_json: AsJson = False,
    home: Home = None,
) -> None:
    """What was given up, and why; for each its failed attempts. A settled one is wanted no more."""
    house_settings = settings(home)
    with opened(house_settings) as house, house.sessions.begin() as session:
        state = JobState.DROPPED if dropped else JobState.DEAD
        found = [one for one in dead_letters.letters(session, state=state) if kind in {None, one.kind}]
    if as_json:
        write_json([asdict(one) for one in found])
        return
    if not found:
        console.out.print("No dropped letters." if dropped else "No dead letters.")
        return
    table = Table()
    for column in ("job", "kind", "of", "reason", "model", "failures", "since", "settled"):
        table.add_column(column, justify="right" if column in {"job", "model", "failures"} else "left")
    for one in found:
        table.add_row(
            str(one.job),
            one.kind,
            escape(_of(one)),
            escape(one.reason or "–"),
            number(one.model),
            str(one.failures),
            local_time(one.since, house_settings.zone) or "–",
            "yes" if one.settled else "",
        )
    console.out.print(table)


@app.command()
def show(
    job: Annotated[int, typer.Argument(help="Job, as `dead-letters list` numbers it.", metavar="JOB")],
    as_json: AsJson = False,
    home: Home = None,
) -> None:
    """How one came about: every failed attempt, at it and at the jobs it was split from, and what was decided."""
    house_settings = settings(home)
    with opened(house_settings) as house, house.sessions.begin() as session:
        letter = dead_letters.letter(session, job)
        failures, decisions = dead_letters.failures(session, job), dead_letters.decisions(session, job)
    if as_json:
        history = {"history": [asdict(one) for one in failures], "decisions": [asdict(one) for one in decisions]}
        write_json({**asdict(letter), **history})
        return
    zone = house_settings.zone
    since = local_time(letter.since, zone) or "–"
    settled = ", settled" if letter.settled and letter.state is JobState.DEAD else ""
    console.out.print(
        f"Job {letter.job}: {letter.kind} of {_of(letter)}, {letter.state} since {since}{settled}",
        markup=False,
    )
    console.out.print(f"Reason: {letter.reason or '–'}", markup=False)
    if failures:
        table = Table()
        for column in ("when", "job", "reports", "what", "reason", "model", "worker"):
            table.add_column(column, justify="right" if column in {"job", "reports", "model"} else "left")
        for one in failures:
            table.add_row(
                local_time(one.at, zone),
                str(one.job),
                str(one.reports),
                CAUSES[one.cause],
                escape(one.reason),
                number(one.model),
                escape(one.worker or "–"),
            )
        console.out.print(table)
    for decision in decisions:
        what = "retried" if decision.what is EventKind.DEAD_LETTER_RETRIED else "dropped"
        said = f"{local_time(decision.at, zone)}: {what} by {decision.by or '–'}"
        console.out.print(said + (f" – {decision.note}" if decision.note else ""), markup=False)


@app.command()
def retry(job: Jobs = None, everything: All = False, kind: Kind = None, note: Note = None, home: Home = None) -> None:
    """Try again, with fresh attempts. A dropped one can be named, too.

    A retry helps when what failed has been mended: a library, a device, a feed. Where other work does the same
    already, say a pull that was asked for since, the letter is dropped, and the command says so.
    """
    _require_choice(job, everything, kind)
    with opened(settings(home)) as house, house.sessions.begin() as session:
        wanted = _wanted(session, job, kind)
        done = dead_letters.retry(session, wanted, by=who(), rules=house.rules, note=note)
    _say_retried(done)


@app.command()
def drop(job: Jobs = None, everything: All = False, kind: Kind = None, note: Note = None, home: Home = None) -> None:
    """Decide that it is not to be done. Its report stays counted as dead until another model reads it."""
    _require_choice(job, everything, kind)
    with opened(settings(home)) as house, house.sessions.begin() as session:
        wanted = _wanted(session, job, kind)
        dead_letters.drop(session, wanted, by=who(), rules=house.rules, note=note)
    console.out.print(f"Dropped: {_listed(wanted)}." if wanted else "No dead letters.", markup=False)


def _require_choice(job: Sequence[int] | None, everything: bool, kind: JobKind | None) -> None:
    if bool(job) == everything:
        raise typer.BadParameter("name jobs (`nightread dead-letters list`), or say --all")
    if kind is not None and not everything:
        raise typer.BadParameter("--kind goes with --all")


def _wanted(session: Session, job: Sequence[int] | None, kind: JobKind | None) -> list[int]:
    if job:
        return sorted(set(job))
    return dead_letters.given_up(session, kind)


def _say_retried(done: Retried) -> None:
    if done.ready:
        console.out.print(f"Ready again: {_listed(done.ready)}. `nightread up` or its workers see to it.")
    for letter, same in done.overtaken.items():
        by = f"job {same}" if same is not None else "a job that is done by now"
        console.out.print(f"Job {letter} is dropped instead: {by} does the same work.", markup=False)
    if not done.ready and not done.overtaken:
        console.out.print("No dead letters.")


def _of(one: DeadLetter) -> str:
    return f"feed {one.feed}" if one.kind is JobKind.PULL else f"report {number(one.report)}"


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))
