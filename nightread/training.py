"""Making and judging classifiers: annotations in, a registered model version or its figures out."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from models import calibration, metrics
from models.classifier import Classifier
from models.finetuning import TrainingStep, fine_tune
from nightread import console
from nightread.house import House
from pipeline import annotations, label_sets, labelling, model_versions
from pipeline.annotations import AnnotationFile
from pipeline.errors import NightreadError
from pipeline.model_versions import NewVersion
from pipeline.tables import Annotation, Split

# Reports per call when judging: few enough for a bar that moves.
CHUNK = 16


class NotJudged(NightreadError):
    """The annotations cannot judge this model."""


class NotPromoted(NightreadError):
    """The version is registered, but could not begin to serve."""


class NotTrained(NightreadError):
    """The annotations cannot make a model."""


@dataclass(frozen=True)
class Recipe:
    """What can be chosen about a training."""

    epochs: int
    seed: int
    learning_rate: float


@dataclass(frozen=True)
class Trained:
    """A registered version, and how it was made."""

    version: int
    reports: dict[Split, int]
    splits_kept: int
    gate: metrics.Evaluation | None


def train(house: House, file: AnnotationFile, foundation: str, recipe: Recipe, *, promote: bool) -> Trained:
    """Fit on train, set thresholds on calibration, judge on gate, register, and promote if asked.

    The artifact is complete before its version is registered, so an interrupted training leaves nothing
    that could be served.
    """
    with house.sessions.begin() as session:
        label_set = label_sets.for_names(session, file.labels)
        in_order = label_sets.names(session, label_set)
        kept = annotations.keep(session, _reordered(file, in_order), label_set_id=label_set)
        session.expunge_all()
    moved = sum(row.split != one.split for row, one in zip(file.rows, kept, strict=True))
    parts = {split: [one for one in kept if one.split == split] for split in Split}
    if not parts[Split.TRAIN]:
        raise NotTrained(f"none of the {len(kept)} annotations is in the split train; add more, or name their splits")
    folder = house.settings.models_folder
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder, prefix=".training-") as scratch:
        sha256 = _fit(foundation, Path(scratch) / "artifact", parts[Split.TRAIN], in_order, recipe)
        artifact = f"classifier-{datetime.now(UTC):%Y%m%d-%H%M%S}-{sha256[:8]}"
        (Path(scratch) / "artifact").rename(folder / artifact)
    classifier = Classifier.load(folder / artifact)
    thresholds = [0.5] * len(in_order)
    if parts[Split.CALIBRATION]:
        held = parts[Split.CALIBRATION]
        thresholds = calibration.thresholds(probabilities(classifier, _texts(held), "calibrating"), _truth(held))
    gate = None
    held = parts[Split.GATE]
    if any(any(one.labels) for one in held):  # without a single positive there is nothing to score
        gate = metrics.evaluate(probabilities(classifier, _texts(held), "judging"), _truth(held), thresholds)
    counts = {split: len(part) for split, part in parts.items()}
    with house.sessions.begin() as session:
        version = model_versions.register(
            session,
            NewVersion(
                foundation=Path(foundation).name if Path(foundation).exists() else foundation,
                artifact=artifact,
                artifact_sha256=sha256,
                label_set_id=label_set,
                thresholds=list(thresholds),
                metrics={"gate": {"macro_f1": gate.macro_f1, "reports": len(parts[Split.GATE])}} if gate else {},
                settings={
                    "epochs": recipe.epochs,
                    "seed": recipe.seed,
                    "learning_rate": recipe.learning_rate,
                    "reports": {str(split): count for split, count in counts.items()},
                },
                fitted_on=[one.id for one in (*parts[Split.TRAIN], *parts[Split.CALIBRATION])],
            ),
        )
    if promote:
        _promote(house, version)
    return Trained(version, counts, moved, gate)


@dataclass(frozen=True)
class Judged:
    """A version's figures: over all labels, and by label name."""

    version: int
    overall: metrics.Evaluation
    labels: dict[str, metrics.LabelScore]


def evaluate(house: House, file: AnnotationFile, version_id: int | None, *, include_fitted: bool) -> Judged:
    """Judge a version (default: the one that serves) with its own thresholds.

    Raises `NotJudged` if the labels differ from the model's, or if rows were used to make the model and
    `include_fitted` does not say that this is known.
    """
    with house.sessions.begin() as session:
        version = model_versions.serving_or(session, version_id)
        model = labelling.described(session, version)
        fitted = annotations.fitted_hashes(session, version.id)
    if set(file.labels) != set(model.labels):
        differing = sorted(set(file.labels) ^ set(model.labels))
        raise NotJudged(
            f"model {model.id} has {len(model.labels)} labels, the annotations have {len(file.labels)}; "
            f"only one of the two has: {', '.join(differing)}"
        )
    seen = sum(one.text_hash in fitted for one in file.rows)
    if seen and not include_fitted:
        raise NotJudged(
            f"model {model.id} was fitted on {seen} of these {len(file.rows)} reports, so its figures would flatter "
            "it; give reports it has not seen, or say --include-fitted"
        )
    rows = _reordered(file, model.labels)
    classifier = Classifier.load(house.settings.models_folder / model.artifact)
    if classifier.sha256 != model.artifact_sha256:
        raise NotJudged(f"the artifact {model.artifact} is not the one that model {model.id} registered")
    given = probabilities(classifier, [one.text for one in rows], "judging")
    truth = np.array([one.labels for one in rows], dtype=np.int8)
    overall = metrics.evaluate(given, truth, model.thresholds)
    return Judged(model.id, overall, dict(zip(model.labels, overall.labels, strict=True)))


def probabilities(classifier: Classifier, texts: Sequence[str], title: str) -> NDArray[np.float64]:
    """Probabilities (texts, labels), without heatmaps."""
    never = [2.0] * len(classifier.labels)
    rows: list[tuple[float, ...]] = []
    with console.tracked(title, total=len(texts)) as shown:
        for start in range(0, len(texts), CHUNK):
            part = classifier.predict(texts[start : start + CHUNK], thresholds=never, explain=False)
            rows += [prediction.probabilities for prediction in part]
            shown.update(len(rows))
    return np.array(rows, dtype=np.float64)


def _promote(house: House, version: int) -> None:
    """In a transaction of its own: a promotion that fails must not cost the training."""
    try:
        with house.sessions.begin() as session:
            model_versions.promote(session, version, sizes=house.sizes)
    except NightreadError as error:
        raise NotPromoted(
            f"model version {version} is trained and registered as a candidate, but it does not serve: {error}"
        ) from None


def _fit(foundation: str, out: Path, train_on: list[Annotation], labels: Sequence[str], recipe: Recipe) -> str:
    with console.tracked("training") as shown:

        def show(step: TrainingStep) -> None:
            note = f"epoch {step.epoch}/{step.epochs}, loss {step.loss:.4f}"
            shown.update(step.step, total=step.steps, note=note)

        return fine_tune(
            foundation,
            out,
            texts=_texts(train_on),
            labels=_truth(train_on),
            label_names=labels,
            epochs=recipe.epochs,
            seed=recipe.seed,
            learning_rate=recipe.learning_rate,
            on_step=show,
        )


def _texts(rows: Sequence[Annotation]) -> list[str]:
    return [one.text for one in rows]


def _truth(rows: Sequence[Annotation]) -> NDArray[np.int8]:
    return np.array([one.labels for one in rows], dtype=np.int8)


def _reordered(file: AnnotationFile, labels: Sequence[str]) -> list[annotations.Annotated]:
    """The file's rows with their labels in another order of the same names."""
    places = [file.labels.index(name) for name in labels]
    return [dataclasses.replace(one, labels=tuple(one.labels[place] for place in places)) for one in file.rows]
