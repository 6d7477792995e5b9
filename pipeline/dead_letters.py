"""Work that was given up: what it is and how it came to that, and the two ways to end it, again or never.

A label job's dead letter is one report, which one model could not read. Another model's promotion reads it
anyway; what is decided here is about the model that failed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ARRAY, BigInteger, RowMapping, func, literal, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from pipeline import events, jobs, labelling, promotions
from pipeline.errors import NightreadError
from pipeline.labelling import LabelRules
from pipeline.names import EventKind, FailureCause, JobKind
from pipeline.tables import Job, JobState


class NoDeadLetter(NightreadError):
    """No such job, or one that is not given up."""


@dataclass(frozen=True)
class DeadLetter:
    """A job that was given up. `settled`: its report needs it no more, or nobody wants it done (`dropped`)."""

    job: int
    kind: JobKind
    state: JobState
    feed: str | None
    report: int | None
    reason: str | None
    model: int | None
    failures: int
    since: datetime | None
    settled: bool


@dataclass(frozen=True)
class Failure:
    """An attempt that failed, at the letter's own job or at one that it was split from. `reports`: in that job."""

    job: int
    at: datetime
    cause: FailureCause
    reason: str
    worker: str | None
    model: int | None
    reports: int


@dataclass(frozen=True)
class Decision:
    """What somebody decided about a dead letter."""

    what: EventKind
    at: datetime
    by: str | None
    note: str | None


@dataclass(frozen=True)
class Retried:
    """Jobs that are ready again, and by job those that need no retry, with the open job that does the same work."""

    ready: tuple[int, ...]
    overtaken: dict[int, int | None]


# The view dead_letters knows nothing of those that were dropped; nobody wants these done, so they are settled.
# Failures are counted for all letters in one pass: one by one, the planner reads every failure for each of them.
_LETTERS = """
    SELECT j.id AS job, j.kind, j.state, j.feed, one.report_id AS report, j.error AS reason,
           j.model_version_id AS model, j.finished_at AS since,
           coalesce(history.failures, 0) AS failures,
           coalesce(dead.settled, true) AS settled
    FROM job j
    LEFT JOIN LATERAL unnest(j.report_ids) AS one (report_id) ON true
    LEFT JOIN dead_letters dead ON dead.job = j.id
    LEFT JOIN (
        SELECT dead_letter, count(*) AS failures FROM dead_letter_history GROUP BY dead_letter
    ) history ON history.dead_letter = j.id
"""
_ALL = text(f"{_LETTERS} WHERE j.state = :state ORDER BY j.id")
_ONE = text(f"{_LETTERS} WHERE j.state IN ('dead', 'dropped') AND j.id = :job")
# Why a letter that was overtaken is dropped and not retried.
OVERTAKEN = "another job does the same work"


def letters(session: Session, *, state: JobState = JobState.DEAD) -> list[DeadLetter]:
    """Dead letters, the oldest first; with `state` dropped those that were dropped."""
    return [_letter(row) for row in session.execute(_ALL, {"state": state}).mappings()]


def given_up(session: Session, kind: JobKind | None = None) -> list[int]:
    """Jobs that are dead letters, the oldest first: all of them, or those of one kind."""
    wanted = select(Job.id).where(Job.state == JobState.DEAD).order_by(Job.id)
    return list(session.scalars(wanted if kind is None else wanted.where(Job.kind == kind)))


def letter(session: Session, job_id: int) -> DeadLetter:
    """One dead letter, dropped or not. Raises `NoDeadLetter`."""
    row = session.execute(_ONE, {"job": job_id}).mappings().first()
    if row is None:
        raise _no_dead_letter(session, job_id)
    return _letter(row)


def failures(session: Session, job_id: int) -> list[Failure]:
    """Every failed attempt that led to a dead letter, in order."""
    rows = session.execute(
        text(
            "SELECT job, failed_at AS at, cause, reason, worker, model_version AS model, reports "
            "FROM dead_letter_history WHERE dead_letter = :job ORDER BY failure"
        ),
        {"job": job_id},
    ).mappings()
    return [Failure(**{**row, "cause": FailureCause(row["cause"])}) for row in rows]


def decisions(session: Session, job_id: int) -> list[Decision]:
    """What people decided about a dead letter, in order."""
    rows = session.execute(
        text(
            "SELECT kind, occurred_at, payload ->> 'by' AS by, payload ->> 'note' AS note FROM event "
            "WHERE kind IN (:retried, :dropped) AND payload -> 'job_ids' @> to_jsonb(CAST(:job AS bigint)) ORDER BY id"
        ),
        {"retried": EventKind.DEAD_LETTER_RETRIED, "dropped": EventKind.DEAD_LETTER_DROPPED, "job": job_id},
    )
    return [Decision(EventKind(row.kind), row.occurred_at, row.by, row.note) for row in rows]


def retry(session: Session, job_ids: Sequence[int], *, by: str, rules: LabelRules, note: str | None = None) -> Retried:
    """Give jobs that were given up fresh attempts, dropped ones too. Raises `NoDeadLetter` for any other job.

    Where an open job does the same work, say a pull that somebody asked for since, the letter is dropped. A report
    that the model which serves has given up as well, since, is read again only if that letter is retried with this
    one: it is, and is named with the others.
    """
    promotions.keep_out(session)
    labelling.one_at_a_time(session)  # whoever enqueues several keys does it alone, or two could wait for each other
    wanted = {*job_ids, *_of_what_serves(session, job_ids)}
    ready, overtaken = [], {}
    for job in _given_up(session, sorted(wanted), JobState.DEAD, JobState.DROPPED):
        try:
            with session.begin_nested():
                job.state, job.attempts, job.max_attempts = JobState.READY, 0, rules.attempts
                job.waits, job.not_before, job.finished_at = 0, func.now(), None
                session.flush()
            ready.append(job.id)
            jobs.notify(session, job.kind)
        except IntegrityError:  # the same work is never open twice
            same = select(Job.id).where(Job.key == job.key, Job.state.in_([JobState.READY, JobState.RUNNING]))
            overtaken[job.id] = session.scalar(same)
            # No model has given up on that work now, or the job that is to do it would leave the report out.
            job.state, job.model_version_id = JobState.DROPPED, None
    if ready:
        events.publish(session, events.DeadLetterRetried(tuple(ready), by, note), rules=rules)
    if overtaken:
        events.publish(session, events.DeadLetterDropped(tuple(overtaken), by, OVERTAKEN), rules=rules)
    return Retried(tuple(ready), overtaken)


def drop(session: Session, job_ids: Sequence[int], *, by: str, rules: LabelRules, note: str | None = None) -> None:
    """Decide that dead letters are not to be done. Raises `NoDeadLetter` for any other job.

    Their reports stay counted as dead, and the model that failed on them does not get them again; the next does.
    """
    dead = _given_up(session, job_ids, JobState.DEAD)
    for job in dead:
        job.state = JobState.DROPPED
    if dead:
        events.publish(session, events.DeadLetterDropped(tuple(job.id for job in dead), by, note), rules=rules)


def _of_what_serves(session: Session, job_ids: Sequence[int]) -> Sequence[int]:
    """Letters of the model that serves, dropped ones too, for the reports that these jobs are about."""
    reports = list(session.scalars(select(func.unnest(Job.report_ids)).where(Job.id.in_(job_ids))))
    return session.scalars(
        select(Job.id).where(
            Job.state.in_([JobState.DEAD, JobState.DROPPED]),
            Job.report_ids.op("&&")(literal(reports, ARRAY(BigInteger))),
            Job.model_version_id == promotions.serving_id(session),
        )
    ).all()


def _given_up(session: Session, job_ids: Sequence[int], *states: JobState) -> Sequence[Job]:
    """These jobs, locked, in order of their ids; all of them must be in one of these states."""
    found = session.scalars(select(Job).where(Job.id.in_(job_ids)).order_by(Job.id).with_for_update()).all()
    fitting = [job for job in found if job.state in states]
    for job_id in job_ids:
        if job_id not in {job.id for job in fitting}:
            raise _no_dead_letter(session, job_id)
    return fitting


def _no_dead_letter(session: Session, job_id: int) -> NoDeadLetter:
    state = session.scalar(select(Job.state).where(Job.id == job_id))
    what = f"job {job_id} is {state}, no dead letter" if state else f"there is no job {job_id}"
    return NoDeadLetter(f"{what}; `nightread dead-letters list` shows those there are")


def _letter(row: RowMapping) -> DeadLetter:
    return DeadLetter(**{**row, "kind": JobKind(row["kind"]), "state": JobState(row["state"])})
