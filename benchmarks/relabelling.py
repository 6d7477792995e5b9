"""Relabelling in the background: how much longer does the night's labelling of fresh reports take meanwhile?

    OMP_WAIT_POLICY=passive .venv/bin/python benchmarks/relabelling.py [--foundation FOLDER] [--backlog 20000] \
        [--fresh 2000] [--rounds 3] [--threads 1] [--quick]

A house on an embedded PostgreSQL holds the backlog: made-up reports that a former model has read. Then nights of fresh
reports come in as a pull stores them, chunk by chunk, while one worker labels (`worker.label_reports.run_next`, in this
process). With the backlog another model has just been promoted, and the worker is somewhere in a job of the relabelling
when the night begins; without it the worker waits for work. A night lasts from its first record to its last label. The
two take turns, every night has reports of its own, and before each the worker has read as many others, so that what
the classifier keeps of equal sentences serves both alike. The slowdown is that of the mean night.

FOUNDATION is any encoder (default: a 2-layer one with random weights, as the demonstration's). Its classifier is fitted
on few reports, so that its figures mean nothing; but it finds as much as there is, in a sentence or two, and that is
what the time to explain goes by.
"""

import argparse
import random
import statistics
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import benchmark_form
import numpy as np
import torch
from benchmark_form import Data, last_line, markdown, progress, scratch_home
from sqlalchemy import text

from models.classifier import Classifier
from models.encoder import new_encoder
from models.finetuning import fine_tune
from models.vocabulary import train_wordpiece
from nightread import demo, made_up
from nightread.house import House, opened
from nightread.made_up import FINDINGS
from pipeline import jobs, label_sets, labelling, model_versions, pulls, reports
from pipeline.feeds.record import Record
from pipeline.model_versions import NewVersion
from pipeline.settings import FeedSettings, Settings
from pipeline.tables import Feed
from worker import label_reports

FEED = FeedSettings(path=Path("nowhere"), site=made_up.Hospital.EAST, source_system="made-up")
AIM = 0.10
WITHOUT, WITH = "without the backlog", "with the backlog"
VOCABULARY = 1_000
JOBS_BEFORE = 2  # what the worker has read when a night begins


class Night(NamedTuple):
    """Seconds from a night's first record to its last label."""

    seconds: float
    reports: int


class Numbered:
    """Made-up reports that are all different, however often one asks for more."""

    def __init__(self) -> None:
        self._next = 1

    def take(self, count: int) -> list[Record]:
        first, self._next = self._next, self._next + count
        return [
            Record(
                place=f"benchmark:{one.number}",
                source_id=one.source_id,
                updated_at=one.updated_at,
                withdrawn=False,
                text=one.text,
                accession=one.accession,
                patient=one.patient,
                study_at=one.study_at,
                issued_at=one.issued_at,
                code=made_up.CHEST_CT_CODE,
                modality=made_up.CT_MODALITY,
            )
            for one in made_up.reports(count, seed=0, first=first)
        ]


def main(given: argparse.Namespace) -> None:
    torch.set_num_threads(given.threads)
    with scratch_home("relabelling") as home, opened(Settings(home=home), migrate=True) as house:
        artifact, new = a_classifier(house, given.foundation, given.fitted)
        numbered = Numbered()
        promote(house, new)
        store(house, numbered.take(given.backlog))
        as_if_read(house)
        progress("the backlog is stored")
        nights = measured(house, artifact, new, numbered, given)
    show(nights, given)


def measured(
    house: House, artifact: Path, new: NewVersion, numbered: Numbered, given: argparse.Namespace
) -> dict[str, list[Night]]:
    """Nights with and without the backlog, in turns."""
    chance = random.Random(0)
    nights: dict[str, list[Night]] = {WITHOUT: [], WITH: []}
    for turn in range(given.rounds):
        for which in (WITHOUT, WITH) if turn % 2 == 0 else (WITH, WITHOUT):
            classifier = Classifier.load(artifact)
            if which == WITH:
                promote(house, new)
            else:
                store(house, numbered.take(JOBS_BEFORE * house.settings.label_job_size))
            nights[which].append(one_night(house, classifier, numbered.take(given.fresh), chance))
            leave_nothing_open(house)
            progress(f"night {turn + 1} {which}: {nights[which][-1].seconds:.2f} s")
    return nights


def one_night(house: House, classifier: Classifier, night: Sequence[Record], chance: random.Random) -> Night:
    """The night comes in while the worker is somewhere in the job after the first ones, if there is one."""
    over, finished = threading.Event(), threading.Semaphore(0)

    def work() -> None:
        while not over.is_set():
            if label_reports.run_next(
                house.sessions, house.settings, worker="benchmark:1", classifier_for=lambda _: classifier
            ):
                finished.release()
            else:
                over.wait(0.005)

    worker = threading.Thread(target=work)
    worker.start()
    try:
        lasted = 0.0
        for _ in range(JOBS_BEFORE):
            before = time.perf_counter()
            finished.acquire()
            lasted = time.perf_counter() - before
        time.sleep(chance.random() * lasted)
        began = time.perf_counter()
        store(house, night)
        while fresh_jobs(house):
            time.sleep(0.02)
        seconds = time.perf_counter() - began
    finally:
        over.set()
        worker.join()
    if read_by_the_serving(house, night) != len(night):
        raise SystemExit("not every report of the night has its labels, so that its length means nothing")
    return Night(seconds, len(night))


def a_classifier(house: House, foundation: Path | None, count: int) -> tuple[Path, NewVersion]:
    """A classifier in the house's models folder, fitted on so many reports, and how it is registered."""
    fitted = list(made_up.reports(count, seed=1))
    texts = [one.text for one in fitted]
    truth = [[one.labels[finding] for finding in FINDINGS] for one in fitted]
    learning_rate = 1.5e-4
    if foundation is None:
        learning_rate = demo.LEARNING_RATE
        foundation = house.settings.home / "foundation"
        new_encoder(foundation, train_wordpiece([one.text for one in made_up.reports(VOCABULARY, seed=2)], 8_000))
    artifact = house.settings.models_folder / "benchmark"
    sha256 = fine_tune(
        foundation, artifact, texts=texts, labels=truth, label_names=FINDINGS, epochs=4, learning_rate=learning_rate
    )
    read = Classifier.load(artifact).predict(texts, thresholds=[1.0] * len(FINDINGS))
    # As many findings as there really are: explaining them is much of the work.
    probabilities = np.array([one.probabilities for one in read])
    shares = np.mean(truth, axis=0)
    thresholds = [float(np.quantile(column, 1 - share)) for column, share in zip(probabilities.T, shares, strict=True)]
    with house.sessions.begin() as session:
        label_set = label_sets.for_names(session, FINDINGS)
    new = NewVersion(
        foundation=foundation.name,
        artifact=artifact.name,
        artifact_sha256=sha256,
        label_set_id=label_set,
        thresholds=thresholds,
        metrics={},
        settings={},
        fitted_on=[],
    )
    return artifact, new


def promote(house: House, new: NewVersion) -> None:
    """Another version with the same files begins to serve: to relabel, it has everything to read."""
    with house.sessions.begin() as session:
        version = model_versions.register(session, new)
        model_versions.promote(session, version, by="benchmark", rules=house.rules)


def store(house: House, records: Sequence[Record]) -> None:
    """As a pull stores them."""
    size = house.settings.pull_chunk
    with house.sessions.begin() as session:
        pulls.register(session, "made-up", FEED)
    for start in range(0, len(records), size):
        with house.sessions.begin() as session:
            chunk = records[start : start + size]
            reports.store(session, session.get_one(Feed, "made-up"), chunk, cursor={}, rules=house.rules)


def as_if_read(house: House) -> None:
    """Every report has labels of the model that serves."""
    with house.sessions.begin() as session:
        serving = labelling.serving(session)
        assert serving is not None
        session.execute(
            text(
                "INSERT INTO classification (report_id, model_version_id, probabilities) "
                "SELECT id, :version, array_fill(0.0::real, ARRAY[:labels]) FROM report"
            ),
            {"version": serving.id, "labels": len(serving.labels)},
        )
    leave_nothing_open(house)


def leave_nothing_open(house: House) -> None:
    """What is left of a relabelling is dropped; the next promotion begins anew."""
    with house.sessions.begin() as session:
        session.execute(text("UPDATE job SET state = 'dropped', finished_at = now() WHERE state = 'ready'"))


def fresh_jobs(house: House) -> int:
    with house.sessions.begin() as session:
        still_open = text("SELECT count(*) FROM job WHERE state IN ('ready', 'running') AND priority = :fresh")
        return int(session.execute(still_open, {"fresh": jobs.FRESH}).scalar_one())


def read_by_the_serving(house: House, night: Sequence[Record]) -> int:
    read = text("SELECT count(*) FROM report_labels l JOIN report r ON r.id = l.report_id "
                "WHERE NOT l.stale AND r.source_id = ANY (:ids)")  # fmt: skip
    with house.sessions.begin() as session:
        return int(session.execute(read, {"ids": [one.source_id for one in night]}).scalar_one())


def show(nights: dict[str, list[Night]], given: argparse.Namespace) -> None:
    """A Markdown table, then one line of JSON."""
    mean = {which: statistics.fmean(night.seconds for night in found) for which, found in nights.items()}
    slowdown = mean[WITH] / mean[WITHOUT] - 1
    rows = [
        (
            which,
            ", ".join(f"{night.seconds:.2f}" for night in found),
            f"{mean[which]:.2f}",
            f"{given.fresh / mean[which]:.0f}",
        )
        for which, found in nights.items()
    ]
    print(f"\n{given.fresh} fresh made-up reports a night; the backlog: {given.backlog} to relabel.\n")
    print(markdown(("labelling", "nights (s)", "mean (s)", "reports/s"), rows))
    print(f"\nFresh reports are {slowdown:.1%} slower with the backlog (aim: below {AIM:.0%}).\n")
    figures = {
        "fresh_slowdown": round(slowdown, 4),
        "aim": AIM,
        "reached": slowdown < AIM,
        "backlog": given.backlog,
        "fresh": given.fresh,
        "seconds": {which: [round(night.seconds, 3) for night in found] for which, found in nights.items()},
        "foundation": given.foundation.name if given.foundation else "2 layers, random",
        "threads": given.threads,
    }
    last_line(figures, data=Data.MADE_UP, quick=given.quick)


def arguments() -> argparse.Namespace:
    parser = benchmark_form.parser(__doc__, quick="1,000 to relabel, a night of 256 of either kind")
    parser.add_argument("--foundation", type=Path, help="folder of an encoder")
    parser.add_argument("--fitted", type=int, default=400, help="reports that the classifier is fitted on")
    parser.add_argument("--backlog", type=int, default=20_000, help="reports to relabel")
    parser.add_argument("--fresh", type=int, default=2_000, help="reports of a night")
    parser.add_argument("--rounds", type=int, default=3, help="nights of each kind")
    parser.add_argument("--threads", type=int, default=1, help="of torch")
    given = parser.parse_args()
    if given.quick:
        vars(given).update(fitted=200, backlog=1_000, fresh=256, rounds=1)
    return given


if __name__ == "__main__":
    main(arguments())
