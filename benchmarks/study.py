"""The study: what a bilingual vocabulary and bilingual pre-training are worth to three foundations, cell by cell.

    .venv/bin/python benchmarks/study.py [--scale small] [--out FOLDER] [--data ../shared/data] [--quick]
    .venv/bin/python benchmarks/study.py --scale gpu [--out FOLDER] [--published FOLDER_OF_A_REAL_ENGLISH_BERT]

As Cho et al. (2025) did with KM-BERT, BioBERT and M-BERT, which cannot be had here: three foundations are pre-trained
on general text, one on Korean, one on English, one on both, each with a vocabulary of its own. Each is judged as it is
and after it got the bilingual vocabulary and went on with medical text in both languages: at classifying real reports
and made-up ones of two hospitals (trained on one, judged on both), with all annotations and with a few; at sentence
similarity in both languages; in bits per byte. English medical text is real (CT reports, X-ray sentences); Korean and
mixed reports are made up, since none are public.

What is done stands in FOLDER/cells, a file a cell, and is not done again: a killed run goes on when it is called
again. The tables (CSV, Markdown) and the picture come from the cells alone.
"""

import argparse
import json
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import asdict
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import benchmark_form
import study_cells as cells
import study_table
import torch
from benchmark_form import Data, demand, last_line, progress, results_folder
from study_cells import PUBLISHED, Scale, Site, Stage, Study

from nightread import console

QUICK = "quick"
SCALES = {
    QUICK: Scale(
        layers=2,
        width=64,
        dropout=0.0,
        pieces=8_000,
        seeds=(0,),
        foundations=("English",),
        rows=8,
        general_steps=20,
        bilingual_steps=20,
        general_rate=2e-3,
        bilingual_rate=1e-3,
        corpus=50,
        annotated=60,
        few=40,
        steps=10,
        few_steps=10,
        classifier_rate=2e-3,
        batch=8,
        judged=60,
        pairs=200,
        pairs_epochs=1,
        pairs_rate=1e-3,
    ),
    "small": Scale(
        layers=2,
        width=128,
        dropout=0.0,
        pieces=8_000,
        seeds=(0, 1),
        foundations=("Korean", "English", "both"),
        rows=8,
        general_steps=1_000,
        bilingual_steps=1_000,
        general_rate=2e-3,
        bilingual_rate=2e-3,
        corpus=2_000,
        annotated=300,
        few=100,
        steps=800,
        few_steps=400,
        classifier_rate=1e-3,
        batch=4,
        judged=300,
        pairs=0,
        pairs_epochs=0,
        pairs_rate=5e-4,
    ),
    "gpu": Scale(
        layers=6,
        width=384,
        dropout=0.1,
        pieces=45_000,
        seeds=(0,),
        foundations=("Korean", "English", "both", PUBLISHED),
        rows=128,
        general_steps=2_000,
        bilingual_steps=1_000,
        general_rate=5e-4,
        bilingual_rate=3e-4,
        corpus=4_000,
        annotated=1_000,
        few=100,
        steps=400,
        few_steps=150,
        classifier_rate=1.5e-4,
        batch=16,
        judged=500,
        pairs=5_749,
        pairs_epochs=4,
        pairs_rate=5e-5,
    ),
}


class Cell(NamedTuple):
    """A piece of work whose result is one file; `needs` names the cells that come before."""

    name: str
    needs: tuple[str, ...]
    work: Callable[[Study], cells.Counts]


def plan(scale: Scale) -> Iterator[Cell]:
    """Every cell, each after what it needs."""
    own = [name for name in scale.foundations if name != PUBLISHED]
    for name in (*own, Stage.BILINGUAL):
        yield Cell(f"vocabulary-{name}", (), partial(cells.make_vocabulary, name=name))
    for seed in scale.seeds:
        for name in scale.foundations:
            foundation, bilingual = (f"{name}-{stage}-{seed}" for stage in Stage)
            if name != PUBLISHED:
                yield Cell(foundation, (f"vocabulary-{name}",), partial(cells.make_foundation, name=name, seed=seed))
            needs = () if name == PUBLISHED else (foundation,)
            yield Cell(
                bilingual,
                (f"vocabulary-{Stage.BILINGUAL}", *needs),
                partial(cells.make_bilingual, name=name, seed=seed),
            )
            for stage, made in ((Stage.FOUNDATION, needs), (Stage.BILINGUAL, (bilingual,))):
                yield from _judgements(name, stage, seed, made)


def _judgements(name: str, stage: Stage, seed: int, needs: tuple[str, ...]) -> Iterator[Cell]:
    model = f"{name}-{stage}-{seed}"
    yield Cell(f"{model}-bits", needs, partial(cells.judge_bits, name=name, stage=stage, seed=seed))
    cell = f"{model}-similarity"
    yield Cell(cell, needs, partial(cells.judge_similarity, cell=cell, name=name, stage=stage, seed=seed))
    for site in Site:
        for few in (False, True):
            cell = f"{model}-{site}-{'few' if few else 'all'}"
            work = partial(cells.judge_classification, cell=cell, name=name, stage=stage, seed=seed, site=site, few=few)
            yield Cell(cell, needs, work)


def carry_out(planned: list[Cell], study: Study, processes: int) -> None:
    """Does what is not done yet, `processes` cells at a time."""
    folder = study.out / "cells"
    done = {cell.name for cell in planned if (folder / f"{cell.name}.json").exists()}
    waiting = [cell for cell in planned if cell.name not in done]
    running: dict[Future[float], Cell] = {}
    threads = max(1, (os.cpu_count() or 1) // processes)
    os.environ["RAYON_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = str(threads)
    with (
        console.tracked("cells", total=len(planned)) as shown,
        ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool,
    ):
        shown.update(len(done))
        while waiting or running:
            ready = [cell for cell in waiting if done.issuperset(cell.needs)]
            for cell in ready[: processes - len(running)]:
                waiting.remove(cell)
                running[pool.submit(work, cell, study)] = cell
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                cell = running.pop(future)
                seconds = future.result()
                done.add(cell.name)
                shown.update(len(done), note=f"{cell.name} in {seconds:.0f} s")


def work(cell: Cell, study: Study) -> float:
    """Computes a cell and writes its file last, so that a file means done; returns the seconds it took."""
    began = time.monotonic()
    figures = cell.work(study)
    seconds = time.monotonic() - began
    file = study.out / "cells" / f"{cell.name}.json"
    part = file.with_suffix(".part")
    part.write_text(json.dumps({**figures, "seconds": seconds}, indent=2), encoding="utf-8")
    part.replace(file)
    return seconds


def main(given: argparse.Namespace) -> None:
    demand(given.data)
    scale = SCALES[given.scale]
    if PUBLISHED in scale.foundations and given.published is None:
        raise SystemExit(f"--scale {given.scale} has {PUBLISHED} beside ours; name its folder with --published")
    with results_folder(given.out, f"study-{given.scale}", quick=given.scale == QUICK) as out:
        study = Study(scale, out, given.data.absolute(), given.published)
        (study.out / "cells").mkdir(exist_ok=True)
        agree(study.out / "scale.json", study.scale)
        began = time.monotonic()
        planned = list(plan(study.scale))
        already = sum((study.out / "cells" / f"{cell.name}.json").exists() for cell in planned)
        carry_out(planned, study, given.processes)
        progress(f"{len(planned)} cells, {already} of them done before; {(time.monotonic() - began) / 60:.1f} minutes")
        figures = study_table.write(study)
    last_line({**figures, "scale": given.scale}, data=Data.BOTH, quick=given.scale == QUICK)


def agree(file: Path, scale: Scale) -> None:
    """Refuses to mix the cells of two scales."""
    ours = json.dumps(asdict(scale), indent=2)
    if file.exists() and file.read_text(encoding="utf-8") != ours:
        raise SystemExit(f"{file.parent} holds cells of another scale; name another folder with --out")
    file.write_text(ours, encoding="utf-8")


if __name__ == "__main__":
    parser = benchmark_form.parser(
        __doc__,
        quick=f"--scale {QUICK}, only to see that it runs",
        data="there is no study",
        out="cells, models and results",
    )
    parser.add_argument("--scale", choices=SCALES, default="small")
    parser.add_argument(
        "--published",
        default=benchmark_form.installed_encoder(),
        help=f"folder of {PUBLISHED}, for --scale gpu (default: that of {benchmark_form.ENCODER}, if it is installed)",
    )
    parser.add_argument(
        "--processes",
        type=int,
        default=1 if torch.cuda.is_available() else os.cpu_count() or 1,
        help="cells at a time: one on a GPU, else one a core (small models gain nothing from several)",
    )
    parsed = parser.parse_args()
    if parsed.quick:
        parsed.scale = QUICK
    main(parsed)
