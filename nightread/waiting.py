"""Waiting for work to be done, with a bar; at work ourselves where nobody else is."""

import time

from sqlalchemy import func, select

from nightread import console, crew
from nightread.crew import Member
from nightread.house import House
from pipeline import jobs, labelling, status
from pipeline.errors import NightreadError
from pipeline.names import JobKind
from pipeline.tables import Job, JobState

LOOK_SECONDS = 0.5


class NotDone(NightreadError):
    """What was waited for did not come about."""


def for_pulls(house: House, names: list[str]) -> None:
    """Wait for the feeds' newest pulls, at work ourselves if nobody is. Raises `NotDone` saying why one failed."""
    newest = select(func.max(Job.id)).where(Job.kind == JobKind.PULL, Job.feed.in_(names)).group_by(Job.feed)
    with (
        crew.someone_at_work(house, Member.SCHEDULER, Member.INTAKE) as look_after,
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
                note = "; ".join(counts(row.outcome) for row in rows if row.state == JobState.RUNNING and row.outcome)
                outcomes = [f"{row.feed}: {counts(row.outcome or {})}" for row in done]
            shown.update(len(done), note=note)
            if len(done) == len(names):
                break
            look_after()
            time.sleep(LOOK_SECONDS)
    for line in outcomes:
        console.out.print(line, markup=False)


def for_labels(house: House) -> None:
    """Wait until every label job is finished, at work ourselves if nobody is. Raises `NotDone` if nothing can serve."""
    most = 0
    with (
        crew.someone_at_work(house, Member.SCHEDULER, Member.LABEL) as look_after,
        console.tracked("labelling reports") as shown,
    ):
        while True:
            with house.sessions.begin() as session:
                left = jobs.unfinished_reports(session)
                waits = status.waiting(session)
                serves = labelling.serving(session) is not None
            most = max(most, left)
            shown.update(most - left, total=most, note=f"waiting: {waits[0]}" if waits else "")
            if left == 0:
                break
            if not serves:
                raise NotDone("no model serves yet, so nothing can be labelled; run `nightread train … --promote`")
            look_after()
            time.sleep(LOOK_SECONDS)
    with house.sessions.begin() as session:
        now = status.read(session, runs=0)
    console.out.print(f"{now.labelled} labelled, {now.dead} dead-lettered, {now.withdrawn} withdrawn.")


def counts(outcome: dict[str, int]) -> str:
    """An outcome in words, e.g. "160 new, 2 skipped"."""
    return ", ".join(f"{count} {what}" for what, count in outcome.items()) or "nothing new"
