"""The registry of models: registering a version, promoting it, and finding one again."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from pipeline import events, labelling
from pipeline.errors import NightreadError
from pipeline.tables import FittedOn, ModelVersion, Stage


class UnknownModel(NightreadError):
    """No such model version."""


@dataclass(frozen=True)
class NewVersion:
    """What is known of a model when it is registered."""

    foundation: str
    artifact: str
    artifact_sha256: str
    label_set_id: int
    thresholds: list[float]
    metrics: dict[str, Any]
    settings: dict[str, Any]
    fitted_on: list[int]


def register(session: Session, new: NewVersion) -> int:
    """Register a classifier as a candidate; its version number."""
    version = ModelVersion(
        kind="classifier",
        foundation=new.foundation,
        stage=Stage.CANDIDATE,
        artifact=new.artifact,
        artifact_sha256=new.artifact_sha256,
        label_set_id=new.label_set_id,
        thresholds=new.thresholds,
        metrics=new.metrics,
        settings=new.settings,
    )
    session.add(version)
    session.flush()
    session.add_all(FittedOn(model_version_id=version.id, annotation_id=one) for one in new.fitted_on)
    return version.id


def promote(session: Session, version_id: int, *, sizes: labelling.JobSizes) -> None:
    """Let a version serve from now on. Labels of former versions stay visible until its own have come."""
    labelling.hold_promotions(session)
    version = get(session, version_id)
    former = labelling.serving(session)
    if former is not None and former.id == version_id:
        return
    highest = session.scalar(select(func.max(ModelVersion.serving_rank))) or 0
    version.stage, version.serving_rank, version.promoted_at = Stage.PRODUCTION, highest + 1, func.now()
    session.flush()
    session.execute(text("SELECT generate_report_labels(:label_set)"), {"label_set": version.label_set_id})
    events.publish(session, events.ModelPromoted(version_id, former.id if former else None), sizes=sizes)


def get(session: Session, version_id: int) -> ModelVersion:
    """A version by number. Raises `UnknownModel`."""
    version = session.get(ModelVersion, version_id)
    if version is None:
        known = ", ".join(map(str, session.scalars(select(ModelVersion.id).order_by(ModelVersion.id))))
        raise UnknownModel(f"there is no model version {version_id}; known are: {known or 'none, train one first'}")
    return version


def serving_or(session: Session, version_id: int | None) -> ModelVersion:
    """The version asked for, or the one that serves. Raises `UnknownModel` if there is none."""
    if version_id is not None:
        return get(session, version_id)
    model = labelling.serving(session)
    if model is None:
        raise UnknownModel("no model serves yet; run `nightread train … --promote`")
    return get(session, model.id)
