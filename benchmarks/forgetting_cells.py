"""What a cell of benchmarks/forgetting.py computes: the vocabulary, a foundation, or an arm from the first refresh to
the last, judged after each.
"""

import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise, product
from pathlib import Path
from statistics import mean, median
from tempfile import TemporaryDirectory
from typing import NamedTuple

import forgetting_stream
import numpy as np
import shared_text
import torch
from fitted_classifier import fit_classifier
from forgetting_stream import Sizes, Stage
from study_cells import pair_files
from transformers import PreTrainedTokenizerFast

from models import bits, comparison, masked_lm, mixing, packing, sentence_pairs, similarity
from models.encoder import new_encoder
from models.foundations import load_tokenizer, save_tokenizer
from models.masking import RATE
from models.packing import Documents, Rows
from models.pretraining import PretrainingStep, Run, Settings, pretrain

LENGTH = 128  # tokens in a packed row
_STEPS = 10  # of an arm's turn when its cost is measured

Counts = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Arm:
    """A way to refresh. `rate` is the peak learning rate over naive's."""

    fraction: float = 0.0  # of all tokens that are replayed
    masked: float = RATE  # of a replayed row
    rate: float = 1.0
    distillation: float = 0.0  # of the loss on replayed rows
    refreshes: bool = True
    joint: bool = False  # all periods at once


@dataclass(frozen=True, slots=True)
class Scale:
    """How large everything is."""

    layers: int
    width: int
    pieces: int
    rows: int  # of new text in a step
    arms: tuple[str, ...]
    general_steps: int
    general_rate: float
    rate: float  # naive's peak
    sizes: Sizes
    kept: float  # share of a period's documents that the replay buffer holds
    pairs: int  # sentence pairs in each language
    turns: int  # of each arm when its cost is measured
    steps: int  # of fitting a classifier after the last refresh; none: no classifier
    classifier_rate: float
    batch: int  # reports in a step


class Bench(NamedTuple):
    """One run of the benchmark: how large, where its results lie, and what it reads."""

    scale: Scale
    out: Path
    data: Path

    @property
    def vocabulary(self) -> Path:
        return self.out / "vocabulary"

    def foundation(self, seed: int) -> Path:
        return self.out / "models" / f"foundation-{seed}" / "model"


def make_vocabulary(bench: Bench) -> Counts:
    """Of all periods but the last, whose new words nobody knows beforehand."""
    texts = [text for stage in _stages(bench)[:-1] for text in stage.texts]
    tokenizer = shared_text.vocabulary(texts, bench.scale.pieces)
    bench.vocabulary.mkdir(parents=True, exist_ok=True)
    save_tokenizer(tokenizer, bench.vocabulary)
    return {"pieces": len(tokenizer)}


def make_foundation(bench: Bench, seed: int) -> Counts:
    """From random weights, on general text."""
    scale, tokenizer = bench.scale, load_tokenizer(bench.vocabulary)
    out = bench.foundation(seed).parent
    with TemporaryDirectory() as scratch:
        folder = Path(scratch) / "new"
        new_encoder(folder, tokenizer, layers=scale.layers, width=scale.width, dropout=0.0, seed=seed)
        general = _tokenized(bench, _stages(bench)[0].texts)
        whole = Arm(rate=scale.general_rate / scale.rate)
        _learn(folder, out, general, {}, scale, whole, seed, steps=scale.general_steps)
    return {"stages": [judge(bench, bench.foundation(seed))]}


def run_arm(bench: Bench, name: str, arm: Arm, seed: int) -> Counts:
    """A refresh after every period, each from the model of the one before."""
    scale, stages = bench.scale, _stages(bench)
    former, done = bench.foundation(seed), [judge(bench, bench.foundation(seed))]
    folder = bench.out / "models" / f"{name}-{seed}"
    shutil.rmtree(folder, ignore_errors=True)  # what a killed run left
    for number in range(1, len(stages)) if arm.refreshes else ():
        if arm.joint and number < len(stages) - 1:
            continue
        learnt = stages if arm.joint else [stages[number]]
        new = _tokenized(bench, [text for stage in learnt for text in stage.texts])
        buffer = _buffer(bench, stages[:number], arm)
        tokens = _learn(former, folder / str(number), new, buffer, scale, arm, seed)
        former = folder / str(number) / "model"
        new_tokens = int(new.sizes.sum())
        done.append({**judge(bench, former), "tokens": tokens, "new_tokens": new_tokens})
    if not arm.refreshes:
        done *= len(stages)
    f1 = classify(bench, former, seed) if scale.steps else {}
    shutil.rmtree(folder, ignore_errors=True)
    return {"stages": done, "f1": f1}


def measure_cost(bench: Bench, arms: Mapping[str, Arm]) -> Counts:
    """Seconds of training that each arm takes for a token of new text: medians of steps, the arms taking turns, so
    that what else a machine does is nobody's cost.
    """
    *earlier, last = _stages(bench)
    new = _tokenized(bench, last.texts)
    seconds: dict[str, list[float]] = {name: [] for name in arms}
    for _, (name, arm) in product(range(bench.scale.turns), arms.items()):
        with TemporaryDirectory() as scratch:
            ticks: list[float] = []
            _learn(
                bench.foundation(0),
                Path(scratch) / "out",
                new,
                _buffer(bench, earlier, arm),
                bench.scale,
                arm,
                seed=0,
                steps=_STEPS,
                on_step=lambda step, ticks=ticks: ticks.append(_clock()),  # type: ignore[misc]
            )
            seconds[name] += [after - before for before, after in pairwise(ticks[1:])]
    new_tokens = {name: _rows(bench.scale, arm) * (1 - arm.fraction) * LENGTH for name, arm in arms.items()}
    return {"seconds_per_new_token": {name: median(seconds[name]) / new_tokens[name] for name in arms}}


def judge(bench: Bench, folder: Path) -> dict[str, object]:
    """Bits per byte on every slice of every period, and Pearson's r for sentence pairs in both languages."""
    model, tokenizer = masked_lm.load(folder)
    slices = {name: texts for stage in _stages(bench) for name, texts in stage.held_out.items()}
    found = {name: bits.measure(model, tokenizer, texts).bits_per_byte for name, texts in slices.items()}
    pearson: dict[str, float] = {}
    for language, (_, file) in pair_files(bench.data).items():
        if file.exists():
            pairs = sentence_pairs.read(file)[: bench.scale.pairs]
            truth = [pair.score for pair in pairs]
            pearson[language] = similarity.correlation(similarity.zero_shot(folder, pairs), truth, resamples=1).pearson
    by_period = [mean(found[name] for name in stage.held_out) for stage in _stages(bench)]
    return {"bits": by_period, "slices": found, "similarity": pearson}


def classify(bench: Bench, folder: Path, seed: int) -> dict[str, float]:
    """Macro F1 per period of one classifier, fitted to annotations of all periods; every tenth sets the thresholds."""
    scale = bench.scale
    annotated = [stage.annotated for stage in _stages(bench) if stage.annotated]
    texts = [text for some in annotated for text in some.texts]
    truth = np.concatenate([some.truth for some in annotated])
    held, fitted = np.arange(0, len(texts), 10), np.flatnonzero(np.arange(len(texts)) % 10)
    classifier = fit_classifier(
        folder,
        texts=texts,
        truth=truth,
        fitted=fitted,
        held=held,
        steps=scale.steps,
        batch=scale.batch,
        learning_rate=scale.classifier_rate,
        seed=seed,
    )
    scores: dict[str, float] = {}
    for stage in _stages(bench):
        if stage.judged:
            measure = comparison.macro_f1(classifier.found(stage.judged.texts), stage.judged.truth)
            scores[stage.name] = comparison.estimate(measure, len(stage.judged.texts), resamples=1).value
    return scores


@cache
def _stages(bench: Bench) -> list[Stage]:
    return forgetting_stream.stream(bench.data, bench.scale.sizes)


def _tokenized(bench: Bench, texts: Sequence[str]) -> Documents:
    return packing.tokenize(texts, _tokenizer(bench), length=LENGTH)


@cache
def _tokenizer(bench: Bench) -> PreTrainedTokenizerFast:
    return load_tokenizer(bench.vocabulary)


def _buffer(bench: Bench, earlier: Sequence[Stage], arm: Arm) -> dict[str, Documents]:
    """What was kept of earlier periods, by stratum."""
    kept = [forgetting_stream.kept(stage.learnt, bench.scale.kept) for stage in earlier if arm.fraction]
    return {stratum: _tokenized(bench, texts) for strata in kept for stratum, texts in strata.items()}


def _rows(scale: Scale, arm: Arm) -> int:
    """As many new rows in a step as naive has; the replayed ones come on top."""
    return round(scale.rows / (1 - arm.fraction))


def _learn(
    former: Path,
    out: Path,
    new: Documents,
    replayed: Mapping[str, Documents],
    scale: Scale,
    arm: Arm,
    seed: int,
    *,
    steps: int = 0,
    on_step: Callable[[PretrainingStep], None] | None = None,
) -> int:
    """One refresh, or so many steps of it: an epoch of the new text. Returns the tokens it processed."""
    model, tokenizer = masked_lm.load(former, seed=seed)

    def data(epoch: int) -> Iterator[Rows]:
        return mixing.mix(
            new,
            replayed,
            fraction=arm.fraction,
            length=LENGTH,
            rows=_rows(scale, arm),
            pad_id=int(tokenizer.pad_token_id),
            rng=np.random.default_rng((seed, epoch)),
        )

    tokens = 0

    def count(step: PretrainingStep) -> None:
        nonlocal tokens
        tokens = step.tokens
        if on_step:
            on_step(step)

    settings = Settings(
        steps=steps or sum(1 for _ in data(0)),
        learning_rate=arm.rate * scale.rate,
        replay_masked=arm.masked,
        distillation=arm.distillation,
        seed=seed,
    )
    shutil.rmtree(out, ignore_errors=True)
    pretrain(model, tokenizer, data, out, settings=settings, run=Run(checkpoint_every=settings.steps), on_step=count)
    return tokens


def _clock() -> float:
    """Seconds: of this process's work on a CPU that others use too, else of the wall."""
    return time.perf_counter() if torch.cuda.is_available() else time.process_time()
