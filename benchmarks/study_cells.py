"""What a cell of the study computes: a vocabulary, a language model, or how one does at one thing.

A cell reads its settings and what earlier cells left under `Study.out`, and returns its figures; arrays that the
table needs for intervals it writes beside them.
"""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
import shared_text
from benchmark_form import labelled_reports
from fitted_classifier import fit_classifier
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerFast

from models import bits, masked_lm, packing, sentence_pairs, similarity
from models.encoder import new_encoder
from models.foundations import load_tokenizer, save_tokenizer
from models.packing import Rows
from models.pretraining import Run, Settings, pretrain
from models.transplant import transplant
from nightread.made_up import FINDINGS, Hospital, MadeUpReport, reports
from nightread.made_up.reports import Style

LENGTH = 128  # tokens in a packed row
HELD_OUT = 160  # real reports, the last in file order
# Of the made-up reports: those pre-trained on, annotated, judged on, and read for bits per byte are four sets.
PRETRAINED, ANNOTATED, JUDGED, GUESSED = 31, 32, 33, 34
GENERAL = {"Korean": ("Korean",), "English": ("English",), "both": ("Korean", "English")}
PUBLISHED = "all-MiniLM"

Counts = Mapping[str, object]


class Stage(StrEnum):
    """A language model as it was found, and after bilingual vocabulary and pre-training."""

    FOUNDATION = "foundation"
    BILINGUAL = "bilingual"


class Site(StrEnum):
    """Where annotated reports come from."""

    REAL = "real"
    EAST = "east"
    WEST = "west"

    @property
    def judged_on(self) -> tuple["Site", ...]:
        """Itself first (internal), then the other hospital (external)."""
        return {Site.REAL: (Site.REAL,), Site.EAST: (Site.EAST, Site.WEST), Site.WEST: (Site.WEST, Site.EAST)}[self]


@dataclass(frozen=True, slots=True)
class Scale:
    """How large everything is."""

    layers: int
    width: int
    dropout: float
    pieces: int
    seeds: tuple[int, ...]
    foundations: tuple[str, ...]
    rows: int  # packed rows in a step of pre-training
    general_steps: int
    bilingual_steps: int
    general_rate: float  # peak learning rates
    bilingual_rate: float
    corpus: int  # made-up reports of each hospital to pre-train on
    annotated: int  # made-up reports of each hospital; the real ones are all that there are
    few: int  # annotations in the poor setting
    steps: int  # of fitting a classifier to all annotations, as many whatever there are of them; too few to converge
    few_steps: int  # and the learning rate decides which foundation looks better
    classifier_rate: float
    batch: int  # reports in a step
    judged: int  # made-up reports of each hospital
    pairs: int  # sentence pairs to fit a regression on, in each language; two layers learn nothing of a few
    pairs_epochs: int
    pairs_rate: float


class Study(NamedTuple):
    """One run of the study: how large, where its results lie, and what it reads."""

    scale: Scale
    out: Path
    data: Path
    published: str | Path | None  # folder of a real English foundation

    def model(self, name: str, stage: Stage, seed: int) -> Path | str:
        """The folder of a language model."""
        if name == PUBLISHED and stage is Stage.FOUNDATION:
            assert self.published is not None
            return self.published
        return self.out / "models" / f"{name}-{stage}-{seed}" / "model"

    def vocabulary(self, name: str) -> Path:
        return self.out / "vocabularies" / name

    def arrays(self, cell: str) -> Path:
        return self.out / "cells" / f"{cell}.npz"


def make_vocabulary(study: Study, name: str) -> Counts:
    """Of one or both languages' general text; `bilingual` is of the medical text too."""
    texts = general(study.data, GENERAL.get(name, GENERAL["both"]))
    if name == Stage.BILINGUAL:
        texts = [*texts, *medical(study)]
    tokenizer = shared_text.vocabulary(texts, study.scale.pieces)
    folder = study.vocabulary(name)
    folder.mkdir(parents=True, exist_ok=True)
    save_tokenizer(tokenizer, folder)
    return {"pieces": len(tokenizer)}


def make_foundation(study: Study, name: str, seed: int) -> Counts:
    """From random weights, on general text."""
    scale, tokenizer = study.scale, load_tokenizer(study.vocabulary(name))
    with TemporaryDirectory() as scratch:
        new_encoder(
            Path(scratch) / "new", tokenizer, layers=scale.layers, width=scale.width, dropout=scale.dropout, seed=seed
        )
        model, _ = masked_lm.load(Path(scratch) / "new", seed=seed)
    return _learn(
        study,
        model,
        tokenizer,
        general(study.data, GENERAL[name]),
        Path(study.model(name, Stage.FOUNDATION, seed)).parent,
        Settings(scale.general_steps, learning_rate=scale.general_rate, seed=seed),
    )


def make_bilingual(study: Study, name: str, seed: int) -> Counts:
    """The foundation with the bilingual vocabulary, pre-trained further on medical text in both languages."""
    new = load_tokenizer(study.vocabulary(Stage.BILINGUAL))
    foundation, old = masked_lm.load(study.model(name, Stage.FOUNDATION, seed), seed=seed)
    model, moved = transplant(foundation, old, new, seed=seed)
    learnt = _learn(
        study,
        model,
        new,
        medical(study),
        Path(study.model(name, Stage.BILINGUAL, seed)).parent,
        Settings(study.scale.bilingual_steps, learning_rate=study.scale.bilingual_rate, seed=seed),
    )
    return {"kept": moved.kept, "composed": moved.composed, "drawn": moved.drawn, **learnt}


def judge_bits(study: Study, name: str, stage: Stage, seed: int) -> Counts:
    """Bits per byte on text that no model has seen."""
    model, tokenizer = masked_lm.load(study.model(name, stage, seed), seed=seed)
    if not model.had_head:  # a fresh head has learnt nothing that could be measured
        return {}
    return {kind: bits.measure(model, tokenizer, texts).bits_per_byte for kind, texts in guessed(study.data).items()}


def judge_similarity(study: Study, cell: str, name: str, stage: Stage, seed: int) -> Counts:
    """Scores for KorSTS and STS-B: zero-shot, and from a regression fitted on pairs if the scale has any."""
    source, scale = study.model(name, stage, seed), study.scale
    scores: dict[str, NDArray[np.float64]] = {}
    figures: dict[str, object] = {}
    for language, (train_file, judged_file) in pair_files(study.data).items():
        judged = sentence_pairs.read(judged_file)
        scores[f"{language} truth"] = np.array([pair.score for pair in judged])
        scores[f"{language} zero-shot"] = similarity.zero_shot(source, judged)
        if scale.pairs:
            train = sentence_pairs.read(train_file)
            chosen = np.random.default_rng(seed).permutation(len(train))[: scale.pairs]
            scores[f"{language} fine-tuned"] = similarity.fine_tuned(
                source,
                [train[index] for index in chosen],
                judged,
                epochs=scale.pairs_epochs,
                learning_rate=scale.pairs_rate,
                seed=seed,
            )
    for what, given in scores.items():
        language, _, how = what.partition(" ")
        if how != "truth":
            figures[what] = similarity.correlation(given, scores[f"{language} truth"], resamples=1).pearson
    np.savez_compressed(study.arrays(cell), **scores)  # type: ignore[arg-type]
    return figures


def judge_classification(
    study: Study, cell: str, name: str, stage: Stage, seed: int, *, site: Site, few: bool
) -> Counts:
    """Fitted on one site, a tenth of its annotations kept for thresholds; judged there and at the other site."""
    scale = study.scale
    pool = annotated(study, site)
    steps = scale.few_steps if few else scale.steps
    # No more than the steps can read, which binds in the quickest scale alone.
    count = min(scale.few if few else len(pool.texts), steps * scale.batch)
    order = np.random.default_rng(seed).permutation(len(pool.texts))[:count]
    held, fitted = np.split(order, [max(1, count // 10)])
    classifier = fit_classifier(
        study.model(name, stage, seed),
        texts=pool.texts,
        truth=pool.truth,
        fitted=fitted,
        held=held,
        steps=steps,
        batch=scale.batch,
        learning_rate=scale.classifier_rate,
        seed=seed,
    )
    arrays: dict[str, NDArray[np.generic]] = {"thresholds": np.array(classifier.thresholds)}
    for judged_on in site.judged_on:
        reports_there = judged(study, judged_on)
        arrays[f"{judged_on} found"] = classifier.found(reports_there.texts)
        arrays[f"{judged_on} truth"] = reports_there.truth
    np.savez_compressed(study.arrays(cell), **arrays)  # type: ignore[arg-type]
    return {"fitted": len(fitted), "calibrated": len(held)}


class Annotated(NamedTuple):
    """Reports, and 0 or 1 for every finding: (reports, findings)."""

    texts: list[str]
    truth: NDArray[np.int64]


def annotated(study: Study, site: Site) -> Annotated:
    """What may be fitted on or calibrated with."""
    if site is Site.REAL:
        texts, truth = real_reports(study.data)
        return Annotated(texts[:-HELD_OUT], truth[:-HELD_OUT])
    return _annotated(made_up(site, study.scale.annotated, ANNOTATED))


def judged(study: Study, site: Site) -> Annotated:
    """What is judged on, and seen by nothing else."""
    if site is Site.REAL:
        texts, truth = real_reports(study.data)
        return Annotated(texts[-HELD_OUT:], truth[-HELD_OUT:])
    return _annotated(made_up(site, study.scale.judged, JUDGED))


def made_up(site: Site, count: int, seed: int) -> Iterator[MadeUpReport]:
    hospital = {Site.EAST: Hospital.EAST, Site.WEST: Hospital.WEST}[site]
    return reports(count, seed=seed, site=hospital)


@cache
def real_reports(data: Path) -> Annotated:
    """Each text once, and its labels by hand."""
    texts, truth, _ = labelled_reports(data)
    return Annotated(texts, truth)


def general(data: Path, languages: Sequence[str]) -> list[str]:
    splits = _splits(data)
    return [text for language in languages for text in splits[language].train]


def medical(study: Study) -> list[str]:
    """English: real CT reports and X-ray sentences; Korean and both in one: made-up reports of both hospitals."""
    corpus = [one.text for site in (Site.EAST, Site.WEST) for one in made_up(site, study.scale.corpus, PRETRAINED)]
    return [*annotated(study, Site.REAL).texts, *_splits(study.data)["X-ray sentences"].train, *corpus]


@cache
def guessed(data: Path) -> dict[str, list[str]]:
    """What bits per byte are measured on."""
    splits = _splits(data)
    return {
        "Korean, general": splits["Korean"].held_out[:300],
        "English, general": splits["English"].held_out[:300],
        "English, CT reports": real_reports(data).texts[-HELD_OUT:],
        "Korean, reports (made up)": shared_text.made_up(150, seed=GUESSED, style=Style.KOREAN),
        "mixed, reports (made up)": shared_text.made_up(150, seed=GUESSED, style=Style.MIXED),
    }


def pair_files(data: Path) -> dict[str, tuple[Path, Path]]:
    """Sentence pairs to fit on and to judge by. The public test sets are not at hand; the dev sets judge."""
    pairs = data / "similarity"
    return {
        "Korean": (pairs / "korsts" / "sts-train.tsv", pairs / "korsts" / "sts-dev.tsv"),
        "English": (pairs / "stsb" / "sts-train.csv", pairs / "stsb" / "sts-dev.csv"),
    }


@cache
def _splits(data: Path) -> dict[str, shared_text.Split]:
    return shared_text.read(data)


def _annotated(made: Iterator[MadeUpReport]) -> Annotated:
    several = list(made)
    truth = [[one.labels[finding] for finding in FINDINGS] for one in several]
    return Annotated([one.text for one in several], np.array(truth))


def _learn(
    study: Study,
    model: masked_lm.MaskedLM,
    tokenizer: PreTrainedTokenizerFast,
    texts: Sequence[str],
    out: Path,
    settings: Settings,
) -> Counts:
    documents = packing.tokenize(texts, tokenizer, length=LENGTH)
    losses: list[float] = []

    def data(epoch: int) -> Iterator[Rows]:
        rng = np.random.default_rng((settings.seed, epoch))
        return packing.batches(
            documents, length=LENGTH, rows=study.scale.rows, pad_id=int(tokenizer.pad_token_id), rng=rng
        )

    shutil.rmtree(out, ignore_errors=True)  # what a killed run left is no model
    pretrain(
        model,
        tokenizer,
        data,
        out,
        settings=settings,
        run=Run(checkpoint_every=settings.steps + 1),
        on_step=lambda step: losses.append(step.loss),
    )
    return {"tokens": int(documents.sizes.sum()), "last_loss": float(np.mean(losses[-20:]))}
