"""Waiting for work to be done, with a bar; at work ourselves where nobody else is."""

import time

from sqlalchemy import func, select

from nightread import console, crew
from nightread.console import Tracker
from nightread.house import House
from pipeline import jobs, status
from pipeline.errors import NightreadError
from pipeline.names import JobKind
from pipeline.status import Status
from pipeline.tables import Job, JobState

LOOK_SECONDS = 0.5


class NotDone(NightreadError):
    """What was waited for did not come about."""


def for_pulls(house: House, names: list[str]) -> None:
    """Wait for the feeds' newest pulls, at work ourselves if nobody is. Raises `NotDone` saying why one failed."""
    newest = select(func.max(Job.id)).where(Job.kind == JobKind.PULL, Job.feed.in_(names)).group_by(Job.feed)
    with (
        crew.at_work_unless_up(house) as at_work,
        console.tracked(f"pulling {', '.join(names)}", total=len(names)) as shown,
    ):
        while True:
            with house.sessions.begin() as session:
                rows = session.scalars(select(Job).where(Job.id.in_(newest))).all()
                for row in rows:
                    if row.state == JobState.DEAD or (row.state == JobState.READY and row.waits):
                        again = "it stays queued and is tried again" if row.waits else "pull again once it is mended"
                        raise NotDone(f"feed {row.feed} was not pulled: {row.error}; {again}")
                done = [row for row in rows if row.state == JobState.DONE]
                outcomes = [f"{row.feed}: {counts(row.outcome or {})}" for row in done]
            shown.update(len(done))
            if len(done) == len(names):
                break
            if at_work is not None:
                at_work.look_after()
            time.sleep(LOOK_SECONDS)
    for line in outcomes:
        console.out.print(line, markup=False)


def for_labels(house: House) -> None:
    """Wait until every label job is finished, at work ourselves if nobody is. Raises `NotDone` if nothing can serve."""
    with crew.at_work_unless_up(house) as at_work, console.tracked("labelling reports") as shown:
        while True:
            with house.sessions.begin() as session:
                now = status.read(session, runs=0)
                unfinished = jobs.unfinished(session, JobKind.LABEL)
            _show_labelling(shown, now)
            if unfinished == 0:
                break
            if now.model is None:
                raise NotDone("no model serves yet, so nothing can be labelled; run `nightread train … --promote`")
            if at_work is not None:
                at_work.look_after()
            time.sleep(LOOK_SECONDS)
    console.out.print(f"{now.labelled} labelled, {now.dead} dead-lettered, {now.withdrawn} withdrawn.")


def _show_labelling(shown: Tracker, now: Status) -> None:
    waiting = f"waiting: {now.waiting[0]}" if now.waiting else ""
    shown.update(now.labelled - now.stale, total=now.labelled + now.pending, note=waiting)


def counts(outcome: dict[str, int]) -> str:
    """An outcome in words, e.g. "160 new, 2 skipped"."""
    return ", ".join(f"{count} {what}" for what, count in outcome.items()) or "nothing new"
