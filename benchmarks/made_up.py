"""How hard the made-up feed is: TF-IDF with logistic regression against the demonstration's small classifier.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/made_up.py [--train 2000] [--test 500] [--seed 0] [--threads 2] \
        [--quick]

Both are fitted on the same reports of both hospitals' earlier period and judged on others: of the first hospital, of
the second, and of both in the later period, whose words and mix of findings neither has seen (what continual learning
must mend). Thresholds are set on further reports of the earlier period, for both readers as the demonstration does it;
the intervals are bootstrap intervals over the reports judged.
"""

import argparse
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import benchmark_form
import numpy as np
import torch
from bag_of_words import bag_of_words
from benchmark_form import Data, last_line, markdown, progress
from numpy.typing import NDArray

from models import calibration, metrics
from models.classifier import Classifier
from models.encoder import new_encoder
from models.finetuning import fine_tune
from models.metrics import Evaluation
from models.vocabulary import train_wordpiece
from nightread import demo
from nightread.made_up import FINDINGS, Hospital, MadeUpReport, Period, reports

CALIBRATION = 300

Reads = Callable[[Sequence[str]], NDArray[np.float64]]


def main(wanted: argparse.Namespace) -> None:
    torch.set_num_threads(wanted.threads)

    train = [one for site in Hospital for one in reports(wanted.train // 2, seed=wanted.seed + 100, site=site)]
    tests = {
        f"{site.removeprefix('made-up-hospital-')}, {period}": list(
            reports(wanted.test, seed=wanted.seed + 200, site=site, period=period)
        )
        for period in Period
        for site in Hospital
    }
    held = [one for site in Hospital for one in reports(CALIBRATION // 2, seed=wanted.seed + 400, site=site)]
    readers = {"TF-IDF": words(train)}
    if not wanted.baseline_only:
        readers["classifier"] = classifier(train, seed=wanted.seed, epochs=wanted.epochs)
    thresholds = {name: calibration.thresholds(read(texts(held)), truth(held)) for name, read in readers.items()}
    found = {
        name: {
            reader: metrics.evaluate(read(texts(judged_on)), truth(judged_on), thresholds[reader])
            for reader, read in readers.items()
        }
        for name, judged_on in tests.items()
    }
    show(found, wanted)


def show(found: Mapping[str, Mapping[str, Evaluation]], wanted: argparse.Namespace) -> None:
    """By what was judged on, and by reader."""
    print(f"macro F1, fitted on {wanted.train} made-up reports of the earlier period, half of each hospital;")
    print(f"judged on {wanted.test} of each\n")
    rows = [(name, *map(score, by_reader.values())) for name, by_reader in found.items()]
    print(markdown(("judged on", *next(iter(found.values()))), rows))
    macro_f1 = {
        name: {reader: round(one.macro_f1, 4) for reader, one in by_reader.items()} for name, by_reader in found.items()
    }
    figures = {"macro_f1": macro_f1, "train": wanted.train, "test": wanted.test}
    last_line(figures, data=Data.MADE_UP, quick=wanted.quick)


def score(judged: Evaluation) -> str:
    low, high = judged.macro_f1_interval
    return f"{judged.macro_f1:.3f} ({low:.3f} to {high:.3f})"


def words(train: Sequence[MadeUpReport]) -> Reads:
    model = bag_of_words(texts(train), truth(train), strengths=(1, 10, 100))
    return lambda given: np.asarray(model.predict_proba(given), dtype=np.float64)


def classifier(train: Sequence[MadeUpReport], *, seed: int, epochs: int) -> Reads:
    """The demonstration's: a vocabulary, an encoder from random weights and its training, as `nightread demo` does."""
    started, worked = time.monotonic(), time.process_time()
    with TemporaryDirectory() as scratch:
        half = demo.CORPUS // 2
        corpus = [one.text for site in Hospital for one in reports(half, seed=seed + 300, site=site)]
        new_encoder(Path(scratch) / "foundation", train_wordpiece(corpus, demo.PIECES), layers=2, width=128)
        fine_tune(
            Path(scratch) / "foundation",
            Path(scratch) / "classifier",
            texts=texts(train),
            labels=truth(train),
            label_names=FINDINGS,
            epochs=epochs,
            seed=seed,
            learning_rate=demo.LEARNING_RATE,
        )
        loaded = Classifier.load(Path(scratch) / "classifier")
    taken, of_cpu = time.monotonic() - started, time.process_time() - worked
    progress(f"vocabulary and training: {taken:.0f} s, {of_cpu:.0f} s of the CPU")
    return loaded.probabilities


def texts(given: Sequence[MadeUpReport]) -> list[str]:
    return [one.text for one in given]


def truth(judged: Sequence[MadeUpReport]) -> NDArray[np.int8]:
    return np.array([[one.labels[name] for name in FINDINGS] for one in judged], dtype=np.int8)


def arguments() -> argparse.Namespace:
    parser = benchmark_form.parser(__doc__, quick="400 reports to fit on, 100 to judge on, 2 epochs")
    parser.add_argument("--train", type=int, default=demo.ANNOTATED, help="reports to fit on, of both hospitals")
    parser.add_argument("--test", type=int, default=500, help="reports to judge on, per hospital and period")
    parser.add_argument("--seed", type=int, default=0, help="of the reports")
    parser.add_argument("--epochs", type=int, default=demo.EPOCHS)
    parser.add_argument("--threads", type=int, default=2, help="of torch")
    parser.add_argument("--baseline-only", action="store_true", help="TF-IDF alone, which takes a minute")
    given = parser.parse_args()
    if given.quick:
        given.train, given.test, given.epochs = 400, 100, 2
    return given


if __name__ == "__main__":
    main(arguments())
