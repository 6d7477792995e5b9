"""What benchmarks/faithfulness.py explains: two classifiers, and reports of both languages."""

import argparse
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from benchmark_form import Data, labelled_reports, progress
from numpy.typing import NDArray
from shared_text import read, vocabulary

from models import masked_lm, packing
from models.corpus_text import Cleaner
from models.finetuning import TrainingStep, fine_tune
from models.pretraining import PretrainingStep, Run, Settings, pretrain
from models.run_folder import MODEL
from models.transplant import transplant
from nightread.made_up import FINDINGS, Style, reports

MODELS = {"before": "before bilingual pre-training", "after": "after bilingual pre-training"}
REAL, MADE_UP = "real reports (English)", "made-up reports (Korean)"
STAND_IN = "made-up reports (English)"  # for the real ones
LENGTH, ROWS = 128, 32  # a step of pre-training
# Seeds of made-up reports; what is judged shares none with what is learnt from.
FITTED_SEED, READ_SEED, HELD_OUT_SEED = 1, 3, 9


class Corpus(NamedTuple):
    texts: list[str]
    truth: NDArray[np.int64]  # (texts, labels)


class Corpora(NamedTuple):
    """Reports, of which those explained are learnt from by nobody."""

    pool: Corpus  # English
    fitted: Corpus  # some of the pool, and Korean ones
    explained: Mapping[str, Corpus]  # by what they are; English first


def corpora(given: argparse.Namespace) -> Corpora:
    english, pool, held_out = english_reports(given)
    chosen = np.random.default_rng(given.seed).permutation(len(pool.texts))[: given.real]
    korean = made_up(given.made_up, seed=FITTED_SEED)
    fitted = Corpus(
        [pool.texts[at] for at in chosen] + korean.texts, np.concatenate([pool.truth[chosen], korean.truth])
    )
    explained = {english: held_out, MADE_UP: made_up(given.held_out, seed=HELD_OUT_SEED, never=set(korean.texts))}
    return Corpora(pool, fitted, explained)


def make_classifier(given: argparse.Namespace, folder: Path, there: Corpora) -> Path:
    """The folder of the classifier that `given.model` names, fitted unless it is there."""
    foundation = given.foundation if given.model == "before" else bilingual(given, folder, there)
    if not (folder / "classifier").exists():
        say(given, f"fitting on {len(there.fitted.texts)} reports")
        fine_tune(
            foundation,
            folder / "classifier",
            texts=there.fitted.texts,
            labels=there.fitted.truth,
            label_names=FINDINGS,
            epochs=given.epochs,
            learning_rate=given.learning_rate,
            seed=given.seed,
            on_step=shown(given),
        )
    return folder / "classifier"


def english_reports(given: argparse.Namespace) -> tuple[str, Corpus, Corpus]:
    """What they are; and in file order, the last of them held out."""
    texts, truth, data = labelled_reports(given.data)
    end = len(texts) - given.held_out
    name = REAL if data is Data.REAL else STAND_IN
    return name, Corpus(texts[:end], truth[:end]), Corpus(texts[end:], truth[end:])


def made_up(count: int, *, seed: int, never: Iterable[str] = (), style: Style = Style.KOREAN) -> Corpus:
    kept = [report for report in reports(count, seed=seed, styles={style: 1.0}) if report.text not in never]
    return Corpus(
        [report.text for report in kept], np.array([[report.labels[label] for label in FINDINGS] for report in kept])
    )


def bilingual(given: argparse.Namespace, folder: Path, there: Corpora) -> Path:
    """The foundation in a bilingual vocabulary, pre-trained on the real text that is not held out and on made-up
    reports; the folder of its model.
    """
    out = folder / "pretraining"
    if (out / MODEL).exists():
        return out / MODEL
    say(given, "reading the text to pre-train on")
    text = [one for kind, split in read(given.data).items() if kind != "CT reports" for one in split.train]
    if given.text:
        text = text[:: max(1, len(text) // given.text)]
    # The reports in their own split: none is like one held out, by the corpus's own measure of likeness.
    cleaner = Cleaner()
    english, *_ = there.explained.values()
    for report in english.texts:
        cleaner.clean(report)
    text += [cleaned for cleaned in map(cleaner.clean, there.pool.texts) if cleaned is not None]
    for style in (Style.KOREAN, Style.MIXED):
        text += made_up(given.made_up, seed=READ_SEED, style=style).texts
    tokenizer = vocabulary(text, given.size)
    foundation, old = masked_lm.load(given.foundation)
    model, moved = transplant(foundation, old, tokenizer, seed=given.seed)
    documents = packing.tokenize(text, tokenizer, length=LENGTH)
    say(
        given,
        f"{len(text):,} documents, {documents.sizes.sum():,} tokens of {len(tokenizer):,} pieces "
        f"({moved.kept:,} kept, {moved.composed:,} composed, {moved.drawn:,} drawn)",
    )

    def data(epoch: int) -> Iterator[packing.Rows]:
        rng = np.random.default_rng((given.seed, epoch))
        return packing.batches(documents, length=LENGTH, rows=ROWS, pad_id=int(tokenizer.pad_token_id), rng=rng)

    pretrain(
        model,
        tokenizer,
        data,
        out,
        settings=Settings(steps=given.steps, learning_rate=given.pretraining_rate, seed=given.seed),
        run=Run(checkpoint_every=100),
        resume=out.exists() and any(path.name != "lock" for path in out.iterdir()),
        on_step=shown(given),
    )
    return out / MODEL


def shown(given: argparse.Namespace) -> Callable[[TrainingStep | PretrainingStep], None]:
    began = time.monotonic()

    def show(step: TrainingStep | PretrainingStep) -> None:
        if step.step % 10 == 0 or step.step == step.steps:
            say(given, f"step {step.step} of {step.steps}, loss {step.loss:.4f}, {time.monotonic() - began:.0f} s")

    return show


def say(given: argparse.Namespace, line: str) -> None:
    progress(f"{given.model}: {line}")
