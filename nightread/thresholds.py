"""Other thresholds for a model: a child version that shares its artifact, set by hand or calibrated anew."""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from nightread.house import House
from pipeline import annotations, labelling, model_versions, sites
from pipeline.annotation_files import AnnotationFile
from pipeline.errors import NightreadError
from pipeline.labelling import ServingModel
from pipeline.model_versions import NewVersion
from pipeline.sites import Parts
from pipeline.tables import FittedOn, Label, ModelVersion, Split

if TYPE_CHECKING:
    from nightread.site_scores import SiteScore


class UnusableThresholds(NightreadError):
    """These cannot be a version's thresholds."""


@dataclass(frozen=True)
class ChildVersion:
    """The child version. `changed` holds the old and the new threshold by label name, `calibrated_at` the sites whose
    annotations set them, `scores` what it comes to at every site.
    """

    version: int
    changed: dict[str, tuple[float, float]]
    calibrated_on: int
    calibrated_at: tuple[str, ...]
    gate_macro_f1: float | None
    scores: "list[SiteScore]"


@dataclass(frozen=True)
class _Calibrated:
    """Thresholds by label, on which annotations and at which sites they were set, and the figures that they give."""

    thresholds: dict[str, float]
    on: list[int]
    at: tuple[str, ...]
    metrics: dict[str, Any]
    scores: "list[SiteScore]"


def make(
    house: House,
    version_id: int,
    *,
    chosen: Mapping[str, float],
    calibrate: bool,
    file: AnnotationFile | None,
    by: str,
    only: Collection[str] = (),
) -> ChildVersion:
    """Register a candidate with other thresholds than `version_id` and the same artifact.

    To calibrate, or with a file of annotations, thresholds are set on those in the split calibration, and the
    result is judged on those in the split gate, as when a model is made; without a file all imported ones count.
    They are set at the sites that the version was fitted on, unless `only` names others, and judged at every site.
    Thresholds that were `chosen`, by a label's name or column, stand above these. Raises `UnusableThresholds` if
    nothing changes; `UnusableAnnotations` if labels differ; `UnusableSites` if there is nothing to set them on.
    """
    parent = _parent(house, version_id)
    model, row = parent.model, parent.row
    by_hand = {_label(name, model.labels, parent.columns): _possible(name, value) for name, value in chosen.items()}
    before = dict(zip(model.labels, model.thresholds, strict=True))
    calibrated = _Calibrated(before | by_hand, [], parent.calibrated_at, {}, [])
    if file is not None or calibrate:
        parts = _annotated(house, model, row.label_set_id, file, only=only, fitted=parent.fitted_at)
        calibrated = _calibrated(house, model, parts, by_hand)
    changed = _changed(before, calibrated.thresholds)
    if not changed:
        raise UnusableThresholds(f"these are the thresholds that model version {version_id} has already")
    with house.sessions.begin() as session:
        version = model_versions.register(
            session,
            NewVersion(
                parent_id=version_id,
                foundation=row.foundation,
                artifact=row.artifact,
                artifact_sha256=row.artifact_sha256,
                language_model=row.language_model,
                language_model_sha256=row.language_model_sha256,
                label_set_id=row.label_set_id,
                thresholds=list(calibrated.thresholds.values()),
                metrics=calibrated.metrics,
                settings={
                    "thresholds": {name: {"from": old, "to": new} for name, (old, new) in changed.items()},
                    "by_hand": sorted(by_hand),
                    "sites": sorted(parent.fitted_at),
                    "calibrated_at": list(calibrated.at),
                    "reports": {str(Split.CALIBRATION): len(calibrated.on)},
                },
                fitted_on=sorted(parent.fitted_on.union(calibrated.on)),
                created_by=by,
            ),
        )
    gate = calibrated.metrics.get("gate", {}).get("macro_f1")
    return ChildVersion(version, changed, len(calibrated.on), calibrated.at, gate, calibrated.scores)


@dataclass(frozen=True)
class _Parent:
    """The version that the new one shares all but its thresholds with, and what it was made from."""

    row: ModelVersion
    model: ServingModel
    columns: dict[str, str]  # label names by column name
    fitted_on: set[int]
    fitted_at: set[str]
    calibrated_at: tuple[str, ...]


def _parent(house: House, version_id: int) -> _Parent:
    with house.sessions.begin() as session:
        row = model_versions.get(session, version_id)
        named = session.execute(select(Label.column_name, Label.name).where(Label.label_set_id == row.label_set_id))
        found = _Parent(
            row=row,
            model=labelling.described(session, row),
            columns={one.column_name: one.name for one in named},
            fitted_on=set(
                session.scalars(select(FittedOn.annotation_id).where(FittedOn.model_version_id == version_id))
            ),
            fitted_at=annotations.fitted_sites(session, version_id, Split.TRAIN),
            calibrated_at=tuple(sorted(annotations.fitted_sites(session, version_id, Split.CALIBRATION))),
        )
        session.expunge_all()
    return found


def _label(name: str, labels: Collection[str], columns: Mapping[str, str]) -> str:
    if name in labels:
        return name
    if name in columns:
        return columns[name]
    raise UnusableThresholds(f"the model has no label {name!r}; it has: {', '.join(labels)}")


def _possible(name: str, value: float) -> float:
    if not 0 < value <= 1:
        raise UnusableThresholds(f"{name!r}: a threshold is a probability above 0 and at most 1, not {value:g}")
    return value


def _annotated(
    house: House,
    model: ServingModel,
    label_set_id: int,
    file: AnnotationFile | None,
    *,
    only: Collection[str],
    fitted: Collection[str],
) -> Parts:
    """Those of the file's annotations, or else of all imported, that thresholds may be set on or judged by.

    A file that thresholds cannot be set on is not imported either.
    """
    if file is not None:
        file.require_labels(model.labels, of=f"model version {model.id}")
    with house.sessions.begin() as session:
        if file is None:
            found = annotations.stored(session, label_set_id)
        else:
            found = annotations.keep(session, file.in_order(model.labels), label_set_id=label_set_id).annotations
        parts = sites.to_calibrate(
            found,
            sites=only,
            fitted=fitted,
            learnt_from=annotations.fitted_sites(session, model.id),
            seen=annotations.fitted_hashes(session, model.id),
        )
        session.expunge_all()
    return parts


def _calibrated(house: House, model: ServingModel, parts: Parts, by_hand: Mapping[str, float]) -> _Calibrated:
    # Torch, which a threshold set by hand does not need.
    from nightread import site_scores, training  # noqa: PLC0415
    from worker import classifiers  # noqa: PLC0415

    classifier = classifiers.load(house.settings.models_folder, model)
    found = training.calibrated(classifier, parts.calibration)
    thresholds = dict(zip(model.labels, found, strict=True)) | dict(by_hand)
    scores, gate = training.judge(classifier, list(thresholds.values()), parts)
    metrics = site_scores.as_metrics(scores, gate)
    return _Calibrated(thresholds, parts.fitted_on, parts.calibrated_at, metrics, scores)


def _changed(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, tuple[float, float]]:
    """The old and the new threshold of each label that has another now."""
    return {
        name: (before[name], value)
        for name, value in after.items()
        # They are stored in single precision, so what was calibrated once comes back a little different.
        if not math.isclose(value, before[name], abs_tol=1e-6)
    }
