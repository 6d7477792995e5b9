"""How faithful each method's heatmaps of a corpus are to one classifier, and how long they take: figures by finding."""

import argparse
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypedDict

import numpy as np
from captum_heatmaps import FIFTY, Captum, fifty_steps, gradient_times_input
from faithfulness_models import Corpus, say

from models import classifier_files, devices, metrics
from models.classifier import Classifier, Finding
from models.classifier_files import ClassifierFiles
from models.faithfulness import Removal, Rereader, Weighed
from models.sentences import Span
from nightread.made_up import FINDINGS

OURS, CAPTUM, PRODUCT, RANDOM = "ours", f"Captum IG, {FIFTY} steps", "gradient × input", "random"
METHODS = (OURS, CAPTUM, PRODUCT, RANDOM)
ALONE = "ours, finding by finding"  # timed only: its weights are ours
OTHERS: Mapping[str, Callable[[ClassifierFiles], Captum]] = {CAPTUM: fifty_steps, PRODUCT: gradient_times_input}
FIGURES = tuple(f"{name} {removal}" for name in ("comprehensiveness", "sufficiency") for removal in Removal)
NORMALISED = tuple(f"normalised {figure}" for figure in FIGURES)
REPORTS_IN_JOB = 64


class Figures(TypedDict):
    """What one model came to on one corpus; `values` by method and figure, a finding each, None where there is none."""

    macro_f1: list[float]  # with its interval
    findings: int
    seconds: dict[str, float]
    values: dict[str, dict[str, list[float | None]]]


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
    said = classifier.probabilities(corpus.texts)
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
        figures["values"][method] = how_faithful(rereader, corpus.texts, by_pair)
        say(given, f"{name}: {method} judged")
    return figures


def how_faithful(
    rereader: Rereader, texts: Sequence[str], found: Mapping[tuple[int, int], Finding]
) -> dict[str, list[float | None]]:
    """By figure, one of each finding."""
    weighed = [
        Weighed(texts[report], label, list(map(Span, one.starts, one.ends)), one.weights)
        for (report, label), one in found.items()
    ]
    values: dict[str, list[float | None]] = {}
    for removal in Removal:
        measured = rereader.measure(weighed, removal)
        values[f"comprehensiveness {removal}"] = [one.comprehensiveness for one in measured]
        values[f"sufficiency {removal}"] = [one.sufficiency for one in measured]
        shares = [one.normalised for one in measured]
        values[f"normalised comprehensiveness {removal}"] = [one and one.comprehensiveness for one in shares]
        values[f"normalised sufficiency {removal}"] = [one and one.sufficiency for one in shares]
    return values


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
    classifier.probabilities([texts[report] for report in dict.fromkeys(report for report, _ in asked)])
    found: dict[tuple[int, int], Finding] = {}
    began = time.perf_counter()
    for report, label in asked:
        thresholds = [2.0] * len(FINDINGS)
        thresholds[label] = threshold
        [said] = classifier.predict([texts[report]], thresholds=thresholds)
        [found[report, label]] = said.findings
    return found, time.perf_counter() - began
