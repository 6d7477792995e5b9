"""Faithful heatmaps: are the words that ours weighs most the ones that the model goes by, and what does that cost?

    OMP_WAIT_POLICY=passive .venv/bin/python benchmarks/faithfulness.py [--foundation FOLDER] [--out FOLDER] \
        [--data ../shared/data] [--findings 80] [--csv FILE] [--png FILE] [--quick]

Two classifiers, each fitted on real English reports and made-up Korean ones together: BEFORE starts from the
foundation as it is, AFTER from the foundation moved to a bilingual vocabulary (`models/transplant.py`) and pre-trained
on Korean and English text. Both explain findings that are said (0.5 or more) and true, in real reports held out (the
last 160 unique texts of the file; neither pre-training nor fitting sees them) and in made-up Korean ones of another
seed, whose phrases both have seen. Ours, Captum's integrated gradients (50 steps, its own defaults) and gradient ×
input weigh the same words of the same sentences, and stand beside a random order. What is measured is in
`models/faithfulness.py`; the intervals are bootstrap percentiles over findings, and ours less Captum's is paired.

Seconds per finding are those of `Classifier.predict` with all sentences read before: for ours in jobs of 64 reports, as
a worker calls it, every finding explained and nothing explained before; for the others, and for ours once more, finding
by finding. One process a model, side by side, each with its share of the cores. What FOLDER holds already is used, so
a run that was stopped goes on. Where there are no real reports, made-up English ones stand for them.
"""

import argparse
import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypedDict

import benchmark_form
import numpy as np
import torch
from benchmark_form import (
    Data,
    foundation_or_default,
    is_real,
    labelled_reports,
    last_line,
    markdown,
    progress,
    results_folder,
)
from captum.attr import LayerGradientXActivation, LayerIntegratedGradients
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from shared_text import read, vocabulary
from torch import Tensor

from models import classifier_files, devices, masked_lm, metrics, packing
from models.classifier import Classifier, Finding
from models.classifier_files import ClassifierFiles
from models.corpus_text import Cleaner
from models.explaining import Explanation
from models.faithfulness import LEAST_NULL_DIFFERENCE, Removal, Rereader, Weighed
from models.finetuning import TrainingStep, fine_tune
from models.pretraining import PretrainingStep, Run, Settings, pretrain
from models.run_folder import MODEL
from models.sentences import Span
from models.transplant import transplant
from models.windows import to_ids
from nightread.made_up import FINDINGS, Style, reports

MODELS = {"before": "before bilingual pre-training", "after": "after bilingual pre-training"}
REAL, MADE_UP = "real reports (English)", "made-up reports (Korean)"
STAND_IN = "made-up reports (English)"  # for the real ones
OURS, CAPTUM, PRODUCT, RANDOM = "ours", "Captum IG, 50 steps", "gradient × input", "random"
METHODS = (OURS, CAPTUM, PRODUCT, RANDOM)
ALONE = "ours, finding by finding"  # timed only: its weights are ours
FIGURES = tuple(f"{name} {removal}" for name in ("comprehensiveness", "sufficiency") for removal in Removal)
NORMALISED = tuple(f"normalised {figure}" for figure in FIGURES)
# Raw sufficiency is what is lost when only the heaviest words are left, so less of it is better; see the library.
LESS_IS_BETTER = {figure for figure in FIGURES if figure.startswith("sufficiency")}
CLOSE = 0.02  # no further behind fifty steps than this
FIFTY = 50
REPORTS_IN_JOB = 64
LENGTH, ROWS = 128, 32  # a step of pre-training
# Seeds of made-up reports; what is judged shares none with what is learnt from.
FITTED_SEED, READ_SEED, HELD_OUT_SEED = 1, 3, 9
RESAMPLES = 2_000
COLOURS = dict(zip(METHODS, ("#0072b2", "#e69f00", "#cc79a7", "#999999"), strict=True))  # Okabe and Ito (2008)

Floats = NDArray[np.float64]


class Corpus(NamedTuple):
    texts: list[str]
    truth: NDArray[np.int64]  # (texts, labels)


class Figures(TypedDict):
    """What one model came to on one corpus; `values` by method and figure, a finding each, None where there is none."""

    macro_f1: list[float]  # with its interval
    findings: int
    seconds: dict[str, float]
    values: dict[str, dict[str, list[float | None]]]


Found = Mapping[str, Mapping[str, Figures]]  # by model and corpus


class Mean(NamedTuple):
    mean: float
    low: float
    high: float
    count: int


def main(given: argparse.Namespace) -> None:
    if given.model:
        work(given, given.out / given.model)
        return
    with results_folder(given.out, "faithfulness", quick=given.quick) as out:
        given.out, given.foundation = out, foundation_or_default(given.foundation, out, small=given.quick)
        settle(given)
        run_both(given)
        found: Found = {name: json.loads(results(given, name).read_text()) for name in MODELS}
    if given.csv is not None:
        write_csv(found, given.csv)
    if given.png is not None:
        draw(found, given.png)
    show_scores(found)
    show_faithfulness(found)
    show_differences(found)
    last_line(summary(found), data=Data.BOTH if is_real(given.data) else Data.MADE_UP, quick=given.quick)


def settle(given: argparse.Namespace) -> None:
    """Refuses a folder of models that were made otherwise, which would be used without a word."""
    names = (
        "foundation",
        "data",
        "real",
        "made_up",
        "epochs",
        "learning_rate",
        "steps",
        "pretraining_rate",
        "size",
        "text",
        "held_out",
        "seed",
    )
    settings = {name: str(getattr(given, name)) for name in names}
    path: Path = given.out / "settings.json"
    if path.exists():
        differ = [name for name, value in json.loads(path.read_text()).items() if settings.get(name) != value]
        if differ:
            sys.exit(f"{given.out} holds models made with another {', '.join(differ)}; name another --out")
    path.write_text(json.dumps(settings, indent=2))


def run_both(given: argparse.Namespace) -> None:
    threads = str(max(1, (os.cpu_count() or 1) // len(MODELS)))
    environment = {"OMP_NUM_THREADS": threads, "OMP_WAIT_POLICY": "passive", **os.environ}
    chosen = ("--out", str(given.out), "--foundation", given.foundation)  # whether they were named or not
    command = (sys.executable, __file__, *sys.argv[1:], *chosen)
    waiting = [name for name in MODELS if not results(given, name).exists()]
    running = {name: subprocess.Popen([*command, "--model", name], env=environment) for name in waiting}
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped; the same command goes on from here"))  # children too
    try:
        failed = [name for name, process in running.items() if process.wait() != 0]
    finally:
        for process in running.values():
            if process.poll() is None:
                process.terminate()
    if failed:
        sys.exit(f"no figures for {' and '.join(failed)}: see above; the same command goes on from there")


def results(given: argparse.Namespace, name: str) -> Path:
    path: Path = given.out / name / f"faithfulness-{given.findings}-{given.threshold}.json"
    return path


# One model: its encoder, its classifier, its figures.


def work(given: argparse.Namespace, folder: Path) -> None:
    english, pool, held_out = english_reports(given)
    chosen = np.random.default_rng(given.seed).permutation(len(pool.texts))[: given.real]
    fitted = made_up(given.made_up, seed=FITTED_SEED)
    texts = [pool.texts[at] for at in chosen] + fitted.texts
    truth = np.concatenate([pool.truth[chosen], fitted.truth])
    explained = {english: held_out, MADE_UP: made_up(given.held_out, seed=HELD_OUT_SEED, never=set(fitted.texts))}

    foundation = given.foundation if given.model == "before" else bilingual(given, folder, pool.texts, held_out.texts)
    if not (folder / "classifier").exists():
        say(given, f"fitting on {len(chosen)} {english} and {len(fitted.texts)} {MADE_UP}")
        fine_tune(
            foundation,
            folder / "classifier",
            texts=texts,
            labels=truth,
            label_names=FINDINGS,
            epochs=given.epochs,
            learning_rate=given.learning_rate,
            seed=given.seed,
            on_step=shown(given),
        )
    figures = {name: explain(given, folder / "classifier", name, corpus) for name, corpus in explained.items()}
    part = results(given, given.model).with_suffix(".part")
    part.write_text(json.dumps(figures))
    part.replace(results(given, given.model))


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


def bilingual(given: argparse.Namespace, folder: Path, pool: Sequence[str], held_out: Sequence[str]) -> Path:
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
    for report in held_out:
        cleaner.clean(report)
    text += [cleaned for cleaned in map(cleaner.clean, pool) if cleaned is not None]
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


class Captum:
    """Token weights as Captum's users get them: attributed to the word embeddings, a sentence and label at a time."""

    def __init__(self, files: ClassifierFiles, attribute: Callable[[Tensor, Tensor, Tensor, int], Tensor]) -> None:
        self._attribute = attribute
        tokenizer = files.tokenizer
        self._mask = int(tokenizer.mask_token_id)
        stays = set(tokenizer.all_special_ids) - {tokenizer.unk_token_id, self._mask}
        self._device = files.model.head.weight.device
        self._stays = torch.tensor(sorted(stays), device=self._device)

    def explain(self, pairs: Iterable[tuple[bytes, int]]) -> dict[tuple[bytes, int], Explanation]:
        explanations = {}
        for key, label in pairs:
            ids = torch.tensor([to_ids(key)], device=self._device)
            masked = torch.where(torch.isin(ids, self._stays), ids, self._mask)
            weights = self._attribute(ids, masked, torch.ones_like(ids), label).sum(-1)[0]
            explanations[key, label] = Explanation(weights.detach().cpu().numpy(), 0.0)
        return explanations


def fifty_steps(files: ClassifierFiles) -> Captum:
    captum = LayerIntegratedGradients(logits_of(files), files.model.encoder.get_input_embeddings())
    return Captum(
        files,
        lambda ids, masked, attention, label: captum.attribute(
            ids, baselines=masked, additional_forward_args=(attention,), target=label, n_steps=FIFTY
        ),
    )


def gradient_times_input(files: ClassifierFiles) -> Captum:
    captum = LayerGradientXActivation(logits_of(files), files.model.encoder.get_input_embeddings())
    return Captum(
        files,
        lambda ids, masked, attention, label: captum.attribute(ids, additional_forward_args=(attention,), target=label),
    )


def logits_of(files: ClassifierFiles) -> Callable[[Tensor, Tensor], Tensor]:
    # Captum's hooks need something there that wants a gradient; nothing else does, which is the cheapest for it.
    files.model.encoder.get_input_embeddings().requires_grad_(True)
    return lambda ids, attention: files.model(attention, ids=ids)


OTHERS: Mapping[str, Callable[[ClassifierFiles], Captum]] = {CAPTUM: fifty_steps, PRODUCT: gradient_times_input}


def explain(given: argparse.Namespace, folder: Path, name: str, corpus: Corpus) -> Figures:
    """Explains the corpus's findings by every method, and measures how faithful each is."""
    device = devices.pick()

    def fresh(explainer: Callable[[ClassifierFiles], Captum] | None = None) -> Classifier:
        """The classifier with nothing explained yet, in float32 everywhere, so that methods differ by nothing else."""
        files = classifier_files.load(folder)
        files.model.to(device)
        return Classifier(files, device, explains=explainer(files) if explainer else None)

    # What is said, and is true.
    classifier = fresh()
    said = np.array(only_read(classifier, corpus.texts))
    score = metrics.evaluate(said, corpus.truth, [0.5] * len(FINDINGS))
    pairs = np.argwhere(corpus.truth == 1)
    # Both models draw from one order, so that they explain the same findings as far as both find them.
    order = np.random.default_rng(given.seed).permutation(len(pairs))
    asked = [(int(r), int(label)) for r, label in pairs[order] if said[r, label] >= np.float32(given.threshold)]
    asked = asked[: given.findings]
    figures = Figures(macro_f1=[score.macro_f1, *score.macro_f1_interval], findings=0, seconds={}, values={})
    if not asked:
        say(given, f"{name}: no finding is said and true, so there is nothing to explain; fit it for longer")
        return figures

    # Words and their weights, and how long they take.
    weights, seconds, count = in_jobs(classifier, corpus.texts, given.threshold)
    found = {OURS: {pair: weights[pair] for pair in asked}}
    figures["seconds"][OURS] = seconds / count
    say(given, f"{name}: {count} findings explained in {seconds:.0f} s; {len(asked)} of them are judged")
    for method, explainer in {ALONE: None, **OTHERS}.items():
        found[method], seconds = finding_by_finding(fresh(explainer), corpus.texts, asked, given.threshold)
        figures["seconds"][method] = seconds / len(asked)
        say(given, f"{name}: {method}, {seconds / len(asked):.3f} s a finding")
    del found[ALONE]
    random = np.random.default_rng(given.seed)
    found[RANDOM] = {
        pair: finding._replace(weights=tuple(random.random(len(finding.weights))))
        for pair, finding in found[OURS].items()
    }

    # How faithful they are.
    files = classifier_files.load(folder)
    files.model.to(device)
    rereader = Rereader(files, device)
    figures["findings"] = len(asked)
    for method, by_pair in found.items():
        weighed = [
            Weighed(corpus.texts[report], label, list(map(Span, one.starts, one.ends)), one.weights)
            for (report, label), one in by_pair.items()
        ]
        figures["values"][method] = values = {}
        for removal in Removal:
            measured = rereader.measure(weighed, removal)
            values[f"comprehensiveness {removal}"] = [one.comprehensiveness for one in measured]
            values[f"sufficiency {removal}"] = [one.sufficiency for one in measured]
            shares = [one.normalised for one in measured]
            values[f"normalised comprehensiveness {removal}"] = [one and one.comprehensiveness for one in shares]
            values[f"normalised sufficiency {removal}"] = [one and one.sufficiency for one in shares]
        say(given, f"{name}: {method} judged")
    return figures


def only_read(classifier: Classifier, texts: Sequence[str]) -> list[Sequence[float]]:
    """Probabilities; the classifier has then read every sentence."""
    predictions = classifier.predict(texts, thresholds=[2.0] * len(FINDINGS), explain=False)
    return [one.probabilities for one in predictions]


def in_jobs(
    classifier: Classifier, texts: Sequence[str], threshold: float
) -> tuple[dict[tuple[int, int], Finding], float, int]:
    """All findings of texts that were read before, by text and label, the seconds it took, and how many they are."""
    found: dict[tuple[int, int], Finding] = {}
    began = time.perf_counter()
    for first in range(0, len(texts), REPORTS_IN_JOB):
        job = texts[first : first + REPORTS_IN_JOB]
        for report, said in enumerate(classifier.predict(job, thresholds=[threshold] * len(FINDINGS)), first):
            found |= {(report, FINDINGS.index(finding.label)): finding for finding in said.findings}
    return found, time.perf_counter() - began, len(found)


def finding_by_finding(
    classifier: Classifier, texts: Sequence[str], asked: Sequence[tuple[int, int]], threshold: float
) -> tuple[dict[tuple[int, int], Finding], float]:
    """The findings asked for by text and label, each explained alone, and the seconds it took."""
    only_read(classifier, [texts[report] for report in dict.fromkeys(report for report, _ in asked)])
    found: dict[tuple[int, int], Finding] = {}
    began = time.perf_counter()
    for report, label in asked:
        thresholds = [2.0] * len(FINDINGS)
        thresholds[label] = threshold
        [said] = classifier.predict([texts[report]], thresholds=thresholds)
        [found[report, label]] = said.findings
    return found, time.perf_counter() - began


def shown(given: argparse.Namespace) -> Callable[[TrainingStep | PretrainingStep], None]:
    began = time.monotonic()

    def show(step: TrainingStep | PretrainingStep) -> None:
        if step.step % 10 == 0 or step.step == step.steps:
            say(given, f"step {step.step} of {step.steps}, loss {step.loss:.4f}, {time.monotonic() - began:.0f} s")

    return show


def say(given: argparse.Namespace, line: str) -> None:
    progress(f"{given.model}: {line}")


# Both models: tables and picture.


def mean(values: Sequence[float | None]) -> Mean | None:
    """The mean and its interval by the bootstrap over findings; those without a figure stay out."""
    there = np.array([value for value in values if value is not None])
    if not len(there):
        return None
    draws = np.random.default_rng(0).integers(len(there), size=(RESAMPLES, len(there)))
    low, high = np.percentile(there[draws].mean(1), (2.5, 97.5))
    return Mean(float(there.mean()), float(low), float(high), len(there))


def behind(figures: Figures) -> dict[str, Mean]:
    """Ours less fifty steps by figure, finding by finding."""
    found = {}
    for figure in (*FIGURES, *NORMALISED):
        pairs = zip(figures["values"][OURS][figure], figures["values"][CAPTUM][figure], strict=True)
        difference = mean([a - b for a, b in pairs if a is not None and b is not None])
        if difference is not None:
            found[figure] = difference
    return found


def close(figure: str, difference: Mean) -> bool:
    """Whether ours is at most so far behind; to be ahead is no fault."""
    return (difference.mean if figure in LESS_IS_BETTER else -difference.mean) <= CLOSE


def verdicts(found: Found) -> tuple[int, int, int]:
    """In how many figures ours is close enough to fifty steps, of how many, and how many of these tell fifty steps from
    a random order.
    """
    within = compared = telling = 0
    for _, _, figures in by_corpus(found):
        for figure, difference in behind(figures).items():
            captum, random = (mean(figures["values"][method][figure]) for method in (CAPTUM, RANDOM))
            assert captum is not None and random is not None  # as many findings as the difference has
            ahead = (random.mean - captum.mean) if figure in LESS_IS_BETTER else (captum.mean - random.mean)
            within += close(figure, difference)
            compared += 1
            telling += ahead > CLOSE
    return within, compared, telling


def corpora(found: Found) -> list[str]:
    return list(found["before"])


def data_of(corpus: str) -> Data:
    return Data.REAL if corpus == REAL else Data.MADE_UP


def by_corpus(found: Found) -> Iterator[tuple[str, str, Figures]]:
    """Every model and corpus that has findings."""
    for corpus in corpora(found):
        for name in MODELS:
            if found[name][corpus]["findings"]:
                yield name, corpus, found[name][corpus]


def show_scores(found: Found) -> None:
    scores = (
        (MODELS[name], *("{:.3f} ({:.3f} to {:.3f})".format(*one["macro_f1"]) for one in by_name.values()))
        for name, by_name in found.items()
    )
    columns = ("held-out reports", *(f"macro F1, {corpus}" for corpus in corpora(found)))
    print(f"\n{markdown(columns, scores)}")


def show_faithfulness(found: Found) -> None:
    for figures_shown, title in (
        (FIGURES, "faithfulness, of the probability (less sufficiency is better: it is what is lost)"),
        (
            NORMALISED,
            f"faithfulness, normalised (more is better; null differences below {LEAST_NULL_DIFFERENCE} left out)",
        ),
    ):
        names = (figure.removeprefix("normalised ") for figure in figures_shown)
        rows = []
        for name, corpus, figures in by_corpus(found):
            for method in METHODS:
                means = [mean(figures["values"][method][figure]) for figure in figures_shown]
                counts = "/".join(dict.fromkeys(str(one.count if one else 0) for one in means))  # masked/deleted
                rows.append((corpus, name, method, counts, *map(cell, means), seconds(figures, method)))
        print(f"\n{title}\n")
        print(markdown(("corpus", "model", "method", "findings", *names, "s a finding"), rows))


def show_differences(found: Found) -> None:
    """The check: ours against fifty steps, in every figure, and what either costs."""
    for name, corpus, figures in by_corpus(found):
        left_out = (
            f"{figures['values'][OURS][f'normalised sufficiency {removal}'].count(None)} {removal}"
            for removal in Removal
        )
        print(f"\n{name}, {corpus}: {figures['findings']} findings; not normalised: {', '.join(left_out)}")
        for figure, difference in behind(figures).items():
            verdict = "within" if close(figure, difference) else "NOT within"
            one = f"{difference.mean:+.3f} ({difference.low:+.3f} to {difference.high:+.3f})"
            print(f"ours_minus_ig50 {figure.replace(' ', '_')} {one} {verdict} {CLOSE}")
        for what, method in (("", OURS), ("_finding_by_finding", ALONE)):
            ratio = figures["seconds"][method] / figures["seconds"][CAPTUM]
            print(f"ours_over_ig50_seconds{what} {ratio:.3f}")
    for name, by_name in found.items():
        for corpus in (corpus for corpus, figures in by_name.items() if not figures["findings"]):
            print(f"\n{name}, {corpus}: no finding was said and true, so nothing was explained")
    within, compared, telling = verdicts(found)
    print(
        f"\nours is within {CLOSE} of {FIFTY} steps in {within} of {compared} figures; in {telling} of them they beat "
        f"a random order by more than {CLOSE}, without which the comparison says nothing\n"
    )


def cell(found: Mean | None) -> str:
    return "–" if found is None else f"{found.mean:.2f} ({found.low:.2f} to {found.high:.2f})"


def seconds(figures: Figures, method: str) -> str:
    taken = figures["seconds"].get(method)
    return "–" if taken is None else f"{taken:.3f}"


def write_csv(found: Found, path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(
            ("model", "corpus", "data", "method", "figure", "findings", "mean", "low", "high", "seconds per finding")
        )
        for name, corpus, figures in by_corpus(found):
            for method in METHODS:
                for figure in (*FIGURES, *NORMALISED):
                    one = mean(figures["values"][method][figure])
                    values = (one.count, one.mean, one.low, one.high) if one else (0, "", "", "")
                    taken = figures["seconds"].get(method, "")
                    writer.writerow((name, corpus, data_of(corpus), method, figure, *values, taken))
            for figure, one in behind(figures).items():
                values = (one.count, one.mean, one.low, one.high)
                writer.writerow((name, corpus, data_of(corpus), "ours less 50 steps", figure, *values, ""))


def draw(found: Found, out: Path) -> None:
    """The normalised figures, which can be compared across models, with their intervals."""
    figure = Figure(figsize=(13, 6.5), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(len(corpora(found)), len(NORMALISED), sharey=True, squeeze=False)
    for row, corpus in zip(grid, corpora(found), strict=True):
        for axes, shown_figure in zip(row, NORMALISED, strict=True):
            for place, name in enumerate(MODELS):
                for offset, method in enumerate(METHODS):
                    values = found[name][corpus]["values"].get(method, {}).get(shown_figure, [])
                    one = mean(values)
                    if one is None:
                        continue
                    axes.errorbar(
                        place + 0.18 * (offset - 1.5),
                        one.mean,
                        yerr=[[one.mean - one.low], [one.high - one.mean]],
                        fmt="o",
                        markersize=5,
                        capsize=3,
                        color=COLOURS[method],
                        label=method if place == 0 else None,
                    )
            axes.set_xticks(range(len(MODELS)), MODELS)
            axes.set_xlim(-0.5, len(MODELS) - 0.5)
            axes.set_ylim(0, 1.02)
            axes.grid(axis="y", color="0.92")
            axes.set_axisbelow(True)
            axes.spines[["top", "right"]].set_visible(False)
            axes.set_title(shown_figure.removeprefix("normalised ").replace(" ", ", words "), fontsize=10)
        row[0].set_ylabel(corpus)
    handles, names = next((legend for axes in grid.flat if (legend := axes.get_legend_handles_labels())[0]), ([], []))
    figure.legend(handles, names, loc="outside lower center", ncols=len(METHODS), frameon=False)
    figure.suptitle(
        "Faithfulness, normalised by the null difference (more is better), before and after bilingual pre-training\n"
        "Korean reports are made up; bars are 95 % intervals over findings"
    )
    part = out.with_name(f".{out.name}.part")
    figure.savefig(part, format="png", dpi=150)
    part.replace(out)


def summary(found: Found) -> dict[str, object]:
    rows = []
    within, compared, telling = verdicts(found)
    for name, corpus, figures in by_corpus(found):
        differences = behind(figures)
        rows.append(
            {
                "data": data_of(corpus),
                "corpus": corpus,
                "model": name,
                "findings": figures["findings"],
                "macro_f1": round(figures["macro_f1"][0], 4),
                **{
                    method: {
                        figure: round(one.mean, 4)
                        for figure in (*FIGURES, *NORMALISED)
                        if (one := mean(figures["values"][method][figure]))
                    }
                    for method in METHODS
                },
                "ours_minus_ig50": {figure: round(one.mean, 4) for figure, one in differences.items()},
                "seconds_per_finding": {method: round(one, 5) for method, one in figures["seconds"].items()},
                "ours_over_ig50_seconds": round(figures["seconds"][OURS] / figures["seconds"][CAPTUM], 4),
            }
        )
    return {
        "within": CLOSE,
        "figures_within": within,
        "figures_compared": compared,
        "figures_that_tell_fifty_steps_from_random": telling,
        "results": rows,
    }


def arguments() -> argparse.Namespace:
    parser = benchmark_form.parser(
        __doc__,
        quick="a trial of all that it does on a small foundation; its figures mean nothing",
        data="made-up English reports stand for the real ones",
        out="the models; what it holds is used",
        foundation=True,
    )
    parser.add_argument("--findings", type=int, default=80, help="judged for each model and corpus")
    parser.add_argument("--real", type=int, default=250, help="real reports to fit on")
    parser.add_argument("--made-up", type=int, default=250, help="made-up Korean reports to fit on, as many to read")
    parser.add_argument("--held-out", type=int, default=160, help="reports of either kind that findings are taken from")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--learning-rate", type=float, default=1.5e-4, help="of fitting")
    parser.add_argument("--steps", type=int, default=200, help="of pre-training, 32 packed rows of 128 tokens each")
    parser.add_argument(
        "--pretraining-rate",
        type=float,
        default=1e-4,
        help="peak learning rate of pre-training; at 5e-4 a small foundation with a fresh head forgets how to read",
    )
    parser.add_argument("--size", type=int, default=8_000, help="pieces of the bilingual vocabulary")
    parser.add_argument("--text", type=int, help="documents of general text to pre-train on (default: all)")
    parser.add_argument("--threshold", type=float, default=0.5, help="from which probability on a finding is said")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--csv", type=Path)
    parser.add_argument("--png", type=Path)
    parser.add_argument("--model", choices=MODELS, help=argparse.SUPPRESS)
    parsed = parser.parse_args()
    if parsed.quick:
        small = {"findings": 4, "real": 60, "made_up": 60, "held_out": 8, "epochs": 4, "steps": 2, "size": 8_000}
        vars(parsed).update(small, text=300, threshold=0.2, learning_rate=2e-3)
    return parsed


if __name__ == "__main__":
    main(arguments())
