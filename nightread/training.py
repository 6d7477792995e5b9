"""Making and judging classifiers: annotations in, a registered model version or its figures out."""

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from models import calibration, masked_lm, metrics
from models.classifier import Classifier
from models.errors import FoundationError
from models.finetuning import TrainingStep, fine_tune
from nightread import console, site_scores
from nightread.house import House
from nightread.site_scores import SiteScore
from pipeline import annotations, label_sets, labelling, model_versions, sites
from pipeline.annotation_files import AnnotationFile
from pipeline.errors import NightreadError
from pipeline.model_versions import NewVersion
from pipeline.sites import Parts
from pipeline.tables import Annotation, Split
from worker import classifiers


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
    """A registered version, and how it was made.

    `gate` scores it at the sites that it learnt from together; `scores` are those of every site, apart.
    """

    version: int
    labels: int
    parts: Parts
    splits_kept: int
    gate: metrics.Evaluation | None
    scores: list[SiteScore]


def train(
    house: House,
    file: AnnotationFile | None,
    foundation: str,
    recipe: Recipe,
    *,
    by: str,
    promote: bool,
    label_set_name: str | None = None,
    only: Collection[str] = (),
) -> Trained:
    """Fit on train, set thresholds on calibration, judge on gate site by site, register, and promote if asked.

    Without a file it is made from the annotations of a label set as they were imported. With sites in `only` it learns
    from nobody else's: the gates of all other sites are external. The artifact is complete before its version is
    registered, so an interrupted training leaves nothing that could be served. Raises `NotTrained` or `UnusableSites`
    if there is nothing to fit on; then a file is not imported either.
    """
    material = _material(house, file, label_set_name, only)
    parts = material.parts
    made = _fitted(house.settings.models_folder, foundation, recipe, material)
    classifier = Classifier.load(house.settings.models_folder / made.artifact)
    thresholds = calibrated(classifier, parts.calibration)
    scores, gate = judge(classifier, thresholds, parts)
    with house.sessions.begin() as session:
        version = model_versions.register(
            session,
            NewVersion(
                foundation=Path(foundation).name if Path(foundation).exists() else foundation,
                artifact=made.artifact,
                artifact_sha256=made.sha256,
                language_model=made.language_model,
                language_model_sha256=made.language_model_sha256,
                label_set_id=material.label_set_id,
                thresholds=thresholds,
                metrics=site_scores.as_metrics(scores, gate),
                settings={
                    **asdict(recipe),
                    "sites": list(parts.learnt_from),
                    "calibrated_at": list(parts.calibrated_at),
                    "reports": {str(split): count for split, count in parts.counts.items()},
                },
                fitted_on=parts.fitted_on,
                created_by=by,
            ),
        )
    if promote:
        _promote(house, version, by=by)
    return Trained(version, len(material.labels), parts, material.splits_kept, gate, scores)


@dataclass(frozen=True)
class _Material:
    """What a training learns from and is judged by."""

    label_set_id: int
    labels: list[str]
    parts: Parts
    splits_kept: int


def _material(
    house: House, file: AnnotationFile | None, label_set_name: str | None, only: Collection[str]
) -> _Material:
    """The file's annotations, which are imported then, or those of a label set as they are."""
    splits_kept = 0
    with house.sessions.begin() as session:
        if file is None:
            label_set = annotations.annotated_set(session, label_set_name).id
            given = annotations.stored(session, label_set)
        else:
            label_set = label_sets.for_names(session, file.labels)
            in_order = file.in_order(label_sets.names(session, label_set))
            kept = annotations.keep(session, in_order, label_set_id=label_set)
            given, splits_kept = kept.annotations, kept.splits_kept
        labels = label_sets.names(session, label_set)
        parts = sites.to_train(given, sites=only)
        if not parts.fit:
            raise NotTrained(
                f"none of the {len(given)} annotations is in the split train; add more, or name their splits"
            )
        session.expunge_all()
    return _Material(label_set, labels, parts, splits_kept)


@dataclass(frozen=True)
class _Fitted:
    """What lies in the models folder now."""

    artifact: str
    sha256: str
    language_model: str | None
    language_model_sha256: str | None


def _fitted(folder: Path, foundation: str, recipe: Recipe, material: _Material) -> _Fitted:
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder, prefix=".training-") as scratch:
        language_model, language_sha256 = _keep_language_model(foundation, folder, Path(scratch))
        sha256 = _fit(foundation, Path(scratch) / "artifact", material.parts.fit, material.labels, recipe)
        artifact = f"classifier-{datetime.now(UTC):%Y%m%d-%H%M%S}-{sha256[:8]}"
        if not (folder / artifact).exists():  # the very same one, made twice in a second: versions may share it
            (Path(scratch) / "artifact").rename(folder / artifact)
    return _Fitted(artifact, sha256, language_model, language_sha256)


@dataclass(frozen=True)
class Judged:
    """A version's figures: over all labels, by label name, and of each site. `seen` counts reports left out because
    it learnt from the same text at another site.
    """

    version: int
    overall: metrics.Evaluation
    labels: dict[str, metrics.LabelScore]
    scores: list[SiteScore]
    seen: int


def evaluate(
    house: House,
    file: AnnotationFile | None,
    version_id: int | None,
    *,
    include_fitted: bool,
    only: Collection[str] = (),
) -> Judged:
    """Judge a version (default: the one that serves) with its own thresholds, on a file or on the gate annotations,
    all of them or those of the sites in `only`.

    Of the gate annotations, texts that the model learnt from at another site are left out. Raises `NotJudged` if rows
    of a file were used to make the model and `include_fitted` does not say that this is known; `UnusableAnnotations`
    if the labels differ from the model's; `UnusableSites` if a site is not there.
    """
    own = file is None
    with house.sessions.begin() as session:
        version = model_versions.serving_or(session, version_id)
        model = labelling.described(session, version)
        fitted = annotations.fitted_hashes(session, version.id)
        learnt_from = annotations.fitted_sites(session, version.id)
        if file is None:
            file = annotations.as_file(session, version.label_set_id, Split.GATE)
    file.require_labels(model.labels, of=f"model {model.id}")
    if not file.rows:
        raise NotJudged(f"no gate annotation has the labels of model {model.id}; import some, or name a file")
    sites.known(only, there={one.site for one in file.rows})
    file = replace(file, rows=tuple(one for one in file.rows if not only or one.site in only))
    seen = 0 if include_fitted else sum(one.text_hash in fitted for one in file.rows)
    if seen and (not own or seen == len(file.rows)):
        raise NotJudged(
            f"model {model.id} was fitted on {seen} of these {len(file.rows)} reports, so its figures would flatter "
            "it; give reports it has not seen, or say --include-fitted"
        )
    rows = [one for one in file.in_order(model.labels) if not seen or one.text_hash not in fitted]
    classifier = classifiers.load(house.settings.models_folder, model)
    given = probabilities(classifier, [one.text for one in rows], "judging")
    truth = annotations.truth(rows)
    overall = metrics.evaluate(given, truth, model.thresholds)
    scores = site_scores.score(
        given,
        truth,
        model.thresholds,
        of=[one.site for one in rows],
        every={one.site for one in file.rows},
        learnt_from=learnt_from,
    )
    return Judged(model.id, overall, dict(zip(model.labels, overall.labels, strict=True)), scores, seen)


def calibrated(classifier: Classifier, rows: Sequence[Annotation]) -> list[float]:
    """A threshold per label, set on these annotations; 0.5 without any."""
    return calibration.thresholds(probabilities(classifier, _texts(rows), "calibrating"), annotations.truth(rows))


def judge(
    classifier: Classifier, thresholds: Sequence[float], parts: Parts
) -> tuple[list[SiteScore], metrics.Evaluation | None]:
    """Figures at every site, and at all together that the model learnt from: None if no report there has a finding."""
    held = [one for rows in parts.gate.values() for one in rows]
    of = [one.site for one in held]
    given = probabilities(classifier, _texts(held), "judging")
    truth = annotations.truth(held).reshape(given.shape)
    scores = site_scores.score(given, truth, thresholds, of=of, every=parts.gate, learnt_from=parts.learnt_from)
    internal = np.isin(of, parts.learnt_from)
    gate = metrics.evaluate(given[internal], truth[internal], thresholds) if truth[internal].any() else None
    return scores, gate


def probabilities(classifier: Classifier, texts: Sequence[str], title: str) -> NDArray[np.float64]:
    """Probabilities (texts, labels), without heatmaps, behind a progress bar if there is anything to read."""
    if not texts:
        return np.empty((0, len(classifier.labels)))
    with console.tracked(title, total=len(texts)) as shown:
        return classifier.probabilities(texts, lambda count: shown.update(shown.done + count))


def _promote(house: House, version: int, *, by: str) -> None:
    """In a transaction of its own: a promotion that fails must not cost the training."""
    try:
        with house.sessions.begin() as session:
            model_versions.promote(session, version, by=by, rules=house.rules)
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
            labels=annotations.truth(train_on),
            label_names=labels,
            epochs=recipe.epochs,
            seed=recipe.seed,
            learning_rate=recipe.learning_rate,
            on_step=show,
        )


def _keep_language_model(foundation: str, models: Path, scratch: Path) -> tuple[str | None, str | None]:
    """The foundation as a masked language model among the artifacts, for refreshes to go on from: name and sha256.

    None if it cannot guess masked words; a refresh then begins with the classifier's own encoder, and so is it told.
    """
    try:
        model, tokenizer = masked_lm.load(foundation)
        why = None if model.had_head else "it has no masked-LM head"
    except FoundationError as error:  # an encoder of another kind serves for classifying all the same
        why = str(error)
    if why:
        console.err.print(f"no language model is kept, so a refresh will begin a head of its own: {why}", markup=False)
        return None, None
    sha256 = masked_lm.save(model, tokenizer, scratch / "language")
    name = f"language-{sha256[:16]}"
    if not (models / name).exists():  # versions share it
        (scratch / "language").rename(models / name)
    return name, sha256


def _texts(rows: Sequence[Annotation]) -> list[str]:
    return [one.text for one in rows]
