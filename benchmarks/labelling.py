"""How fast labelling is beside what a hospital could put together from the usual parts, in one process and one run.

    .venv/bin/python benchmarks/labelling.py [--data ../shared/data] [--sample 32] [--quick]

The same encoder (6 layers, 22 M parameters), the same reports in the order they arrive:

(a) Nightread with heatmaps into PostgreSQL: `worker.label_reports.run_next`, jobs of 64 reports, the real tables;
(b) the same without heatmaps;
(c) a Hugging Face pipeline over whole reports (cut at 512 tokens, batches of 16), Captum's integrated gradients of 20
    steps for every positive label, and rows written one by one by the ORM: `usual_parts.py`. It takes seconds a report,
    so it is timed on a sample drawn from strata of like length, with a bootstrap interval;
(d) the bare forward pass over whole reports in batches of like length, tokenised and padded before, nothing kept.

(a) and (b) begin cold: the model is loaded, no sentence has been read. Warm, the same classifier reads the same reports
once more. PostgreSQL is embedded; intake is not timed. The classifier's thresholds let it find as much as there is in
the reports that it was fitted on (`fitted_head.py`; or name a fine-tuned `--classifier`), and (c) explains as many
labels of every report as (a). Without ../shared/data the reports are made up.
"""

import argparse
import math
import os
import sys
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import benchmark_form
import numpy as np
import torch
from benchmark_form import Data, installed_encoder, is_real, last_line, markdown, scratch_home
from benchmark_form import progress as say
from fitted_head import as_many_as_there_are, fit_head
from numpy.typing import NDArray
from shared_text import ct_reports
from sqlalchemy import select, text
from usual_parts import Floats, UsualParts, draw, interval

from models import devices
from models.classifier import Classifier, Prediction
from nightread import made_up
from nightread.house import House, opened
from pipeline import label_sets, labelling, model_versions, pulls, reports
from pipeline.feeds.record import Record
from pipeline.label_sets import CT_RATE_FINDINGS
from pipeline.model_versions import NewVersion
from pipeline.settings import FeedSettings, Relabel, Settings
from pipeline.tables import Feed, Label, Report
from worker import label_reports

ENCODER = installed_encoder()
LABELS = [name for name, _, _ in CT_RATE_FINDINGS]
FEED = FeedSettings(path=Path("nowhere"), site="benchmark", source_system="benchmark")
GROWTH = (100, 300, 1_000)
MADE_UP = 3_000  # where there are no real ones
AIMS = {"speedup_vs_pipeline": 100, "labels_vs_bare_forward": 1.5, "heatmap_cost": 1.5}
A, B, C, D = "(a) with heatmaps", "(b) labels only", "(c) pipeline and Captum", "(d) bare forward pass"


class Corpus(NamedTuple):
    texts: list[str]
    truth: NDArray[np.int64]  # (texts, labels)
    data: Data

    def some(self, chosen: NDArray[np.int64]) -> "Corpus":
        return Corpus([self.texts[at] for at in chosen], self.truth[chosen], self.data)


class Figures(NamedTuple):
    """Seconds until the first reports were done, as many as each point of the growth curve says."""

    points: list[int]
    cold: dict[str, list[float]]
    warm: dict[str, list[float]]
    explained: float  # findings a report
    sample: Floats  # seconds of (c) for each report of its sample, (strata, reports of each)


class LabelsOnly(Classifier):
    """Its findings come without their words."""

    def predict(self, texts: Sequence[str], *, thresholds: Sequence[float], explain: bool = False) -> list[Prediction]:
        return super().predict(texts, thresholds=thresholds, explain=explain)


def main(given: argparse.Namespace) -> None:
    if ENCODER is None:
        sys.exit(f"there is no {benchmark_form.ENCODER}, and no other encoder would be comparable; install it with pip")
    torch.set_num_threads(given.threads)
    corpus = read(given)
    with scratch_home("labelling") as scratch:
        fitted = corpus.some(np.random.default_rng(given.seed).permutation(len(corpus.texts))[: given.fitted])
        artifact: Path = given.classifier or scratch / "classifier"
        if given.classifier is None:
            say(f"fitting on {len(fitted.texts)} reports")
            fit_head(ENCODER, artifact, texts=fitted.texts, truth=fitted.truth, labels=LABELS)
        settings = Settings(home=scratch / "home", relabel=Relabel.NONE)
        with opened(settings, migrate=True) as house:
            figures = measured(given, Night(house, corpus.texts, artifact, fitted), corpus, artifact)
    show(given, corpus, figures)


def read(given: argparse.Namespace) -> Corpus:
    """Real reports in file order, one that occurs twice twice, as they would arrive; or made-up ones."""
    if is_real(given.data):
        rows = list(ct_reports(given.data))
        texts = [row["report_text"] for row in rows]
        corpus = Corpus(texts, np.array([[int(row[label]) for label in LABELS] for row in rows]), Data.REAL)
    else:
        made = list(made_up.reports(MADE_UP, seed=0))
        truth = np.array([[int(one.labels[label]) for label in LABELS] for one in made])
        corpus = Corpus([one.text for one in made], truth, Data.MADE_UP)
    short = [at for at, one in enumerate(corpus.texts) if given.longest is None or len(one) <= given.longest]
    return corpus.some(np.array(short[: given.reports]))


class Night:
    """A house that holds the reports, and labels them as often as one likes."""

    def __init__(self, house: House, texts: Sequence[str], artifact: Path, fitted: Corpus) -> None:
        self.house = house
        read = LabelsOnly.load(artifact).predict(fitted.texts, thresholds=[1.0] * len(LABELS))
        thresholds = as_many_as_there_are(np.array([one.probabilities for one in read]), fitted.truth)
        store(house, texts)
        with house.sessions.begin() as session:
            self.ids = list(session.scalars(select(Report.id).order_by(Report.id)))
            label_set = label_sets.for_names(session, LABELS)
            labels = session.execute(select(Label.name, Label.id).where(Label.label_set_id == label_set))
            self.label_ids = {row.name: row.id for row in labels}
        self._new = NewVersion(
            foundation=benchmark_form.ENCODER,
            artifact=artifact.name,
            artifact_sha256=Classifier.load(artifact).sha256,
            label_set_id=label_set,
            thresholds=thresholds,
            metrics={},
            settings={},
            fitted_on=[],
        )

    def promoted(self) -> int:
        """A version that has read nothing yet, and serves; no job is left for it."""
        with self.house.sessions.begin() as session:
            version = model_versions.register(session, self._new)
            model_versions.promote(session, version, by="benchmark", rules=self.house.rules)
            # Its jobs are cut anew, in the order of arrival and with an end at every point.
            session.execute(text("UPDATE job SET state = 'dropped', finished_at = now() WHERE state = 'ready'"))
        return version

    def label(self, classifier: Classifier, points: Sequence[int]) -> tuple[list[float], dict[int, int]]:
        """Seconds until the first reports were labelled, as many as each of `points` says; findings of each."""
        house, version = self.house, self.promoted()
        parts = list(pairwise((0, *points)))
        with house.sessions.begin() as session:
            for first, last in parts:
                labelling.enqueue(session, self.ids[first:last], rules=house.rules)
        seconds, began = [], time.perf_counter()
        for first, last in parts:
            for _ in range(math.ceil((last - first) / house.rules.reports)):
                label_reports.run_next(
                    house.sessions, house.settings, worker="benchmark:1", classifier_for=lambda _: classifier
                )
            seconds.append(time.perf_counter() - began)
        counted = text(
            "SELECT c.report_id, count(f.label_id) FROM classification c LEFT JOIN finding f "
            "ON f.classification_id = c.id WHERE c.model_version_id = :version GROUP BY c.report_id"
        )
        with house.sessions.begin() as session:
            findings = {row.report_id: row.count for row in session.execute(counted, {"version": version})}
        if len(findings) != points[-1]:
            sys.exit("not every report has its labels, so that the time they took means nothing")
        return seconds, findings


def store(house: House, texts: Sequence[str]) -> None:
    """As a pull stores them."""
    records = [
        Record(
            place=f"benchmark:{number}",
            source_id=str(number),
            updated_at=None,
            withdrawn=False,
            text=one,
            accession=None,
            patient=None,
            study_at=None,
            issued_at=None,
            code=None,
            modality=None,
        )
        for number, one in enumerate(texts)
    ]
    with house.sessions.begin() as session:
        pulls.register(session, "benchmark", FEED)
        reports.store(session, session.get_one(Feed, "benchmark"), records, cursor={}, rules=house.rules)


def measured(given: argparse.Namespace, night: Night, corpus: Corpus, artifact: Path) -> Figures:
    count = len(night.ids)
    points = [*(point for point in given.growth if point < count), count]
    cold: dict[str, list[float]] = {}
    warm: dict[str, list[float]] = {}
    findings: dict[int, int] = {}
    for name, kind in ((B, LabelsOnly), (A, Classifier)):
        classifier = kind.load(artifact)
        cold[name], findings = night.label(classifier, points)
        warm[name], findings = night.label(classifier, points)
        say(f"{name}: {cold[name][-1]:.1f} s cold, {warm[name][-1]:.1f} s warm")
    usual = UsualParts(artifact, LABELS, devices.pick())
    cold[D] = [usual.bare_forward(corpus.texts[:point]) for point in points]
    say(f"{D}: {cold[D][-1]:.1f} s")
    # (c), in the order they arrive.
    drawn = draw([len(one) for one in corpus.texts], given.sample, given.seed)
    arriving = {night.ids[at]: corpus.texts[at] for at in sorted(drawn.flat)}
    seconds = usual.label(night.house.sessions, night.promoted(), night.label_ids, arriving, findings)
    say(f"{C}: {sum(seconds):.1f} s for {len(seconds)} reports")
    took = dict(zip(arriving, seconds, strict=True))
    sample = np.array([[took[night.ids[at]] for at in stratum] for stratum in drawn])
    return Figures(points, cold, warm, sum(findings.values()) / count, sample)


def ratios(figures: Figures, at: int, seconds: dict[str, list[float]]) -> dict[str, float]:
    """The figures that have aims, after as many reports as that point of the growth curve."""
    bare, mean = figures.cold[D][at], figures.sample.mean()
    return {
        "speedup_vs_pipeline": figures.points[at] * mean / seconds[A][at],
        "labels_vs_bare_forward": bare / seconds[B][at],
        "heatmap_cost": (seconds[A][at] - seconds[B][at]) / bare,
    }


def show(given: argparse.Namespace, corpus: Corpus, figures: Figures) -> None:
    """A Markdown table, then one line of JSON."""
    rate, rows = 1 / figures.sample.mean(), []
    for caches, seconds in (("cold", figures.cold), ("warm", figures.warm)):
        for at, point in enumerate(figures.points):
            shown = ratios(figures, at, seconds)
            row = [f"{point}, {caches}", *(f"{point / seconds[name][at]:.1f}" for name in (A, B)), f"{rate:.3f}"]
            row += [f"{point / figures.cold[D][at]:.1f}", f"{shown['speedup_vs_pipeline']:.0f}"]
            rows.append([*row, f"{shown['labels_vs_bare_forward']:.2f}", f"{shown['heatmap_cost']:.2f}"])
    low, high = interval(figures.sample)
    last = ratios(figures, -1, figures.cold)
    count = figures.points[-1]
    between = [count * seconds / figures.cold[A][-1] for seconds in (low, high)]
    print(f"\n{count} {corpus.data} reports, {given.threads} threads, {device_name()}\n")
    names = ("speedup", "labels / bare", "heatmap cost")
    print(markdown(["reports", *(f"{name}, /s" for name in (A, B, C, D)), *names], rows))
    print(
        f"\n{figures.explained:.2f} findings a report, in (c) as in (a). (c) took {figures.sample.mean():.2f} s a "
        f"report (95 % {low:.2f} to {high:.2f}, {figures.sample.size} reports), so the speedup is {between[0]:.0f} to "
        f"{between[1]:.0f}.\n"
    )
    last_line(
        {
            **{name: round(value, 3) for name, value in last.items()},
            "speedup_interval": [round(value, 1) for value in between],
            "aims": AIMS,
            "reports": count,
            "reports_per_second": {
                "heatmaps": round(count / figures.cold[A][-1], 2),
                "labels": round(count / figures.cold[B][-1], 2),
                "heatmaps_warm": round(count / figures.warm[A][-1], 2),
                "labels_warm": round(count / figures.warm[B][-1], 2),
                "pipeline": round(rate, 4),
                "bare_forward": round(count / figures.cold[D][-1], 2),
            },
            "findings_a_report": round(figures.explained, 2),
            "growth": {
                str(point): {name: round(value, 3) for name, value in ratios(figures, at, figures.cold).items()}
                for at, point in enumerate(figures.points)
            },
            "sample": figures.sample.size,
            "threads": given.threads,
            "device": device_name(),
        },
        data=corpus.data,
        quick=given.quick,
    )


def device_name() -> str:
    device = devices.pick()
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"


def arguments() -> argparse.Namespace:
    parser = benchmark_form.parser(
        __doc__,
        quick="48 reports of at most 1,800 characters, 4 of them by the pipeline",
        data="the reports are made up",
    )
    parser.add_argument("--classifier", type=Path, help="folder of a fine-tuned one to use instead")
    parser.add_argument("--reports", type=int, help="only the first so many")
    parser.add_argument("--longest", type=int, help="only those of at most so many characters")
    parser.add_argument("--fitted", type=int, default=250, help="reports that the classifier is fitted on")
    parser.add_argument("--sample", type=int, default=32, help="reports that the pipeline is timed on")
    parser.add_argument("--growth", type=int, nargs="*", default=GROWTH, help="points of the growth curve before all")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="of torch")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    if given.quick:
        # Short ones state little, and the pipeline takes its time for each finding by the length of the whole report.
        vars(given).update(reports=48, longest=1_800, growth=[24], sample=4, fitted=48)
    return given


if __name__ == "__main__":
    main(arguments())
