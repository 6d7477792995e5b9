"""The training of a refresh: the mix of new and replayed texts, pre-training on it, and a classifier refitted.

Each stage writes what it made under a name of its own and records it then, so that whoever takes over after a kill
finds it, and does only what is left.
"""

import math
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import func, select, text

from models import (
    artifacts,
    calibration,
    checkpoints,
    masked_lm,
    mixing,
    pretraining,
    run_folder,
    sentence_pairs,
    shards,
)
from models.classifier import Classifier
from models.errors import ArtifactError
from models.finetuning import fine_tune
from models.packing import Documents, Rows
from pipeline import annotations, label_sets, labelling, model_versions, refresh_runs, replay, sites, training_mix
from pipeline.labelling import ServingModel
from pipeline.model_versions import NewVersion
from pipeline.refresh_runs import NotRefreshed
from pipeline.tables import ModelVersion, Part, RefreshStage, Report
from worker.attempt import EnvironmentFailed
from worker.refresh_desk import Desk

_SHARDS = "shards"


@dataclass(frozen=True)
class Champion:
    """What serves when a refresh begins, and where its language model lies.

    `reads_masked` says whether that was trained to guess masked words; a classifier's own encoder was not.
    """

    model: ServingModel
    label_set_id: int
    foundation: str
    language_model: Path
    language_model_sha256: str
    reads_masked: bool


@dataclass(frozen=True)
class Mix:
    """The texts of a refresh as tokens: new ones, and replayed ones by stratum."""

    new: Documents
    replayed: dict[str, Documents]


def champion(desk: Desk) -> Champion:
    """The version that the refresh goes on from, its files held against their hashes.

    Raises ArtifactError if they are not what was registered.
    """
    with desk.sessions.begin() as session:
        version = session.get_one(ModelVersion, desk.run().former_model_version_id)
        model = labelling.described(session, version)
        folder, sha256 = version.language_model or version.artifact, version.language_model_sha256
        found = Champion(
            model=model,
            label_set_id=version.label_set_id,
            foundation=version.foundation,
            language_model=desk.settings.models_folder / folder,
            language_model_sha256=sha256 or version.artifact_sha256,
            reads_masked=sha256 is not None,
        )
    for where, registered in (
        (found.language_model, found.language_model_sha256),
        (desk.settings.models_folder / model.artifact, model.artifact_sha256),
    ):
        artifacts.require(where, registered)
    return found


def begin(desk: Desk) -> None:
    """On the first start: which reports are new, and exactly which texts the training mix holds.

    Raises `NotRefreshed` if there is nothing to learn from.
    """
    for file in desk.settings.refresh.gates.pairs.values():
        try:
            sentence_pairs.read(file)  # before hours of training, not after
        except sentence_pairs.PairsError as error:
            raise NotRefreshed(str(error)) from None
    if desk.run().until_report_id is not None:
        return
    with desk.sessions.begin() as session:
        # Ids are given before they are committed. Whoever was storing has committed when we get this.
        session.execute(text("LOCK TABLE report IN SHARE MODE"))
        until = session.scalar(select(func.max(Report.id))) or 0
    with desk.sessions.begin() as session:  # of its own: it locks reports in their order, and so does the next
        replay.refill(session, kept=desk.settings.replay)
    with desk.sessions.begin() as session:
        serving = labelling.serving(session)
        if serving is None:
            raise NotRefreshed("no model serves any more that the refresh could go on from")
        after = refresh_runs.learnt_until(session, serving.id)
        if until <= after:
            raise NotRefreshed(f"no report came since the last refresh (report {after}), so there is nothing to learn")
        training_mix.snapshot(session, desk.run_id, after=after, until=until)
        refresh_runs.record(
            session,
            desk.held,
            desk.run_id,
            desk.terms,
            former_model_version_id=serving.id,
            from_report_id=after,
            until_report_id=until,
        )


def mix(desk: Desk, champion: Champion) -> Mix:
    """The mix as tokens on disk, made anew at every start: what was withdrawn meanwhile is left out.

    Raises `NotRefreshed` if nothing new is left.
    """
    _, tokenizer = masked_lm.load(champion.language_model)
    length = desk.run().settings.get("length", desk.settings.refresh.length)  # as it was begun
    folder = desk.folder / _SHARDS
    shards.remove(folder)
    with desk.sessions.begin() as session:
        training_mix.leave_out(session, desk.run_id)
        counted = training_mix.counts(session, desk.run_id)
    total = sum(one.texts for one in counted)
    with desk.stage(RefreshStage.MIX) as tell:
        done = 0

        def texts(part: Part, stratum: str | None) -> Iterator[str]:
            nonlocal done
            for one in training_mix.texts(desk.sessions, desk.run_id, part, stratum):
                done += 1
                tell(min(done, total), total, None)
                yield one

        new = shards.write(texts(Part.NEW, None), tokenizer, folder / "new", length=length)
        strata = [one.stratum for one in counted if one.part == Part.REPLAYED and one.texts]
        replayed = {
            stratum: shards.write(
                texts(Part.REPLAYED, stratum), tokenizer, folder / f"replayed-{number}", length=length
            )
            for number, stratum in enumerate(strata)
        }
    with desk.sessions.begin() as session:
        training_mix.leave_out(session, desk.run_id)  # what was withdrawn while it was read is not in it either
    if not len(new.ends):
        raise NotRefreshed("no new report is left to learn from: all that came were held out, withdrawn or amended")
    return Mix(new, {stratum: documents for stratum, documents in replayed.items() if len(documents.ends)})


def made(desk: Desk) -> Path | None:
    """The refresh's language model, if an attempt before made it. Raises ArtifactError if it is not whole."""
    run = desk.run()
    if run.language_model is None or run.language_model_sha256 is None:
        return None
    folder = desk.settings.models_folder / run.language_model
    artifacts.require(folder, run.language_model_sha256)
    return folder


def pretrain(desk: Desk, champion: Champion, mix: Mix) -> Path:
    """The champion's language model, pre-trained further on the mix; resumed from its last checkpoint."""
    final = desk.language_model
    folder = desk.folder / "pretraining"
    recipe = _recipe(desk, mix)
    if not final.exists() and not (folder / run_folder.MODEL).exists():
        _drop_broken_checkpoints(folder / run_folder.CHECKPOINTS)
        model, tokenizer = masked_lm.load(champion.language_model, seed=recipe["seed"])

        def data(epoch: int) -> Iterator[Rows]:
            return mixing.mix(
                mix.new,
                mix.replayed,
                fraction=recipe["replay_fraction"],
                length=recipe["length"],
                rows=max(1, recipe["batch_tokens"] // recipe["length"]),
                pad_id=int(tokenizer.pad_token_id),
                rng=np.random.default_rng((recipe["seed"], epoch)),
            )

        with desk.stage(RefreshStage.PRETRAINING) as tell:
            try:
                pretraining.pretrain(
                    model,
                    tokenizer,
                    data,
                    folder,
                    settings=pretraining.Settings(
                        steps=recipe["steps"],
                        learning_rate=recipe["learning_rate"],
                        replay_masked=recipe["replay_masked"],
                        distillation=recipe["distillation"],
                        seed=recipe["seed"],
                    ),
                    run=pretraining.Run(
                        checkpoint_every=recipe["checkpoint_every"],
                        made_from={"foundation": champion.language_model_sha256},
                    ),
                    resume=_is_begun(folder),
                    on_step=lambda done: tell(done.step, done.steps, done.loss),
                )
            except checkpoints.UnusableCheckpoint as error:
                shutil.rmtree(folder)
                raise EnvironmentFailed(f"{error}; it begins again") from None
            except run_folder.FolderUnusable:
                raise
            except run_folder.PretrainingError as error:  # a loss that is no number will be none the next time
                raise NotRefreshed(str(error)) from None
    if not final.exists():
        (folder / run_folder.MODEL).rename(final)
    desk.record(RefreshStage.REFIT, language_model=final.name, language_model_sha256=artifacts.verify(final))
    return final


def refit(desk: Desk, champion: Champion, language_model: Path) -> int:
    """A classifier fitted on the language model, calibrated and registered as a candidate: its version number."""
    made = desk.run().model_version_id
    if made is not None:
        return made
    with desk.sessions.begin() as session:
        names = label_sets.names(session, champion.label_set_id)
        parts = sites.to_train(annotations.stored(session, champion.label_set_id))
        session.expunge_all()
    if not parts.fit:
        raise NotRefreshed("no annotation is in the split train, so no classifier can be fitted; import some")
    given = desk.settings.refresh
    final = desk.classifier
    with desk.stage(RefreshStage.REFIT) as tell:
        if not final.exists():
            fine_tune(
                language_model,
                final,
                texts=[one.text for one in parts.fit],
                labels=annotations.truth(parts.fit),
                label_names=names,
                epochs=given.classifier_epochs,
                seed=given.seed,
                learning_rate=given.classifier_learning_rate,
                on_step=lambda done: tell(done.step, done.steps, done.loss),
            )
        classifier = Classifier.load(final)
        read = classifier.probabilities([one.text for one in parts.calibration])
        thresholds = calibration.thresholds(read, annotations.truth(parts.calibration))
    run = desk.run()
    candidate = NewVersion(
        foundation=champion.foundation,
        artifact=final.name,
        artifact_sha256=classifier.sha256,
        label_set_id=champion.label_set_id,
        thresholds=thresholds,
        metrics={},
        settings={
            "refresh": desk.run_id,
            "epochs": given.classifier_epochs,
            "learning_rate": given.classifier_learning_rate,
            "seed": given.seed,
            "sites": list(parts.learnt_from),
            "calibrated_at": list(parts.calibrated_at),
        },
        fitted_on=parts.fitted_on,
        parent_id=champion.model.id,
        created_by=f"refresh {desk.run_id}",
        language_model=run.language_model,
        language_model_sha256=run.language_model_sha256,
    )
    with desk.sessions.begin() as session:
        version = model_versions.register(session, candidate)
        refresh_runs.record(session, desk.held, desk.run_id, desk.terms, model_version_id=version)
    return version


def remove_shards(desk: Desk) -> None:
    """They hold the reports' words, as numbers."""
    shards.remove(desk.folder / _SHARDS)


def _recipe(desk: Desk, mix: Mix) -> dict[str, Any]:
    """How it trains, as it was decided at the first start: a resumed run must go on as it began."""
    run = desk.run()
    if run.settings:
        return dict(run.settings)
    given = desk.settings.refresh
    new_tokens = int(mix.new.sizes.sum())
    replayed = mixing.shares(mix.new, mix.replayed, fraction=given.replay_fraction)
    tokens = given.epochs * (new_tokens + sum(replayed.values()))
    recipe = {
        "steps": max(1, math.ceil(tokens / given.batch_tokens)),
        "learning_rate": given.learning_rate,
        "replay_fraction": given.replay_fraction,
        "replay_masked": given.replay_masked,
        "distillation": given.distillation,
        "length": given.length,
        "batch_tokens": given.batch_tokens,
        "checkpoint_every": given.checkpoint_every,
        "seed": given.seed,
    }
    counts = {"new_tokens": new_tokens, "replayed_tokens": replayed}
    desk.record(RefreshStage.PRETRAINING, settings=recipe, counts=counts)
    return recipe


def _is_begun(folder: Path) -> bool:
    """Whether an attempt before left anything there that a resumed run goes on from."""
    try:
        run_folder.refuse_unfit(folder, resume=False)
    except run_folder.PretrainingError:
        return True
    return False


def _drop_broken_checkpoints(folder: Path) -> None:
    """A checkpoint that a failing disk spoilt costs some steps, not the refresh: the one before it is whole."""
    while (newest := checkpoints.newest(folder)) is not None:
        try:
            artifacts.verify(newest)
            return
        except ArtifactError:
            shutil.rmtree(newest)
