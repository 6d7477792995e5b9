"""Which reports want labels, and from which model: the work behind every label job."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from pipeline import jobs, promotions
from pipeline.settings import Relabel, Settings
from pipeline.tables import Label, ModelVersion

RECONCILE_LOCK = 0x7265636F6E


@dataclass(frozen=True)
class LabelRules:
    """How label jobs are cut (reports per job, and tries before one is split), and which past reports a new model
    reads again: all, or those of studies `relabel_since` a day; `date.max` is none.
    """

    reports: int
    attempts: int
    relabel_since: date | None = None

    @classmethod
    def of(cls, settings: Settings) -> "LabelRules":
        since = {Relabel.ALL: None, Relabel.NONE: date.max}
        relabel = settings.relabel
        return cls(
            reports=settings.label_job_size,
            attempts=settings.attempts,
            relabel_since=since[relabel] if isinstance(relabel, Relabel) else relabel,
        )


@dataclass(frozen=True)
class ServingModel:
    """The model that labels now. `label_ids` and `thresholds` follow the artifact's own order of labels."""

    id: int
    artifact: str
    artifact_sha256: str
    labels: tuple[str, ...]
    label_ids: tuple[int, ...]
    thresholds: tuple[float, ...]


def serving(session: Session) -> ServingModel | None:
    """The production version with the highest serving rank; None before the first promotion."""
    version_id = promotions.serving_id(session)
    return None if version_id is None else described(session, session.get_one(ModelVersion, version_id))


def serving_while_writing(session: Session) -> ServingModel | None:
    """The serving model, which stays the same until the caller commits.

    A promotion enqueues whatever its model has yet to read. It must see the labels written here, or be seen.
    """
    promotions.keep_out(session)
    return serving(session)


def described(session: Session, version: ModelVersion) -> ServingModel:
    """A model version with its labels in order."""
    labels = session.execute(
        select(Label.id, Label.name).where(Label.label_set_id == version.label_set_id).order_by(Label.position)
    ).all()
    return ServingModel(
        id=version.id,
        artifact=version.artifact,
        artifact_sha256=version.artifact_sha256,
        labels=tuple(name for _, name in labels),
        label_ids=tuple(label_id for label_id, _ in labels),
        thresholds=tuple(version.thresholds),
    )


def enqueue(session: Session, report_ids: Sequence[int], *, rules: LabelRules, priority: int = jobs.FRESH) -> int:
    """Cut reports into label jobs; the number of jobs."""
    parts = {_key(part): part for part in _parts(report_ids, rules.reports)}
    jobs.enqueue_labels(session, parts, max_attempts=rules.attempts, priority=priority)
    return len(parts)


# Newest first: what arrived last night is what people look for in the morning.
LACKING = text(
    """
    SELECT s.report_id, s.state = 'pending' AS fresh
    FROM report_state s
    JOIN report r ON r.id = s.report_id
    WHERE (
        s.state = 'pending'
        OR (
            s.stale AND s.state = 'labelled' AND s.dead_job_id IS NULL
            AND (
                CAST(:since AS date) IS NULL
                OR coalesce(r.study_at, r.issued_at, r.received_at) >= CAST(:since AS date)
            )
        )
    )
      -- Hashed once; looking into every open job for every report would be quadratic.
      AND s.report_id NOT IN (
          SELECT unnest(j.report_ids) FROM job j WHERE j.kind = 'label' AND j.state IN ('ready', 'running')
      )
    ORDER BY s.report_id DESC
    """
)


def reconcile(session: Session, *, rules: LabelRules) -> int:
    """The guarantee: whatever lacks the label it should have gets a job. The number of reports enqueued.

    Reports without any label come before those whose label is merely stale. Two reconcilers wait for each
    other, so nothing is enqueued twice.
    """
    one_at_a_time(session)
    lacking = session.execute(LACKING, {"since": rules.relabel_since}).all()
    fresh = [row.report_id for row in lacking if row.fresh]
    stale = [row.report_id for row in lacking if not row.fresh]
    enqueue(session, fresh, rules=rules, priority=jobs.FRESH)
    enqueue(session, stale, rules=rules, priority=jobs.RELABEL)
    return len(lacking)


def one_at_a_time(session: Session) -> None:
    """Wait until nobody else enqueues what lacks a label, and let nobody until the caller commits."""
    session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": RECONCILE_LOCK})


HASTEN = text(
    """
    UPDATE job SET priority = :fresh
    WHERE id IN (
        SELECT j.id FROM job j
        WHERE j.kind = 'label' AND j.state = 'ready' AND j.priority > :fresh AND EXISTS (
            SELECT 1 FROM report_state s WHERE s.report_id = ANY (j.report_ids) AND s.state = 'pending'
        )
        FOR UPDATE OF j SKIP LOCKED  -- one that is locked is being claimed, and so comes soon enough
    )
    """
)


def hasten(session: Session) -> None:
    """After a rollback: jobs enqueued to relabel that now hold reports without any label come first."""
    session.execute(HASTEN, {"fresh": jobs.FRESH})


def _key(part: Sequence[int]) -> str:
    named = hashlib.sha256(",".join(map(str, part)).encode()).hexdigest()[:16]
    return f"label:{part[0]}:{named}"


def _parts(report_ids: Sequence[int], size: int) -> Iterator[list[int]]:
    for start in range(0, len(report_ids), size):
        yield list(report_ids[start : start + size])
