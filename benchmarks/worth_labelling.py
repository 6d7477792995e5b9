"""Are 200 reports with 140 of them chosen worth more than 200 at random? Measured on real reports, seed by seed.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/worth_labelling.py ../shared/data/chest-ct-reports/reports.csv \
        --foundation FOLDER --seeds 0 1 2

Unique texts in file order, the last 160 held out, as in `real_reports.py`. For every seed 60 reports at random make a
start model, in as many steps as an arm has later (six epochs of 60 reports teach next to nothing). What it says of
the other reports chooses 140 more (`pipeline/worth_labelling.py`); the arm beside it gets 140 at random. Both arms
are trained alike from the foundation on their 200 and judged on the same 160: macro F1 with every threshold at 0.5
and, since choosing shifts how often a finding occurs, the mean average precision, which needs no threshold. TF-IDF
with logistic regression, on the same two sets, stands beside it.
"""

import argparse
import csv
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline

from models import comparison, metrics
from models.classifier import Classifier
from models.finetuning import TrainingStep, fine_tune
from pipeline.label_sets import CT_RATE_FINDINGS
from pipeline.worth_labelling import choose

LABELS = [finding[0] for finding in CT_RATE_FINDINGS]
THRESHOLDS = [0.5] * len(LABELS)

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def main() -> None:
    asked = arguments()
    texts, truth = read(asked.source)
    if asked.reports:
        texts, truth = texts[-asked.reports :], truth[-asked.reports :]
    pool, held_out = np.arange(len(texts) - asked.held_out), np.arange(len(texts) - asked.held_out, len(texts))
    say(f"{len(pool)} reports to choose from, {len(held_out)} held out; {asked.start} to start, {asked.total} in all")
    arms: dict[str, list[Floats]] = {"chosen": [], "random": []}
    for seed in asked.seeds:
        say(f"\nseed {seed}")
        drawn = np.random.default_rng(seed).permutation(pool)
        start, rest = drawn[: asked.start], np.sort(drawn[asked.start :])

        def learn(name: str, on: Ints, read: Ints, epochs: int, seed: int = seed) -> Floats:
            of, to = [texts[at] for at in on], [texts[at] for at in read]
            return learnt(name, of, truth[on], to, foundation=asked.foundation, epochs=epochs, seed=seed)

        epochs = round(asked.epochs * asked.total / asked.start)
        said = learn("start", start, np.concatenate([rest, held_out]), epochs)
        report("start", said[len(rest) :], truth[held_out], truth[start])
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
            report(name, arms[name][-1], truth[held_out], truth[on])
            words = tf_idf([texts[at] for at in on], truth[on], [texts[at] for at in held_out])
            report(f"{name}, TF-IDF", words, truth[held_out], truth[on])
        compare("chosen less random", arms["chosen"][-1:], arms["random"][-1:], truth[held_out])
        positives(truth, trained_on)
    if len(asked.seeds) > 1:
        say("")
        compare(
            f"chosen less random, mean of {len(asked.seeds)} seeds", arms["chosen"], arms["random"], truth[held_out]
        )


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("source", type=Path, help="CSV with report_text and a 0/1 column per CT-RATE finding")
    parser.add_argument("--foundation", required=True, help="encoder: a folder or hub id")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--start", type=int, default=60, help="reports that make the start model")
    parser.add_argument("--total", type=int, default=200, help="reports in either arm, those of the start included")
    parser.add_argument("--held-out", type=int, default=160)
    parser.add_argument("--epochs", type=int, default=6, help="of either arm")
    parser.add_argument("--reports", type=int, help="only the file's last so many, for a trial")
    return parser.parse_args()


def read(source: Path) -> tuple[list[str], Ints]:
    """Unique texts in file order, and their labels (texts, labels)."""
    with source.open(encoding="utf-8", newline="") as stream:
        first: dict[str, dict[str, str]] = {}
        for row in csv.DictReader(stream):
            first.setdefault(row["report_text"], row)
    return list(first), np.array([[int(row[label]) for label in LABELS] for row in first.values()])


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
    never = [2.0] * len(LABELS)
    return np.array([one.probabilities for one in classifier.predict(read, thresholds=never, explain=False)])


def tf_idf(texts: Sequence[str], truth: Ints, read: Sequence[str]) -> Floats:
    model = make_pipeline(
        TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True),
        OneVsRestClassifier(LogisticRegression(max_iter=2000, class_weight="balanced", C=10)),
    )
    model.fit(texts, truth)
    return np.asarray(model.predict_proba(read))


def report(name: str, said: Floats, truth: Ints, trained_on: Ints) -> None:
    judged = metrics.evaluate(said, truth, THRESHOLDS)
    low, high = judged.macro_f1_interval
    precision = average_precision_score(truth, said)
    say(
        f"  {name}: {len(trained_on)} reports, {trained_on.sum()} positives; "
        f"macro F1 {judged.macro_f1:.3f} ({low:.3f} to {high:.3f}), mean average precision {precision:.3f}"
    )


def compare(name: str, ours: Sequence[Floats], theirs: Sequence[Floats], truth: Ints) -> None:
    """The difference in macro F1, averaged over seeds, with its interval by the paired bootstrap over reports."""
    pairs = [
        comparison.difference(*(comparison.macro_f1(said >= THRESHOLDS, truth) for said in pair))
        for pair in zip(ours, theirs, strict=True)
    ]
    value, low, high = comparison.estimate(comparison.mean(pairs), len(truth))
    by_seed = ", ".join(f"{comparison.estimate(pair, len(truth), resamples=1).value:+.3f}" for pair in pairs)
    say(f"  {name}: macro F1 {value:+.3f} (paired bootstrap {low:+.3f} to {high:+.3f}); by seed {by_seed}")


def positives(truth: Ints, trained_on: dict[str, Ints]) -> None:
    """Positive reports per finding in either arm, the rarest in the pool first."""
    counts = {name: truth[on].sum(axis=0) for name, on in trained_on.items()}
    for label in np.argsort(truth.sum(axis=0), kind="stable"):
        say(f"  {LABELS[label]}: " + ", ".join(f"{count[label]} {name}" for name, count in counts.items()))


def say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    main()
