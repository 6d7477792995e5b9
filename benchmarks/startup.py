"""Starting: how long two commands take that people wait for, and how long from `nightread up` to the first label.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/startup.py [--rounds 3] [--runs 15] [--quick]

* `nightread --help`, and `nightread status` on a house that is up: medians in milliseconds of whole processes. Neither
  may import torch: the program fails if one does (`python -X importtime` names every module that is imported).
* From `nightread up` to the first label in the database, on a home that has no database yet. Something must be there to
  read and to read with, so the home has a settings file, a feed of 32 made-up reports and the files of a small
  classifier (2 layers, fitted on few reports). As soon as `up` says that it is up, this program registers the
  classifier, lets it serve and asks for a pull, which is what a person would do with `nightread models promote` and
  `nightread pull`; that takes tens of milliseconds and is a part of its own.

The parts of that way follow from what `up` says and from the times in the database, so they add up to the whole. What
lies within them is measured apart, in processes of their own: what each member imports, the servers of a home that has
a database already, loading the model, its first batch. The last line is the same in JSON. `--quick`: 1 round, 3 runs.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import benchmark_form
from benchmark_form import Data, last_line, markdown, scratch_home
from sqlalchemy import text

from models.encoder import new_encoder
from models.finetuning import fine_tune
from models.vocabulary import train_wordpiece
from nightread import demo, made_up
from nightread.house import House, opened
from nightread.made_up import FINDINGS
from pipeline import label_sets, model_versions, pulls, settings
from pipeline.model_versions import NewVersion
from pipeline.names import JobKind
from pipeline.settings import FILE_NAME

REPORTS, FITTED, VOCABULARY = 32, 200, 500
FEED, MODEL = "made-up", "benchmark"
PATIENCE_S = 120.0
SETTINGS = f"""\
[feeds.{FEED}]
path = "feed"
site = "{made_up.Hospital.EAST}"
source_system = "made-up"
"""
# What `up` says on its way, and what ends there.
SAID = {
    "making a new PostgreSQL data folder": "python, imports, settings",
    "started PostgreSQL and Redis": "initdb, PostgreSQL and Redis start",
    "Nightread is up": "roles, migrations, members started",
}
# Measured apart: what a member has to import before it can do anything.
IMPORTS = {
    "import: nightread (any command)": "import nightread.cli",
    "import: scheduler": "import scheduler.__main__",
    "import: intake, label and training worker": "import celery.__main__, celery.bin.celery, worker.app, worker.tasks",
    "import: torch and the classifier, in the first label job": "import torch, models.classifier",
}


class Ready(NamedTuple):
    """A home that has everything but a database, and what registers its model."""

    home: Path
    sha256: str


def main(given: argparse.Namespace) -> None:
    with scratch_home("startup") as folder:
        model, sha256 = a_classifier(folder)
        ways, commands = [], {}
        for number in range(given.rounds):
            ready = Ready(a_home(folder / f"home-{number}", model), sha256)
            with up(ready) as way:
                ways.append(way)
                if number == given.rounds - 1:
                    commands = {
                        "help_ms": median_ms(["--help"], ready.home, given.runs),
                        "status_ms": median_ms(["status"], ready.home, given.runs),
                    }
        apart = {name: seconds_of(f"{statement}", given.rounds) for name, statement in IMPORTS.items()}
        apart["PostgreSQL and Redis start on a home that has a database"] = servers_start(ready.home, given.rounds)
        apart |= first_batch(model)
    show(commands, ways, apart, given)


def a_classifier(folder: Path) -> tuple[Path, str]:
    """Folder and hash of a small classifier; its figures mean nothing."""
    fitted = list(made_up.reports(FITTED, seed=1))
    new_encoder(
        folder / "foundation", train_wordpiece([one.text for one in made_up.reports(VOCABULARY, seed=2)], 4_000)
    )
    sha256 = fine_tune(
        folder / "foundation",
        folder / MODEL,
        texts=[one.text for one in fitted],
        labels=[[one.labels[finding] for finding in FINDINGS] for one in fitted],
        label_names=FINDINGS,
        epochs=1,
        learning_rate=demo.LEARNING_RATE,
    )
    return folder / MODEL, sha256


def a_home(home: Path, model: Path) -> Path:
    (home / "models").mkdir(parents=True)
    home.chmod(0o711)
    (home / "models" / MODEL).symlink_to(model)
    made_up.write_fhir(made_up.reports(REPORTS, seed=3), home / "feed")
    (home / FILE_NAME).write_text(SETTINGS, encoding="utf-8")
    return home


@contextmanager
def up(ready: Ready) -> Iterator[dict[str, float]]:
    """A house that is up and has its first label; seconds of each part of the way there, in order."""
    since, began = time.perf_counter(), time.time()
    running = subprocess.Popen(
        [*nightread("up"), "--home", str(ready.home)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    try:
        way, before = {}, since
        for line in running.stdout or ():
            for said, part in SAID.items():
                if said in line:
                    way[part], before = time.perf_counter() - before, time.perf_counter()
            if len(way) == len(SAID):
                break
        else:
            raise SystemExit("nightread up ended before it was up")
        drained = threading.Thread(target=lambda: list(running.stdout or ()), daemon=True)
        drained.start()  # a full pipe would stop it
        with opened(settings.read(ready.home)) as house:
            ask(house, ready)
            way["attaching, registering the model, asking for a pull"] = time.perf_counter() - before
            way |= from_the_database(house, began + sum(way.values()))
        yield way
    finally:
        running.terminate()
        running.wait()


def ask(house: House, ready: Ready) -> None:
    """Let the classifier serve, and ask for a pull of the feed."""
    with house.sessions.begin() as session:
        label_set = label_sets.for_names(session, FINDINGS)
        version = model_versions.register(
            session,
            NewVersion(
                foundation="benchmark",
                artifact=MODEL,
                artifact_sha256=ready.sha256,
                label_set_id=label_set,
                thresholds=[0.5] * len(FINDINGS),
                metrics={},
                settings={},
                fitted_on=[],
            ),
        )
        model_versions.promote(session, version, by="benchmark", rules=house.rules)
        pulls.ask(session, FEED, house.settings.feeds[FEED], attempts=1)


def from_the_database(house: House, asked: float) -> dict[str, float]:
    """Seconds of what happened since the pull was asked for, until the first report had its labels."""
    deadline = time.monotonic() + PATIENCE_S
    first = None
    while first is None:
        if time.monotonic() > deadline:
            raise SystemExit(f"no report had its labels after {PATIENCE_S:.0f} s")
        time.sleep(0.05)
        with house.sessions.begin() as session:
            first = session.execute(text("SELECT min(classified_at) FROM classification")).scalar_one()
    times = "SELECT min(claimed_at), min(finished_at) FROM job WHERE kind = :kind"
    with house.sessions.begin() as session:
        pulling: tuple[datetime, datetime] = session.execute(text(times), {"kind": JobKind.PULL}).one()  # type: ignore[assignment]
        labelling = session.execute(text(times), {"kind": JobKind.LABEL}).one()
    moments = [asked, pulling[0].timestamp(), pulling[1].timestamp(), labelling[0].timestamp(), first.timestamp()]
    parts = ("until the intake worker has the pull", "the pull", "until the label worker has the job")
    spans = [later - earlier for earlier, later in pairwise(moments)]
    return dict(zip((*parts, "torch, the model, the first batch, its labels written"), spans, strict=True))


def nightread(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "nightread", *arguments]


def median_ms(arguments: Sequence[str], home: Path, runs: int) -> float:
    """Of a whole process, in milliseconds; ends this program if the command imports torch."""
    environment = {**os.environ, "NIGHTREAD_HOME": str(home)}
    traced = subprocess.run(
        [sys.executable, "-X", "importtime", *nightread(*arguments)[1:]],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=True,
    )
    if "torch" in {line.rpartition("|")[2].strip().partition(".")[0] for line in traced.stderr.splitlines()}:
        raise SystemExit(f"nightread {' '.join(arguments)} imports torch, which takes seconds")
    return statistics.median(1e3 * seconds_to_run(nightread(*arguments), environment) for _ in range(runs))


def seconds_to_run(command: Sequence[str], environment: dict[str, str] | None = None) -> float:
    started = time.perf_counter()
    subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - started


def seconds_of(statement: str, rounds: int) -> float:
    """Of a fresh interpreter that executes it."""
    return statistics.median(seconds_to_run([sys.executable, "-c", statement]) for _ in range(rounds))


def servers_start(home: Path, rounds: int) -> float:
    """Seconds until the servers of a home that nobody uses are there."""
    found = []
    for _ in range(rounds):
        started = time.perf_counter()
        with opened(settings.read(home)):
            found.append(time.perf_counter() - started)
    return statistics.median(found)


def first_batch(model: Path) -> dict[str, float]:
    """Seconds to load the model and to read its first batch, in a process that has torch."""
    script = (
        "import json, sys, time; from pathlib import Path; from models.classifier import Classifier\n"
        "texts = json.loads(sys.stdin.read()); a = time.perf_counter()\n"
        "model = Classifier.load(Path(sys.argv[1])); b = time.perf_counter()\n"
        "model.predict(texts, thresholds=[0.5] * len(model.labels)); c = time.perf_counter()\n"
        "print(json.dumps([b - a, c - b]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(model)],
        input=json.dumps([one.text for one in made_up.reports(REPORTS, seed=3)]),
        capture_output=True,
        text=True,
        check=True,
    )
    loaded, read = json.loads(done.stdout)
    return {"loading the model": loaded, f"reading {REPORTS} reports with heatmaps": read}


def show(
    commands: dict[str, float], ways: Sequence[dict[str, float]], apart: dict[str, float], given: argparse.Namespace
) -> None:
    """Markdown tables, then one line of JSON."""
    parts = {part: statistics.median(way[part] for way in ways) for part in ways[0]}
    whole = statistics.median(sum(way.values()) for way in ways)
    named = {"help_ms": "nightread --help", "status_ms": "nightread status"}
    asked = [(named[name], f"{milliseconds:.0f}") for name, milliseconds in commands.items()]
    print(f"\n{markdown(('command', f'median of {given.runs}, ms'), asked)}\n")
    way = [*((part, f"{seconds:.2f}") for part, seconds in parts.items()), ("**the whole way**", f"**{whole:.2f}**")]
    print(markdown((f"from `nightread up` to the first label, medians of {len(ways)}", "s"), way))
    alone = [(name, f"{seconds:.2f}") for name, seconds in apart.items()]
    print(f"\n{markdown(('measured apart, in a process of its own', 's'), alone)}\n")
    figures = {
        **{name: round(value) for name, value in commands.items()},
        "first_label_s": round(whole, 2),
        "first_label_each_s": [round(sum(way.values()), 2) for way in ways],
        "parts_s": {part: round(seconds, 3) for part, seconds in parts.items()},
        "apart_s": {name: round(seconds, 3) for name, seconds in apart.items()},
        "imports_torch": False,
    }
    last_line(figures, data=Data.MADE_UP, quick=given.quick)


def arguments() -> argparse.Namespace:
    parser = benchmark_form.parser(__doc__, quick="1 round, 3 runs")
    parser.add_argument("--rounds", type=int, default=3, help="homes that are started")
    parser.add_argument("--runs", type=int, default=15, help="of each command")
    given = parser.parse_args()
    if given.quick:
        given.rounds, given.runs = 1, 3
    return given


if __name__ == "__main__":
    main(arguments())
