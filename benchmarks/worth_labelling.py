"""Are 200 reports with 140 of them chosen worth more than 200 at random? Measured on real reports, seed by seed.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/worth_labelling.py [--data ../shared/data] [--foundation FOLDER] \
        [--seeds 0 1 2] [--quick]

Unique texts in file order, the last 160 held out, as in `real_reports.py`. For every seed 60 reports at random make a
start model, in as many steps as an arm has later (six epochs of 60 reports teach next to nothing). What it says of
the other reports chooses 140 more (`pipeline/worth_labelling.py`); the arm beside it gets 140 at random. Both arms
are trained alike from the foundation on their 200 and judged on the same 160: macro F1 with every threshold at 0.5
and, since choosing shifts how often a finding occurs, the mean average precision, which needs no threshold. TF-IDF
with logistic regression, on the same two sets, stands beside it. Where there are no real reports, made-up ones stand
for them.
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import benchmark_form
import numpy as np
from bag_of_words import bag_of_words
from benchmark_form import Data, foundation_or_default, labelled_reports, last_line, markdown
from benchmark_form import progress as say
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score

from models import comparison, metrics
from models.classifier import Classifier
from models.comparison import Estimate
from models.finetuning import TrainingStep, fine_tune
from pipeline.label_sets import CT_RATE_FINDINGS
from pipeline.worth_labelling import choose

LABELS = [finding[0] for finding in CT_RATE_FINDINGS]
THRESHOLDS = [0.5] * len(LABELS)

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Judged(NamedTuple):
    """What was made from so many reports, on those held out."""

    seed: int
    name: str
    reports: int
    positives: int
    macro_f1: float
    interval: tuple[float, float]
    precision: float


def main(asked: argparse.Namespace) -> None:
    with TemporaryDirectory() as scratch:
        foundation = foundation_or_default(asked.foundation, Path(scratch), small=asked.quick)
        compare_arms(asked, foundation)


def compare_arms(asked: argparse.Namespace, foundation: str) -> None:
    texts, truth, data = labelled_reports(asked.data)
    if asked.reports:
        texts, truth = texts[-asked.reports :], truth[-asked.reports :]
    pool, held_out = np.arange(len(texts) - asked.held_out), np.arange(len(texts) - asked.held_out, len(texts))
    say(f"{len(pool)} reports to choose from, {len(held_out)} held out; {asked.start} to start, {asked.total} in all")
    arms: dict[str, list[Floats]] = {"chosen": [], "random": []}
    judged: list[Judged] = []
    for seed in asked.seeds:
        say(f"\nseed {seed}")
        drawn = np.random.default_rng(seed).permutation(pool)
        start, rest = drawn[: asked.start], np.sort(drawn[asked.start :])

        def learn(name: str, on: Ints, read: Ints, epochs: int, seed: int = seed) -> Floats:
            of, to = [texts[at] for at in on], [texts[at] for at in read]
            return learnt(name, of, truth[on], to, foundation=foundation, epochs=epochs, seed=seed)

        epochs = round(asked.epochs * asked.total / asked.start)
        said = learn("start", start, np.concatenate([rest, held_out]), epochs)
        judged.append(judge(seed, "start", said[len(rest) :], truth[held_out], truth[start]))
        choices = choose(
            probabilities=said[: len(rest)],
            thresholds=THRESHOLDS,
            texts=[texts[at] for at in rest],
            count=asked.total - asked.start,
            known=[texts[at] for at in start],
        )
        trained_on = {
            "chosen": np.concatenate([start, rest[[choice.report for choice in choices]]]),
            "random": drawn[: asked.total],
        }
        for name, on in trained_on.items():
            arms[name].append(learn(name, on, held_out, asked.epochs))
            judged.append(judge(seed, name, arms[name][-1], truth[held_out], truth[on]))
            model = bag_of_words([texts[at] for at in on], truth[on], strengths=[10])
            words = np.asarray(model.predict_proba([texts[at] for at in held_out]))
            judged.append(judge(seed, f"{name}, TF-IDF", words, truth[held_out], truth[on]))
        positives(truth, trained_on)
    pairs = list(zip(arms["chosen"], arms["random"], strict=True))
    by_seed = [difference([pair], truth[held_out]) for pair in pairs]
    show(judged, by_seed, difference(pairs, truth[held_out]), data=data, quick=asked.quick)


def arguments() -> argparse.Namespace:
    parser = benchmark_form.parser(
        __doc__,
        quick="10 and 20 of the last 60 reports, 20 held out, 2 epochs of a small foundation",
        data="the reports are made up",
        foundation=True,
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--start", type=int, default=60, help="reports that make the start model")
    parser.add_argument("--total", type=int, default=200, help="reports in either arm, those of the start included")
    parser.add_argument("--held-out", type=int, default=160)
    parser.add_argument("--epochs", type=int, default=6, help="of either arm")
    parser.add_argument("--reports", type=int, help="only the file's last so many, for a trial")
    given = parser.parse_args()
    if given.quick:
        given.start, given.total, given.held_out, given.reports, given.epochs, given.seeds = 10, 20, 20, 60, 2, [0]
    return given


def learnt(
    name: str, texts: Sequence[str], truth: Ints, read: Sequence[str], *, foundation: str, epochs: int, seed: int
) -> Floats:
    """What a classifier made from `texts` says of the texts to `read`: probabilities (texts, labels)."""
    began = time.monotonic()

    def show(step: TrainingStep) -> None:
        if step.step % 10 == 0 or step.step == step.steps:
            say(f"  {name}: step {step.step} of {step.steps}, loss {step.loss:.4f}, {time.monotonic() - began:.0f} s")

    with TemporaryDirectory() as scratch:
        out = Path(scratch) / "artifact"
        fine_tune(
            foundation,
            out,
            texts=texts,
            labels=truth,
            label_names=LABELS,
            epochs=epochs,
            seed=seed,
            on_step=show,
        )
        classifier = Classifier.load(out)
    return classifier.probabilities(read)


def judge(seed: int, name: str, said: Floats, truth: Ints, trained_on: Ints) -> Judged:
    found = metrics.evaluate(said, truth, THRESHOLDS)
    low, high = found.macro_f1_interval
    # Of the findings that occur: without a positive there is no precision.
    occur = truth.any(axis=0)
    precision = float(average_precision_score(truth[:, occur], said[:, occur]))
    return Judged(seed, name, len(trained_on), int(trained_on.sum()), found.macro_f1, (low, high), precision)


def difference(pairs: Sequence[tuple[Floats, Floats]], truth: Ints) -> Estimate:
    """Of each pair the first less the second, in macro F1 and averaged, with its interval by the paired bootstrap over
    reports.
    """
    measures = [
        comparison.difference(*(comparison.macro_f1(said >= THRESHOLDS, truth) for said in pair)) for pair in pairs
    ]
    return comparison.estimate(comparison.mean(measures), len(truth))


def show(judged: Sequence[Judged], by_seed: Sequence[Estimate], overall: Estimate, *, data: Data, quick: bool) -> None:
    seeds = list(dict.fromkeys(one.seed for one in judged))
    columns = ("made from", "seed", "reports", "positives", "macro F1", "95 %", "mean average precision")
    rows = (
        (
            *(one.name, one.seed, one.reports, one.positives),
            *(f"{one.macro_f1:.3f}", "{:.3f} to {:.3f}".format(*one.interval), f"{one.precision:.3f}"),
        )
        for one in judged
    )
    print(f"\nJudged on reports held out ({data})\n\n{markdown(columns, rows)}\n")
    differences = [(f"seed {seed}", one) for seed, one in zip(seeds, by_seed, strict=True)]
    signed = ((name, *(f"{value:+.3f}" for value in one)) for name, one in [*differences, ("mean", overall)])
    print(f"{markdown(('macro F1, chosen less random', 'difference', 'from', 'to'), signed)}\n")
    names = list(dict.fromkeys(one.name for one in judged))
    figures = {
        "chosen_less_random": round(overall.value, 4),
        "chosen_less_random_interval": [round(overall.low, 4), round(overall.high, 4)],
        "chosen_less_random_by_seed": [round(one.value, 4) for one in by_seed],
        "macro_f1": {name: [round(one.macro_f1, 4) for one in judged if one.name == name] for name in names},
        "mean_average_precision": {
            name: [round(one.precision, 4) for one in judged if one.name == name] for name in names
        },
        "seeds": seeds,
    }
    last_line(figures, data=data, quick=quick)


def positives(truth: Ints, trained_on: dict[str, Ints]) -> None:
    """Positive reports per finding in either arm, the rarest in the pool first."""
    counts = {name: truth[on].sum(axis=0) for name, on in trained_on.items()}
    for label in np.argsort(truth.sum(axis=0), kind="stable"):
        say(f"  {LABELS[label]}: " + ", ".join(f"{count[label]} {name}" for name, count in counts.items()))


if __name__ == "__main__":
    main(arguments())
