"""Other thresholds for a model: a child version that shares its artifact, set by hand or calibrated anew."""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from nightread.house import House
from pipeline import annotations, labelling, model_versions
from pipeline.annotation_files import AnnotationFile
from pipeline.errors import NightreadError
from pipeline.labelling import ServingModel
from pipeline.model_versions import NewVersion
from pipeline.tables import Annotation, FittedOn, Label, Split


class UnusableThresholds(NightreadError):
    """These cannot be a version's thresholds."""


@dataclass(frozen=True)
class Made:
    """The child version. `changed` holds the old and the new threshold by label name."""

    version: int
    changed: dict[str, tuple[float, float]]
    calibrated_on: int
    gate_macro_f1: float | None


@dataclass(frozen=True)
class _Annotated:
    """Annotations in the split calibration and those in the split gate, labels in the model's order."""

    calibration: list[Annotation]
    gate: list[Annotation]


def make(
    house: House,
    version_id: int,
    *,
    chosen: Mapping[str, float],
    calibrate: bool,
    file: AnnotationFile | None,
    by: str,
) -> Made:
    """Register a candidate with other thresholds than `version_id` and the same artifact.

    To calibrate, or with a file of annotations, thresholds are set on those in the split calibration, and the
    result is judged on those in the split gate, as when a model is made; without a file all imported ones count.
    Thresholds that were `chosen`, by a label's name or column, stand above these. Raises `UnusableThresholds` if
    there is nothing to set them on, or nothing changes.
    """
    with house.sessions.begin() as session:
        parent = model_versions.get(session, version_id)
        model = labelling.described(session, parent)
        named = session.execute(select(Label.column_name, Label.name).where(Label.label_set_id == parent.label_set_id))
        columns = {row.column_name: row.name for row in named}
        fitted_on = set(session.scalars(select(FittedOn.annotation_id).where(FittedOn.model_version_id == version_id)))
        session.expunge_all()
    by_hand = {_label(name, model.labels, columns): _possible(name, value) for name, value in chosen.items()}
    thresholds = dict(zip(model.labels, model.thresholds, strict=True))
    metrics: dict[str, Any] = {}
    used: list[Annotation] = []
    if file is None and not calibrate:
        thresholds |= by_hand
    else:
        held = _annotated(house, model, parent.label_set_id, file)
        used = held.calibration
        thresholds, metrics = _calibrated(house, model, held, by_hand)
    before = dict(zip(model.labels, model.thresholds, strict=True))
    # Thresholds are stored in single precision, so what was calibrated once comes back a little different.
    changed = {
        name: (before[name], value)
        for name, value in thresholds.items()
        if not math.isclose(value, before[name], abs_tol=1e-6)
    }
    if not changed:
        raise UnusableThresholds(f"these are the thresholds that model version {version_id} has already")
    with house.sessions.begin() as session:
        version = model_versions.register(
            session,
            NewVersion(
                parent_id=version_id,
                foundation=parent.foundation,
                artifact=parent.artifact,
                artifact_sha256=parent.artifact_sha256,
                label_set_id=parent.label_set_id,
                thresholds=list(thresholds.values()),
                metrics=metrics,
                settings={
                    "thresholds": {name: {"from": old, "to": new} for name, (old, new) in changed.items()},
                    "by_hand": sorted(by_hand),
                    "reports": {str(Split.CALIBRATION): len(used)},
                },
                fitted_on=sorted(fitted_on | {one.id for one in used}),
                created_by=by,
            ),
        )
    return Made(version, changed, len(used), metrics["gate"]["macro_f1"] if metrics else None)


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


def _annotated(house: House, model: ServingModel, label_set_id: int, file: AnnotationFile | None) -> _Annotated:
    """Those of the file's annotations, or else of all imported, that thresholds may be set on or judged by."""
    if file is not None and set(file.labels) != set(model.labels):
        differing = sorted(set(file.labels) ^ set(model.labels))
        raise UnusableThresholds(
            f"model version {model.id} has {len(model.labels)} labels, the annotations have {len(file.labels)}; "
            f"only one of the two has: {', '.join(differing)}"
        )
    with house.sessions.begin() as session:
        if file is None:
            found = annotations.stored(session, label_set_id)
        else:
            found = annotations.keep(session, file.in_order(model.labels), label_set_id=label_set_id).annotations
        session.expunge_all()
    calibration = [one for one in found if one.split == Split.CALIBRATION]
    if not calibration:
        raise UnusableThresholds(
            f"none of the {len(found)} annotations is in the split calibration; import more, or name their splits"
        )
    return _Annotated(calibration, [one for one in found if one.split == Split.GATE])


def _calibrated(
    house: House, model: ServingModel, held: _Annotated, by_hand: Mapping[str, float]
) -> tuple[dict[str, float], dict[str, Any]]:
    """Thresholds by label and the metrics to store; empty if no gate report has a finding."""
    # Torch, which a threshold set by hand does not need.
    from models import calibration, metrics  # noqa: PLC0415
    from models.classifier import Classifier  # noqa: PLC0415
    from nightread.training import probabilities  # noqa: PLC0415

    classifier = Classifier.load(house.settings.models_folder / model.artifact)
    if classifier.sha256 != model.artifact_sha256:
        raise UnusableThresholds(f"the artifact {model.artifact} is not the one that model {model.id} registered")
    given = probabilities(classifier, [one.text for one in held.calibration], "calibrating")
    found = calibration.thresholds(given, [one.labels for one in held.calibration])
    thresholds = dict(zip(model.labels, found, strict=True)) | dict(by_hand)
    if not any(any(one.labels) for one in held.gate):  # without a single positive there is nothing to score
        return thresholds, {}
    given = probabilities(classifier, [one.text for one in held.gate], "judging")
    judged = metrics.evaluate(given, [one.labels for one in held.gate], list(thresholds.values()))
    return thresholds, {"gate": {"macro_f1": judged.macro_f1, "reports": len(held.gate)}}
