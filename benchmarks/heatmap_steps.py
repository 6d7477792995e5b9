"""How many gradients a heatmap takes, and where on the path from masked words to the sentence they are best taken.

    .venv/bin/python benchmarks/heatmap_steps.py [--data ../shared/data] [--explained 60] [--quick]

The integral of `models/attribution.py` in few steps, even or ours, against sixty even ones: how much of a heatmap's
weight stands elsewhere (the sum of absolute differences over the sum of absolute weights), and how much of the way from
the masked sentence's logit to the sentence's is left unexplained; means over pairs of sentence and finding. The model
is the installed encoder with a head fitted on 250 reports; read are reports that it was not fitted on, and made-up
Korean ones. Whether the words are the right ones is `faithfulness.py`'s question.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from benchmark_form import Data, foundation_or_default, labelled_reports, last_line, markdown, parser, progress
from fitted_head import as_many_as_there_are, fit_head
from numpy.typing import NDArray
from torch import Tensor

from models import classifier_files
from models.attribution import integrated_gradients, slopes
from models.batching import pad
from models.classifier import Classifier
from models.classifier_files import ClassifierFiles
from models.explaining import Explanation
from models.windows import to_ids
from nightread.made_up import FINDINGS, Style, reports

CPU = torch.device("cpu")
ALL = 60  # even steps, which stand for the integral
EVEN, OURS = (3, 4, 6), (3, 4, 5)
EARLY = 0.6  # of the path

Floats = NDArray[np.float64]
Pair = tuple[bytes, int]  # a window's key and a label's index


class Corpus(NamedTuple):
    name: str
    texts: list[str]
    data: Data


class Pairs:
    """Explains nothing, and remembers what it was to explain."""

    def __init__(self) -> None:
        self.asked: list[Pair] = []

    def explain(self, pairs: Iterable[Pair]) -> Mapping[Pair, Explanation]:
        self.asked += pairs
        return {}


class Off(NamedTuple):
    """Of one heatmap; `early` is how much of all that the slopes gather, they gather before EARLY."""

    elsewhere: dict[str, float]
    unexplained: dict[str, float]
    early: float


def main(given: argparse.Namespace) -> None:
    read = labelled_reports(given.data)
    corpora = [
        Corpus("reports (English)", read.texts[given.fitted : given.fitted + given.read], read.data),
        Corpus(
            "made-up reports (Korean)",
            [one.text for one in reports(given.read, seed=9, styles={Style.KOREAN: 1})],
            Data.MADE_UP,
        ),
    ]
    with tempfile.TemporaryDirectory(prefix="nightread-heatmap-steps-") as scratch:
        foundation = Path(foundation_or_default(None, Path(scratch)))
        progress(f"fitting on {given.fitted} reports")
        fitted, truth = read.texts[: given.fitted], read.truth[: given.fitted]
        fit_head(foundation, Path(scratch) / "classifier", texts=fitted, truth=truth, labels=list(FINDINGS))
        files = classifier_files.load(Path(scratch) / "classifier")
    thresholds = as_many_as_there_are(Classifier(files, CPU).probabilities(fitted), truth)
    found = [(corpus, list(measured(files, corpus, thresholds, given))) for corpus in corpora]
    show(found)
    both = Data.BOTH if read.data is Data.REAL else Data.MADE_UP
    last_line({"results": [summary(corpus, offs) for corpus, offs in found]}, data=both, quick=given.quick)


def measured(
    files: ClassifierFiles, corpus: Corpus, thresholds: list[float], given: argparse.Namespace
) -> Iterator[Off]:
    pairs = Pairs()
    Classifier(files, CPU, explains=pairs).predict(corpus.texts, thresholds=thresholds)
    asked = list(dict.fromkeys(pairs.asked))
    if not asked:
        sys.exit(f"no report of {corpus.name} has a finding, so that there is nothing to explain")
    order = np.random.default_rng(given.seed).permutation(len(asked))[: given.explained]
    progress(f"{corpus.name}: {len(order)} of {len(asked)} pairs of sentence and finding")
    for index in order:
        yield off(files, *asked[index])


def off(files: ClassifierFiles, key: bytes, label: int) -> Off:
    ids, attention = pad([to_ids(key)], 0, CPU)
    special = torch.isin(ids, torch.tensor([files.tokenizer.cls_token_id, files.tokenizer.sep_token_id]))
    baseline = torch.where(special, ids, int(files.tokenizer.mask_token_id))
    row = (files.model, ids, attention, baseline, torch.tensor([label]))
    steep = slopes(*row, even(ALL))[:, 0]
    whole = steep.mean(0)
    with torch.inference_mode():
        way = float((files.model(attention, ids=ids) - files.model(attention, ids=baseline))[0, label])
    heatmaps = {f"{steps} even": slopes(*row, even(steps))[:, 0].mean(0) for steps in EVEN}
    heatmaps |= {f"{steps} ours": integrated_gradients(*row, steps=steps)[0] for steps in OURS}
    weight = float(whole.abs().sum())
    return Off(
        {name: float((one - whole).abs().sum()) / weight for name, one in heatmaps.items()},
        {name: abs(way - float(one.sum())) / weight for name, one in heatmaps.items()},
        float(steep[: int(EARLY * ALL)].abs().sum() / steep.abs().sum()),
    )


def even(steps: int) -> Tensor:
    return (torch.arange(steps) + 0.5) / steps


def means(values: list[dict[str, float]]) -> dict[str, float]:
    return {name: float(np.mean([one[name] for one in values])) for name in values[0]}


def summary(corpus: Corpus, offs: list[Off]) -> dict[str, object]:
    return {
        "corpus": corpus.name,
        "data": corpus.data,
        "pairs": len(offs),
        "elsewhere": {name: round(value, 3) for name, value in means([one.elsewhere for one in offs]).items()},
        "unexplained": {name: round(value, 3) for name, value in means([one.unexplained for one in offs]).items()},
        "gathered_early": round(float(np.mean([one.early for one in offs])), 3),
    }


def show(found: list[tuple[Corpus, list[Off]]]) -> None:
    rows: list[list[object]] = []
    for corpus, offs in found:
        elsewhere, unexplained = (means([one[at] for one in offs]) for at in (0, 1))
        name = f"{corpus.data} {corpus.name}" if corpus.data is Data.REAL else corpus.name
        rows += [[name, steps, f"{elsewhere[steps]:.3f}", f"{unexplained[steps]:.3f}"] for steps in elsewhere]
    print("\n" + markdown(["corpus", "steps", "weight elsewhere", "unexplained"], rows) + "\n")
    for corpus, offs in found:
        early = np.mean([one.early for one in offs])
        print(f"{corpus.name}: {early:.0%} of what {len(offs)} findings gather lies before {EARLY} of the way")


def arguments() -> argparse.Namespace:
    made = parser(__doc__, quick="6 pairs a corpus, a head fitted on 60", data="reports are made up")
    made.add_argument("--explained", type=int, default=60, help="pairs of sentence and finding a corpus")
    made.add_argument("--fitted", type=int, default=250, help="reports that the head is fitted on")
    made.add_argument("--read", type=int, default=150, help="reports of each corpus that the pairs are drawn from")
    made.add_argument("--seed", type=int, default=0, help="draws the pairs")
    given = made.parse_args()
    if given.quick:
        vars(given).update(explained=6, fitted=60, read=20)
    return given


if __name__ == "__main__":
    main(arguments())
