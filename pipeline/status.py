"""Where everything stands, in the words of `nightread status`."""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from pipeline import labelling
from pipeline.names import JobKind
from pipeline.tables import Job, JobState, ModelVersion, Quarantine, SkippedCount


@dataclass(frozen=True)
class Run:
    """One pull."""

    feed: str
    state: str
    started_at: datetime | None
    finished_at: datetime | None
    counts: dict[str, int]
    error: str | None


@dataclass(frozen=True)
class Model:
    """The model that serves."""

    version: int
    foundation: str
    promoted_at: datetime | None
    labels: int


@dataclass(frozen=True)
class Status:
    """Current report versions: received = labelled + pending + dead + withdrawn."""

    received: int
    labelled: int
    pending: int
    dead: int
    withdrawn: int
    stale: int
    quarantined: int
    skipped: int
    model: Model | None
    jobs_ready: int
    jobs_running: int
    waiting: list[str]
    runs: list[Run]

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def read(session: Session, *, runs: int = 5) -> Status:
    """The state of the house; work that goes on meanwhile may show in one figure and not yet in another."""
    totals = session.execute(
        text(
            "SELECT coalesce(sum(received), 0)::bigint, coalesce(sum(labelled), 0)::bigint, "
            "coalesce(sum(pending), 0)::bigint, coalesce(sum(dead), 0)::bigint, "
            "coalesce(sum(withdrawn), 0)::bigint, coalesce(sum(stale), 0)::bigint FROM completeness"
        )
    ).one()
    received, labelled, pending, dead, withdrawn, stale = totals
    counted = session.execute(
        select(Job.state, func.count().label("jobs"))
        .where(Job.state.in_([JobState.READY, JobState.RUNNING]))
        .group_by(Job.state)
    )
    open_jobs = {row.state: row.jobs for row in counted}
    return Status(
        received=received,
        labelled=labelled,
        pending=pending,
        dead=dead,
        withdrawn=withdrawn,
        stale=stale,
        quarantined=session.scalar(select(func.count()).select_from(Quarantine)) or 0,
        skipped=int(session.scalar(select(func.coalesce(func.sum(SkippedCount.records), 0))) or 0),
        model=_model(session),
        jobs_ready=open_jobs.get(JobState.READY, 0),
        jobs_running=open_jobs.get(JobState.RUNNING, 0),
        waiting=waiting(session),
        runs=_runs(session, runs),
    )


def _model(session: Session) -> Model | None:
    serving = labelling.serving(session)
    if serving is None:
        return None
    version = session.get_one(ModelVersion, serving.id)
    return Model(version.id, version.foundation, version.promoted_at, len(serving.labels))


def waiting(session: Session) -> list[str]:
    """Why jobs wait for their environment, each reason once."""
    return list(
        session.scalars(
            select(Job.error)
            .where(Job.state == JobState.READY, Job.waits > 0, Job.error.is_not(None))
            .distinct()
            .order_by(Job.error)
        )
    )


def _runs(session: Session, runs: int) -> list[Run]:
    rows = session.scalars(select(Job).where(Job.kind == JobKind.PULL).order_by(Job.id.desc()).limit(runs))
    return [
        Run(row.feed or "", row.state, row.claimed_at, row.finished_at, row.outcome or {}, row.error) for row in rows
    ]
