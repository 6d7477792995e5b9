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
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import benchmark_form
import faithfulness_table as table
from benchmark_form import Data, foundation_or_default, is_real, last_line, results_folder
from faithfulness_figures import explain
from faithfulness_models import MODELS, corpora, make_classifier
from faithfulness_table import Found


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
        table.write_csv(found, given.csv)
    if given.png is not None:
        table.draw(found, given.png)
    table.show_scores(found)
    table.show_faithfulness(found)
    table.show_differences(found)
    last_line(table.summary(found), data=Data.BOTH if is_real(given.data) else Data.MADE_UP, quick=given.quick)


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


def work(given: argparse.Namespace, folder: Path) -> None:
    """One model: makes its classifier in `folder`, and writes what its heatmaps come to."""
    there = corpora(given)
    classifier = make_classifier(given, folder, there)
    figures = {name: explain(given, classifier, name, corpus) for name, corpus in there.explained.items()}
    part = results(given, given.model).with_suffix(".part")
    part.write_text(json.dumps(figures))
    part.replace(results(given, given.model))


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
        small = {"findings": 4, "real": 50, "made_up": 50, "held_out": 5, "epochs": 4, "steps": 2, "size": 8_000}
        vars(parsed).update(small, text=300, threshold=0.2, learning_rate=2e-3)
    return parsed


if __name__ == "__main__":
    main(arguments())
