"""A job's life: enqueued, claimed under a lease, finished, given back, split or dead-lettered.

Every function works in the caller's transaction. A claim raises the job's epoch; whatever is written for a
job afterwards checks that epoch, so a worker that lost its lease writes nothing.
"""

import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, func, literal, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from pipeline import promotions
from pipeline.errors import NightreadError
from pipeline.names import FailureCause, JobKind
from pipeline.settings import Settings
from pipeline.tables import Job, JobFailure, JobState

# PostgreSQL's NOTIFY channel: wakes the scheduler. A lost notification is made good by its next poll.
CHANNEL = "nightread_jobs"

FRESH, RELABEL = 0, 10


class LeaseLost(NightreadError):
    """Another worker has this job by now; nothing may be written for it."""


@dataclass(frozen=True)
class Claim:
    """A job as its present holder sees it."""

    id: int
    kind: JobKind
    epoch: int
    attempts: int
    max_attempts: int
    feed: str | None
    report_ids: tuple[int, ...]
    priority: int

    @classmethod
    def of(cls, job: Job | Row[*tuple[Any, ...]]) -> "Claim":
        return cls(
            id=job.id,
            kind=JobKind(job.kind),
            epoch=job.epoch,
            attempts=job.attempts,
            max_attempts=job.max_attempts,
            feed=job.feed,
            report_ids=tuple(job.report_ids),
            priority=job.priority,
        )


@dataclass(frozen=True)
class Terms:
    """How long a lease lasts, and how long a failed environment is waited for."""

    lease: timedelta
    first_wait: timedelta
    longest_wait: timedelta

    @classmethod
    def of(cls, settings: Settings) -> "Terms":
        return cls(
            lease=timedelta(seconds=settings.lease_seconds),
            first_wait=timedelta(seconds=settings.wait_seconds),
            longest_wait=timedelta(seconds=settings.longest_wait_seconds),
        )


def wait(waits: int, terms: Terms) -> timedelta:
    """How long to wait after the environment failed `waits` times in a row (1, 2, …): doubling, bounded."""
    doubled: timedelta = terms.first_wait * 2 ** min(waits - 1, 20)
    return min(doubled, terms.longest_wait)


def halves(report_ids: Sequence[int]) -> list[list[int]]:
    """The two halves of a job whose work failed; one report has none and is dead-lettered."""
    if len(report_ids) < 2:
        return []
    middle = (len(report_ids) + 1) // 2
    return [list(report_ids[:middle]), list(report_ids[middle:])]


def spent(*, attempts: int, max_attempts: int, reports: int, cause: FailureCause) -> bool:
    """Whether a job that failed has had all its tries.

    A report alone is given up for silence only at the second attempt, even where it has one (a half has): what
    killed its worker may have been something else, and no half is left to tell. One that does kill its worker
    costs one worker more.
    """
    if cause is FailureCause.SILENCE and reports == 1:
        return attempts >= max(max_attempts, 2)
    return attempts >= max_attempts


def enqueue(
    session: Session,
    kind: JobKind,
    *,
    key: str,
    max_attempts: int,
    feed: str | None = None,
    report_ids: Sequence[int] = (),
    priority: int = FRESH,
    scheduled_at: datetime | None = None,
    parent_id: int | None = None,
) -> int | None:
    """Add a job; None if one with this key is open already."""
    job_id = session.scalar(
        insert(Job)
        .values(
            kind=kind,
            key=key,
            parent_id=parent_id,
            feed=feed,
            report_ids=list(report_ids),
            scheduled_at=scheduled_at,
            priority=priority,
            max_attempts=max_attempts,
        )
        .on_conflict_do_nothing(index_elements=["key"], index_where=text("state IN ('ready', 'running')"))
        .returning(Job.id)
    )
    notify(session, kind)
    return job_id


def enqueue_labels(session: Session, parts: Mapping[str, Sequence[int]], *, max_attempts: int, priority: int) -> None:
    """Add a label job for each part, by its key, in one statement; whichever is open already stays as it is."""
    if not parts:
        return
    rows = [
        {
            "kind": JobKind.LABEL,
            "key": key,
            "report_ids": list(part),
            "priority": priority,
            "max_attempts": max_attempts,
        }
        for key, part in parts.items()
    ]
    session.execute(
        insert(Job).on_conflict_do_nothing(index_elements=["key"], index_where=text("state IN ('ready', 'running')")),
        rows,
    )
    notify(session, JobKind.LABEL)


def claim(session: Session, kind: JobKind, *, worker: str, terms: Terms) -> Claim | None:
    """The next job of its kind, now held under a lease by Postgres's clock; None if nothing is ready."""
    reap(session)
    next_id = (
        select(Job.id)
        .where(Job.kind == kind, Job.state == JobState.READY, Job.not_before <= func.now())
        .order_by(Job.priority, Job.id)
        .limit(1)
        .with_for_update(skip_locked=True)
        .scalar_subquery()
    )
    row = session.execute(
        update(Job)
        .where(Job.id == next_id)
        .values(
            state=JobState.RUNNING,
            epoch=Job.epoch + 1,
            attempts=Job.attempts + 1,
            lease_until=func.now() + terms.lease,
            claimed_at=func.now(),
            worker=worker,
        )
        .returning(
            Job.id,
            Job.kind,
            Job.epoch,
            Job.attempts,
            Job.max_attempts,
            Job.feed,
            Job.report_ids,
            Job.priority,
        )
    ).one_or_none()
    if row is None:
        return None
    return Claim.of(row)


def renew(session: Session, held: Claim, terms: Terms) -> None:
    """Prolong the lease. Raises `LeaseLost` if someone else has the job."""
    _write(session, held, lease_until=func.now() + terms.lease)


def came_on(session: Session, held: Claim, terms: Terms) -> None:
    """Renew the lease of work that need not be done again, however this attempt ends: its attempts begin anew."""
    _write(session, held, attempts=1, lease_until=func.now() + terms.lease)


def report_outcome(session: Session, held: Claim, outcome: dict[str, Any], terms: Terms) -> None:
    """Renew the lease and say how far the job has come; raises `LeaseLost` if someone else has it."""
    _write(session, held, outcome=outcome, lease_until=func.now() + terms.lease)


def outcome_so_far(session: Session, held: Claim) -> dict[str, Any]:
    """What earlier attempts at the job reported."""
    return session.scalars(select(Job.outcome).where(Job.id == held.id)).one() or {}


def read_with(session: Session, held: Claim, model_version_id: int) -> None:
    """Note which model this claim reads with: a report may be poison to one model and not to the next."""
    _write(session, held, model_version_id=model_version_id)


def finish(session: Session, held: Claim, outcome: dict[str, Any]) -> None:
    """The work is done; `outcome` holds counts. Raises `LeaseLost` if someone else has the job."""
    _write(
        session,
        held,
        state=JobState.DONE,
        lease_until=None,
        finished_at=func.now(),
        outcome=outcome,
        waits=0,
        error=None,
    )


def give_back(session: Session, held: Claim, reason: str, terms: Terms) -> None:
    """The environment failed, not the work: the attempt does not count, and the job waits, longer each time."""
    waits = session.scalars(select(Job.waits).where(Job.id == held.id)).one() + 1
    _write(
        session,
        held,
        state=JobState.READY,
        lease_until=None,
        attempts=func.greatest(Job.attempts - 1, 0),
        waits=min(waits, 1000),
        not_before=func.now() + wait(waits, terms),
        error=reason,
    )
    # A share that is away for days fails every few minutes: the history keeps the first of a series, `waits` counts.
    last = session.execute(
        select(JobFailure.cause, JobFailure.reason)
        .where(JobFailure.job_id == held.id)
        .order_by(JobFailure.id.desc())
        .limit(1)
    ).one_or_none()
    if last is None or tuple(last) != (FailureCause.ENVIRONMENT, reason):
        _remember(session, held, FailureCause.ENVIRONMENT, reason)


def worker_name(process: int) -> str:
    """Host and process, as a claim records who holds it."""
    return f"{socket.gethostname()}:{process}"


def give_back_all_of(session: Session, workers: Sequence[str]) -> None:
    """Give back the jobs of workers that are known to be dead, and not by their work. The attempt does not count."""
    session.execute(
        update(Job)
        .where(Job.state == JobState.RUNNING, Job.worker.in_(workers))
        .values(state=JobState.READY, lease_until=None, attempts=Job.attempts - 1, epoch=Job.epoch + 1)
    )


def fail(session: Session, held: Claim, reason: str, *, cause: FailureCause = FailureCause.WORK) -> None:
    """The work failed: try again, or at the limit split the job, or dead-letter its one report.

    What fails on a model that serves no more is not given up: the one that serves has tries of its own.
    """
    promotions.keep_out(session)
    parts = halves(held.report_ids)
    if not spent(attempts=held.attempts, max_attempts=held.max_attempts, reports=len(held.report_ids), cause=cause):
        _write(session, held, state=JobState.READY, lease_until=None, error=reason)
        notify(session, held.kind)
    elif not parts and _its_model_was_replaced(session, held):
        _write(session, held, state=JobState.READY, lease_until=None, attempts=0, error=reason)
        notify(session, held.kind)
    elif not parts:
        _write(session, held, state=JobState.DEAD, lease_until=None, finished_at=func.now(), error=reason)
    else:
        _write(
            session,
            held,
            state=JobState.DONE,
            lease_until=None,
            finished_at=func.now(),
            outcome={"split": len(parts)},
            error=reason,
        )
        _enqueue_halves(session, held, parts)
    _remember(session, held, cause, reason)


def _its_model_was_replaced(session: Session, held: Claim) -> bool:
    read_with = session.scalar(select(Job.model_version_id).where(Job.id == held.id))
    return read_with is not None and read_with != promotions.serving_id(session)


def _enqueue_halves(session: Session, held: Claim, parts: Sequence[list[int]]) -> None:
    for part in parts:
        # One attempt each: the whole has used up its own, and the poison report is among one of them.
        enqueue(
            session,
            held.kind,
            key=f"half:{held.id}:{part[0]}",
            max_attempts=1,
            report_ids=part,
            priority=held.priority,
            parent_id=held.id,
        )


def _remember(session: Session, held: Claim, cause: FailureCause, reason: str) -> None:
    """A row for the job's history: this attempt, by whom and with which model."""
    attempt = select(Job.id, Job.epoch, literal(cause.value), literal(reason), Job.worker, Job.model_version_id).where(
        Job.id == held.id
    )
    columns = ["job_id", "epoch", "cause", "reason", "worker", "model_version_id"]
    session.execute(insert(JobFailure).from_select(columns, attempt))


def reap(session: Session) -> None:
    """Free the jobs whose worker fell silent; at the limit that counts as failed work, since it may kill workers."""
    silent = session.scalars(
        select(Job).where(Job.state == JobState.RUNNING, Job.lease_until < func.now()).with_for_update(skip_locked=True)
    ).all()
    for job in silent:
        fail(session, Claim.of(job), f"its worker {job.worker} fell silent", cause=FailureCause.SILENCE)


def wake(session: Session, kind: JobKind) -> None:
    """Let waiting jobs of a kind go now: what they waited for has come."""
    waiting = select(Job.id).where(Job.kind == kind, Job.state == JobState.READY)
    session.execute(
        update(Job)
        # One that is locked is being claimed. Its claim may wait for a rollback that wakes; that must not wait for it.
        .where(Job.id.in_(waiting.with_for_update(skip_locked=True)))
        .values(not_before=func.now(), waits=0)
    )
    notify(session, kind)


def notify(session: Session, kind: str) -> None:
    """Wake the scheduler when the caller commits: there is work of this kind."""
    session.execute(select(func.pg_notify(CHANNEL, kind)))


def ready(session: Session) -> dict[JobKind, int]:
    """How many jobs of each kind could be claimed now, silent workers' jobs included."""
    rows = session.execute(
        select(Job.kind, func.count())
        .where(
            or_(
                (Job.state == JobState.READY) & (Job.not_before <= func.now()),
                (Job.state == JobState.RUNNING) & (Job.lease_until < func.now()),
            )
        )
        .group_by(Job.kind)
    ).all()
    return {JobKind(kind): count for kind, count in rows}


def unfinished_reports(session: Session) -> int:
    """How many reports are in jobs that are ready, waiting or running."""
    reports = func.coalesce(func.sum(func.cardinality(Job.report_ids)), 0)
    return int(session.scalars(select(reports).where(Job.state.in_([JobState.READY, JobState.RUNNING]))).one())


def _write(session: Session, held: Claim, **values: Any) -> None:
    written = session.scalar(
        update(Job)
        .where(Job.id == held.id, Job.epoch == held.epoch, Job.state == JobState.RUNNING)
        .values(**values)
        .returning(literal(1))
        .execution_options(synchronize_session=False)
    )
    if written is None:
        raise LeaseLost(f"job {held.id} went to another worker; this one's result is dropped")
