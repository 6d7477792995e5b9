"""Where everything stands, in the words of `nightread status`: did last night work, and what wants a look."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from shutil import disk_usage
from typing import Any

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from pipeline import labelling, refresh_history
from pipeline.settings import Settings
from pipeline.tables import (
    Job,
    JobState,
    ModelVersion,
    Quarantine,
    RefreshRun,
    RefreshState,
    SkippedCount,
    Stage,
)


class RunVerdict(StrEnum):
    """How a run went, all the way to its labels."""

    WORKED = "worked"
    NOTHING = "brought nothing"
    RUNNING = "running"
    LABELLING = "labelling"
    WAITING = "waiting"
    INCOMPLETE = "some reports failed"
    FAILED = "failed"


@dataclass(frozen=True)
class Run:
    """One pull, and what became of the reports it brought. `seconds`: from its start to its last label."""

    feed: str
    state: str
    asked_at: datetime
    scheduled_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    counts: dict[str, int]
    received: int
    labelled: int
    failed: int
    pending: int
    seconds: float | None
    verdict: RunVerdict
    error: str | None


@dataclass(frozen=True)
class Model:
    """The model that serves."""

    version: int
    foundation: str
    promoted_at: datetime | None
    labels: int
    gate_macro_f1: float | None


@dataclass(frozen=True)
class FeedHealth:
    """A feed as the view `feed_state` has it; `alert` is failed, waiting or brought-nothing."""

    feed: str
    paused_since: datetime | None
    last_done_at: datetime | None
    last_brought_at: datetime | None
    nights_without_reports: int
    alert: str | None


@dataclass(frozen=True)
class Disk:
    """Bytes: of the disk that holds the home, of the database, and of the model artifacts."""

    total: int
    free: int
    database: int
    models: int

    @property
    def used_share(self) -> float:
        return 1 - self.free / self.total


@dataclass(frozen=True)
class Missed:
    """A scheduled time that no clock has served."""

    schedule: str
    scheduled_at: datetime


@dataclass(frozen=True)
class UnsettledRefresh:
    """A refresh that is under way (`share`: of its stage), or one whose challenger waits for a person."""

    refresh: int
    state: str
    reason: str
    stage: str
    share: float | None
    seconds_left: float | None
    model_version: int | None
    undecided: tuple[str, ...]


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
    dead_letters: int
    waiting: list[str]
    feeds: list[FeedHealth]
    runs: list[Run]
    refresh: UnsettledRefresh | None = None

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
        .where(Job.state.in_([JobState.READY, JobState.RUNNING, JobState.DEAD]))
        .group_by(Job.state)
    )
    jobs = {row.state: row.jobs for row in counted}
    in_quarantine = select(func.count()).select_from(Quarantine).where(Quarantine.released_at.is_(None))
    return Status(
        received=received,
        labelled=labelled,
        pending=pending,
        dead=dead,
        withdrawn=withdrawn,
        stale=stale,
        quarantined=session.scalar(in_quarantine) or 0,
        skipped=int(session.scalar(select(func.coalesce(func.sum(SkippedCount.records), 0))) or 0),
        model=_model(session),
        jobs_ready=jobs.get(JobState.READY, 0),
        jobs_running=jobs.get(JobState.RUNNING, 0),
        dead_letters=jobs.get(JobState.DEAD, 0),
        waiting=waiting(session),
        feeds=_feeds(session),
        runs=_runs(session, runs),
        refresh=_refresh(session),
    )


def verdict(*, state: str, waits: bool, pending: int, failed: int, brought_nothing: bool) -> RunVerdict:
    """How a run went: the pull's own end first, then what became of the reports it brought."""
    match state:
        case JobState.DEAD | JobState.DROPPED:
            return RunVerdict.FAILED
        case JobState.RUNNING:
            return RunVerdict.RUNNING
        case JobState.READY:
            return RunVerdict.WAITING if waits else RunVerdict.RUNNING
    if brought_nothing:
        return RunVerdict.NOTHING
    if pending:
        return RunVerdict.LABELLING
    return RunVerdict.INCOMPLETE if failed else RunVerdict.WORKED


ALERTS = {
    "failed": "its last pull failed and was given up; see `nightread dead-letters list`",
    "waiting": "its last pull waits for its environment",
    "stuck": "a pull has been open for more than a day: does an intake worker run, can the folder be read?",
}


def alerts(now: Status, disk: Disk, *, missed: Sequence[Missed], fullest: float) -> list[str]:
    """What somebody should look at, worst first, each with the way on; empty if all is well."""
    found = [
        f"{one.schedule} was due at {one.scheduled_at:%Y-%m-%d %H:%M %Z} and nobody served it: "
        "is `nightread up`, or the scheduler, running?"
        for one in missed
    ]
    for feed in now.feeds:
        if feed.alert == "brought-nothing":
            found.append(_brought_nothing(feed, now.runs))
        elif feed.alert is not None:
            found.append(f"feed {feed.feed}: {ALERTS[feed.alert]}")
    found += [f"jobs wait: {reason}" for reason in now.waiting if now.model is not None]
    if now.dead_letters:
        found.append(f"{_jobs(now.dead_letters)} given up: `nightread dead-letters list` says why")
    if now.model is None and now.pending:
        found.append("no model serves, so nothing is labelled: `nightread train … --promote`")
    if now.refresh is not None and now.refresh.state == RefreshState.INCONCLUSIVE:
        found.append(_waits_for_a_person(now.refresh))
    if disk.used_share >= fullest:
        found.append(f"the disk is {disk.used_share:.0%} full: make room before the next night")
    return found


def _brought_nothing(feed: FeedHealth, runs: Sequence[Run]) -> str:
    nights = feed.nights_without_reports
    said = f"feed {feed.feed} brought nothing for {nights} night{'s' if nights > 1 else ''}: "
    counts = next((run.counts for run in runs if run.feed == feed.feed), {})
    left_out = {what: counts[what] for what in ("quarantined", "skipped") if counts.get(what)}
    if left_out:
        listed = " and ".join(f"{count} {what}" for what, count in left_out.items())
        return f"{said}of its last records {listed}; `nightread feeds check {feed.feed}` says why"
    return f"{said}does the hospital's export still run?"


def _waits_for_a_person(refresh: UnsettledRefresh) -> str:
    why = f", since its gates are inconclusive: {'; '.join(refresh.undecided)}" if refresh.undecided else ""
    return (
        f"model version {refresh.model_version}, of refresh {refresh.refresh}, waits for a person{why}; "
        f"`nightread models promote {refresh.model_version} --note WHY` lets it serve"
    )


def _jobs(count: int) -> str:
    return f"{count} jobs were" if count > 1 else "one job was"


def disk(session: Session, settings: Settings) -> Disk:
    """How full the disk of the home is, and what of it is ours."""
    used = disk_usage(_existing(settings.home))
    models = settings.models_folder
    return Disk(
        total=used.total,
        free=used.free,
        database=session.scalar(select(func.pg_database_size(func.current_database()))) or 0,
        models=sum(file.stat().st_size for file in models.rglob("*") if file.is_file()) if models.is_dir() else 0,
    )


def _existing(folder: Path) -> Path:
    return folder if folder.exists() else _existing(folder.parent)


def _model(session: Session) -> Model | None:
    serving = labelling.serving(session)
    if serving is None:
        return None
    version = session.get_one(ModelVersion, serving.id)
    gate = version.metrics.get("gate", {}).get("macro_f1")
    return Model(version.id, version.foundation, version.promoted_at, len(serving.labels), gate)


def _refresh(session: Session) -> UnsettledRefresh | None:
    """The newest refresh that did not just stop, if there is still something to be said of it."""
    stopped = (RefreshState.CANCELLED, RefreshState.FAILED)
    row = session.execute(
        select(RefreshRun, ModelVersion.stage)
        .outerjoin(ModelVersion, ModelVersion.id == RefreshRun.model_version_id)
        .where(RefreshRun.state.not_in(stopped))
        .order_by(RefreshRun.id.desc())
        .limit(1)
    ).one_or_none()
    if row is None:
        return None
    run, stage_of_challenger = row
    waits = run.state == RefreshState.INCONCLUSIVE and stage_of_challenger == Stage.CANDIDATE
    if run.state != RefreshState.OPEN and not waits:
        return None
    return UnsettledRefresh(
        refresh=run.id,
        state=run.state,
        reason=run.reason,
        stage=run.stage,
        share=(run.step or 0) / run.steps if run.steps else None,
        seconds_left=run.seconds_left,
        model_version=run.model_version_id,
        undecided=refresh_history.undecided(run.verdict),
    )


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


def _feeds(session: Session) -> list[FeedHealth]:
    rows = session.execute(
        text(
            "SELECT feed, paused_since, last_done_at, last_brought_at, nights_without_reports, alert "
            "FROM feed_state ORDER BY feed"
        )
    )
    return [FeedHealth(*row) for row in rows]


def _runs(session: Session, runs: int) -> list[Run]:
    rows = session.execute(
        text(
            "SELECT s.*, j.outcome, j.waits FROM run_summary s JOIN job j ON j.id = s.run "
            "ORDER BY s.run DESC LIMIT :runs"
        ),
        {"runs": runs},
    )
    return [
        Run(
            feed=row.feed or "",
            state=row.state,
            asked_at=row.due_at,
            scheduled_at=row.scheduled_at,
            started_at=row.started_at,
            finished_at=row.finished_at,
            counts=row.outcome or {},
            received=row.received,
            labelled=row.labelled,
            failed=row.failed,
            pending=row.pending,
            seconds=float(row.night_seconds) if row.night_seconds is not None else None,
            verdict=verdict(
                state=row.state,
                waits=row.waits > 0,
                pending=row.pending,
                failed=row.failed,
                brought_nothing=row.brought_nothing,
            ),
            error=row.error,
        )
        for row in rows
    ]
