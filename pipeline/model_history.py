"""What is known of each model version, for people and programs: stages, figures, thresholds, who and when."""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from pipeline import model_versions
from pipeline.names import EventKind
from pipeline.tables import Label, ModelVersion


@dataclass(frozen=True)
class Version:
    """A row of the view `model_history`, but for its kind."""

    version: int
    parent: int | None
    stage: str
    serving_rank: int | None
    serves: bool
    foundation: str
    label_set: str
    gate_macro_f1: float | None
    reports_labelled: int
    created_at: datetime
    created_by: str | None
    promoted_at: datetime | None
    promoted_by: str | None
    withdrawn_at: datetime | None
    withdrawn_by: str | None
    note: str | None


@dataclass(frozen=True)
class Change:
    """A promotion or a rollback that a version took part in. `serving` is the version that served from then on."""

    what: EventKind
    at: datetime
    by: str | None
    note: str | None
    serving: int


@dataclass(frozen=True)
class Details:
    """Everything about one version; thresholds by the label's English name, in label order."""

    version: Version
    artifact: str
    artifact_sha256: str
    thresholds: dict[str, float]
    metrics: dict[str, Any]
    settings: dict[str, Any]
    fitted_on: int
    children: tuple[int, ...]
    changes: tuple[Change, ...]

    def as_json(self) -> dict[str, Any]:
        flat = asdict(self)
        return {**flat.pop("version"), **flat}


_VERSIONS = """
    SELECT model_version AS version, parent, stage, serving_rank, serves, foundation, label_set, gate_macro_f1,
           reports_labelled, created_at, created_by, promoted_at, promoted_by, withdrawn_at, withdrawn_by,
           stage_note AS note
    FROM model_history
"""


def versions(session: Session) -> list[Version]:
    """All versions, the oldest first."""
    return [Version(**row) for row in session.execute(text(f"{_VERSIONS} ORDER BY model_version")).mappings()]


def details(session: Session, version_id: int) -> Details:
    """One version. Raises `UnknownModel`."""
    row = model_versions.get(session, version_id)
    shown = session.execute(text(f"{_VERSIONS} WHERE model_version = :version"), {"version": version_id})
    names = session.scalars(select(Label.name).where(Label.label_set_id == row.label_set_id).order_by(Label.position))
    fitted = "SELECT count(*) FROM fitted_on WHERE model_version_id = :version"
    children = select(ModelVersion.id).where(ModelVersion.parent_id == version_id).order_by(ModelVersion.id)
    return Details(
        version=Version(**shown.mappings().one()),
        artifact=row.artifact,
        artifact_sha256=row.artifact_sha256,
        thresholds=dict(zip(names, row.thresholds, strict=True)),
        metrics=row.metrics,
        settings=row.settings,
        fitted_on=session.execute(text(fitted), {"version": version_id}).scalar_one(),
        children=tuple(session.scalars(children)),
        changes=_changes(session, version_id),
    )


_CHANGES = text(
    """
    SELECT kind, occurred_at, payload ->> 'by' AS by, payload ->> 'note' AS note,
           coalesce(payload ->> 'serving_model_version_id', payload ->> 'model_version_id')::bigint AS serving
    FROM event, to_jsonb(CAST(:version AS bigint)) AS wanted
    WHERE kind = :promoted AND wanted IN (payload -> 'model_version_id', payload -> 'former_model_version_id')
       OR kind = :withdrawn
          AND (payload -> 'model_version_ids' @> wanted OR payload -> 'serving_model_version_id' = wanted)
    ORDER BY id
    """
)


def _changes(session: Session, version_id: int) -> tuple[Change, ...]:
    named = {"promoted": EventKind.MODEL_PROMOTED, "withdrawn": EventKind.MODEL_WITHDRAWN}
    rows = session.execute(_CHANGES, {**named, "version": version_id})
    return tuple(Change(EventKind(row.kind), row.occurred_at, row.by, row.note, row.serving) for row in rows)


def still_to_come(session: Session) -> tuple[int, int]:
    """How many current reports have no label yet, and how many show an older model's."""
    counted = text(
        "SELECT count(*) FILTER (WHERE state = 'pending'), "
        "count(*) FILTER (WHERE stale AND dead_job_id IS NULL) FROM report_state"
    )
    pending, stale = session.execute(counted).one()
    return pending, stale
