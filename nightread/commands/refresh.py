"""`refresh`: the language model learns from the new reports; asked for, watched, stopped."""

import time
from contextlib import ExitStack
from typing import Annotated
from zoneinfo import ZoneInfo

import typer
from rich.markup import escape
from rich.table import Table
from sqlalchemy import select
from sqlalchemy.orm import Session

from nightread import console, crew
from nightread.commands.figures import figure
from nightread.commands.shared import AsJson, Home, Wait, settings, who, write_json
from nightread.console import local_time
from nightread.crew import Member
from nightread.house import House, opened
from nightread.status_screen import duration
from nightread.waiting import LOOK_SECONDS
from pipeline import refresh_history, refresh_runs
from pipeline.names import JobKind
from pipeline.policy import GateOutcome
from pipeline.refresh_history import Refresh
from pipeline.tables import Job, JobState, RefreshRun, RefreshState
from worker import refresh_desk

app = typer.Typer(name="refresh")

ASKED = "asked"
COLOURS = {GateOutcome.PASSED: "green", GateOutcome.FAILED: "red", GateOutcome.INCONCLUSIVE: "yellow"}


@app.callback(invoke_without_command=True)
def ask(
    context: typer.Context,
    reason: Annotated[str, typer.Option(help="Why; kept with the refresh.", metavar="TEXT")] = ASKED,
    wait: Wait = False,
    accept_inconclusive: Annotated[
        bool,
        typer.Option("--accept-inconclusive", help="Take it upon you if a gate has too few positives to say anything."),
    ] = False,
    as_json: AsJson = False,
    home: Home = None,
) -> None:
    """Let the language model learn from the new reports; [bold]refresh status[/] says how far it is.

    It goes on from the model that serves, and what it makes serves if it passes its gates; labelling goes on
    meanwhile. With --wait the exit code is 1 unless the new model serves at the end.
    """
    if context.invoked_subcommand is not None:
        return
    with opened(settings(home)) as house:
        with house.sessions.begin() as session:
            number = refresh_runs.ask(
                session, reason=reason, by=who(), rules=house.rules, accepts_inconclusive=accept_inconclusive
            ).id
        if wait:
            _wait(house, number)
        elif not as_json:
            console.out.print(f"Refresh {number} is asked for. {_who_works(house)}", markup=False)
            console.out.print(
                "`nightread refresh status` shows how far it is; `nightread refresh cancel` stops it.", markup=False
            )
        with house.sessions.begin() as session:
            found = refresh_history.one(session, number)
    if as_json:
        write_json(found.as_json())
    elif wait:
        _print_end(found)
    if wait and found.state != RefreshState.PROMOTED:
        raise typer.Exit(1)


@app.command()
def status(as_json: AsJson = False, home: Home = None) -> None:
    """The newest refresh: how far it is, or what came of it and what each gate said."""
    house_settings = settings(home)
    with opened(house_settings) as house, house.sessions.begin() as session:
        refresh_runs.close_dead(session, rules=house.rules)
        found = refresh_history.newest(session)
        waits = _waits_for(session) if found is not None and found.state == RefreshState.OPEN else None
    if as_json:
        write_json(found.as_json() if found else None)
    elif found is None:
        console.out.print("No refresh yet; `nightread refresh` asks for one.", markup=False)
    else:
        _print_facts(found, waits, house_settings.zone)
        _print_end(found)


@app.command()
def cancel(home: Home = None) -> None:
    """Stop the refresh that is under way; production stays as it is."""
    with opened(settings(home)) as house, house.sessions.begin() as session:
        run = refresh_runs.cancel(session, by=who(), rules=house.rules)
        if run.state == RefreshState.OPEN:
            console.out.print(f"Refresh {run.id} is asked to stop; it does so at its next step.")
        else:
            refresh_desk.sweep(house.settings, keep=None)  # what an attempt before left there
            console.out.print(f"Refresh {run.id} is cancelled.")


@app.command()
def history(as_json: AsJson = False, home: Home = None) -> None:
    """All refreshes: why, when, on how many texts, and what came of them."""
    house_settings = settings(home)
    with opened(house_settings) as house, house.sessions.begin() as session:
        found = refresh_history.refreshes(session)
    if as_json:
        write_json([one.as_json() for one in found])
        return
    if not found:
        console.out.print("No refresh yet; `nightread refresh` asks for one.", markup=False)
        return
    table = Table()
    table.add_column("refresh", justify="right", no_wrap=True)
    table.add_column("asked", overflow="fold")
    table.add_column("reason", overflow="fold")
    table.add_column("new + replayed", justify="right")
    table.add_column("model", no_wrap=True)
    table.add_column("state", no_wrap=True)
    for one in found:
        table.add_row(
            str(one.refresh),
            escape(f"{local_time(one.asked_at, house_settings.zone)}\n{one.asked_by}"),
            escape(console.harmless(one.reason)),
            f"{one.new_texts} + {one.replayed_texts}",
            _models(one),
            one.state,
        )
    console.out.print(table)


def _wait(house: House, number: int) -> None:
    """Follow a refresh to its end, a bar per stage, at work ourselves if nobody is. Ctrl-C ends only the waiting."""
    try:
        _follow(house, number)
    except KeyboardInterrupt:
        console.err.print(f"Refresh {number} goes on. {_who_works(house)}", markup=False)
        console.err.print("`nightread refresh cancel` stops it.", markup=False)
        raise typer.Exit(1) from None


def _follow(house: House, number: int) -> None:
    with crew.someone_at_work(house, Member.SCHEDULER, Member.TRAINING) as look_after, ExitStack() as bars:
        stage, shown = "", console.Tracker("", None)
        while True:
            with house.sessions.begin() as session:
                refresh_runs.close_dead(session, rules=house.rules)
                run = session.get_one(RefreshRun, number)
                if run.stage != stage:
                    stage = run.stage
                    bars.close()  # the bar of the stage before stays on the screen as it was
                    shown = bars.enter_context(console.tracked(f"refresh {number}: {stage}"))
                waits = _waits_for(session)
                note = f"waiting: {waits}" if waits else _loss_and_time(run.loss, run.seconds_left)
                shown.update(run.step or 0, total=run.steps, note=note)
                if run.state != RefreshState.OPEN:
                    return
            look_after()
            time.sleep(LOOK_SECONDS)


def _waits_for(session: Session) -> str | None:
    """What the refresh's job waits for, if its environment failed."""
    waiting = select(Job.error).where(Job.kind == JobKind.REFRESH, Job.state == JobState.READY, Job.waits > 0)
    return session.scalar(waiting.limit(1))


def _loss_and_time(loss: float | None, seconds_left: float | None) -> str:
    said = [f"loss {loss:.3f}"] if loss is not None else []
    if seconds_left is not None:
        said.append(f"{duration(seconds_left)} left")
    return ", ".join(said)


def _who_works(house: House) -> str:
    if not house.embedded or crew.is_up(house.settings.home):
        return "A training worker sees to it."
    return "`nightread up` sees to it, from its last checkpoint on if it has one; with --wait this command does."


def _print_facts(found: Refresh, waits: str | None, zone: ZoneInfo) -> None:
    facts = Table(show_header=False, title=f"Refresh {found.refresh}", title_justify="left")
    facts.add_column()
    facts.add_column(overflow="fold")
    texts = f"{found.new_texts} new, {found.replayed_texts} replayed"
    shown = {
        "state": found.state + (f"; {found.cancel_asked_by} asked to stop it" if found.cancel_asked_by else ""),
        "reason": found.reason,
        "asked": f"{local_time(found.asked_at, zone)} by {found.asked_by}",
        "stage": _stage(found),
        "texts": texts + (f", {found.left_out_texts} left out since" if found.left_out_texts else ""),
        "model": _models(found),
        "finished": local_time(found.finished_at, zone),
        "waits": waits or "",
    }
    for name, value in shown.items():
        if value:
            facts.add_row(name, escape(console.harmless(value)))
    console.out.print(facts)


def _stage(found: Refresh) -> str:
    """The stage with its progress, e.g. "pre-training, step 40 of 100, loss 2.513, 3 min 20 s left"."""
    said = [found.stage]
    if found.step is not None and found.steps:
        said.append(f"step {found.step} of {found.steps}")
    if more := _loss_and_time(found.loss, found.seconds_left if found.state == RefreshState.OPEN else None):
        said.append(more)
    return ", ".join(said)


def _models(found: Refresh) -> str:
    former = "–" if found.former_model_version is None else str(found.former_model_version)
    return f"{former} → {found.model_version}" if found.model_version is not None else former


def _print_end(found: Refresh) -> None:
    """What each gate said, then what came of the refresh and what can be done about it."""
    if gates := refresh_history.gates(found.verdict):
        table = Table(title="Gates", title_justify="left")
        table.add_column("gate", overflow="fold")
        table.add_column("outcome", no_wrap=True)
        table.add_column("champion → challenger", no_wrap=True)
        table.add_column("difference (95 %)", no_wrap=True)
        table.add_column("margin", justify="right")
        for one in gates:
            between = "" if one.low is None or one.high is None else f"{one.low:+.3f} to {one.high:+.3f}"
            table.add_row(
                escape(console.harmless(one.name)),
                f"[{COLOURS[one.outcome]}]{one.outcome}[/]" if one.outcome in COLOURS else one.outcome,
                f"{figure(one.champion)} → {figure(one.challenger)}",
                between,
                "" if one.margin is None else f"{one.margin:g}",
            )
        console.out.print(table)
        for one in gates:
            if one.reason and one.outcome is not GateOutcome.PASSED:
                console.out.print(f"{one.name}: {one.reason}", markup=False)
    if found.state == RefreshState.OPEN:
        return
    console.out.print(f"Refresh {found.refresh}: {_said(found)}", markup=False)
    for why in found.reasons:
        console.out.print(f"  {why}", markup=False)


def _said(found: Refresh) -> str:
    match found.state:
        case RefreshState.PROMOTED:
            return f"model version {found.model_version} serves in place of {found.former_model_version}."
        case RefreshState.INCONCLUSIVE:
            return (
                f"model version {found.model_version} waits for a person; "
                f"`nightread models promote {found.model_version} --note WHY` lets it serve."
            )
        case _:
            return f"{found.state}; production is as it was."
