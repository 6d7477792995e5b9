"""Continual refresh against forgetting: a stream of four periods, and what every way to refresh forgets, learns, costs.

    .venv/bin/python benchmarks/forgetting.py [--out FOLDER] [--data ../shared/data] [--quick]

General text, then English reports of site A, Korean and mixed reports of site B, and a later period with new words. A
foundation learns the first; every arm then refreshes it three times, from the same foundation and on the same new
text, each document once. All are judged after each refresh on held-out text of every period. The settings' defaults
of a refresh are the arm called DEFAULT.

Real are, where --data is, the general text and site A's reports; the rest is made up. Seconds are of the processor,
measured with the arms taking turns.
What is done stands in FOLDER/cells and is not done again: a killed run goes on when it is called again. Exits with 1
if naive refreshing forgets so little that the stream shows nothing, or if --quick forgets more than a quarter of it.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from functools import partial

import benchmark_form
import forgetting_cells as cells
import forgetting_stream
import forgetting_table as table
import torch
from benchmark_form import Data, is_real, last_line, progress, results_folder
from forgetting_cells import Arm, Bench, Scale
from forgetting_stream import Sizes
from forgetting_table import JOINT, NAIVE, NONE
from study import Cell, agree, carry_out

DEFAULT = "default"
ARMS = {
    NAIVE: Arm(),
    DEFAULT: Arm(fraction=0.25, masked=0.33),
    "replay 10 %": Arm(fraction=0.1),
    "replay 28 %": Arm(fraction=0.28),
    "replay 50 %": Arm(fraction=0.5),
    "replay 28 %, 30 % masked": Arm(fraction=0.28, masked=0.3),
    "replay 27 %, 35 % masked": Arm(fraction=0.27, masked=0.35),
    "replay 27 %, 35 % masked, distillation": Arm(fraction=0.27, masked=0.35, distillation=0.5),
    "naive, a fifth of the rate": Arm(rate=0.2),
    NONE: Arm(refreshes=False),
    JOINT: Arm(joint=True),
}
SCALES = {
    "quick": Scale(
        layers=2,
        width=128,
        pieces=8_000,
        rows=8,
        arms=(NAIVE, DEFAULT),
        general_steps=150,
        general_rate=2e-3,
        rate=1e-3,
        sizes=Sizes(real=120, made_up=200, annotated=1, judged=25),
        kept=0.2,
        pairs=100,
        turns=2,
        steps=0,
        classifier_rate=0.0,
        batch=0,
    ),
    "small": Scale(
        layers=2,
        width=128,
        pieces=8_000,
        rows=8,
        arms=tuple(ARMS),
        general_steps=1_000,
        general_rate=2e-3,
        rate=1e-3,
        sizes=Sizes(real=400, made_up=800, annotated=150, judged=80),
        kept=0.2,
        pairs=500,
        turns=5,
        steps=150,
        classifier_rate=1e-3,
        batch=4,
    ),
}
QUICK_MOST = 0.25


def plan(scale: Scale, seeds: Sequence[int]) -> list[Cell]:
    """The vocabulary, a foundation for every seed, and every arm from it."""
    planned = [Cell("vocabulary", (), cells.make_vocabulary)]
    for seed in seeds:
        planned.append(Cell(f"foundation-{seed}", ("vocabulary",), partial(cells.make_foundation, seed=seed)))
    trained = {name: ARMS[name] for name in scale.arms if ARMS[name].refreshes and not ARMS[name].joint}
    planned.append(Cell("cost", ("foundation-0",), partial(cells.measure_cost, arms=trained)))
    for seed in seeds:
        for name in scale.arms:
            work = partial(cells.run_arm, name=_folder(name), arm=ARMS[name], seed=seed)
            planned.append(Cell(f"{_folder(name)}-{seed}", (f"foundation-{seed}",), work))
    return planned


def main(given: argparse.Namespace) -> None:
    with results_folder(given.out, "forgetting", quick=given.quick) as out:
        bench = Bench(SCALES["quick" if given.quick else "small"], out, given.data.absolute())
        real = is_real(bench.data)
        if not real:
            progress(f"no real data in {bench.data}: general text is the manual of Python, site A is made up")
        (bench.out / "cells").mkdir(exist_ok=True)
        agree(bench.out / "scale.json", bench.scale)
        began = time.monotonic()
        seeds = range(1 if given.quick else given.seeds)
        carry_out(plan(bench.scale, seeds), bench, given.processes)
        progress(f"{(time.monotonic() - began) / 60:.1f} minutes")
        figures = report(bench, seeds)
    last_line(figures, data=Data.BOTH if real else Data.MADE_UP, quick=given.quick)
    if figures["naive_forgetting"] < table.TOO_EASY:
        sys.exit(f"naive refreshing forgets less than {table.TOO_EASY} bits per byte: the stream is too easy")
    if given.quick and figures["forgetting_vs_naive"] > QUICK_MOST:
        sys.exit(f"the default forgets more than {QUICK_MOST} of what naive refreshing does")


def report(bench: Bench, seeds: Sequence[int]) -> dict[str, float]:
    """Prints the table, writes it with CSV and picture to the folder, and returns the default's figures."""
    folder = bench.out / "cells"
    cost = json.loads((folder / "cost.json").read_text(encoding="utf-8"))["seconds_per_new_token"]
    runs = {
        arm: [table.read(folder / f"{_folder(arm)}-{seed}.json", cost.get(arm, cost[NAIVE])) for seed in seeds]
        for arm in bench.scale.arms
    }
    summaries = table.summarize(runs)
    text = table.markdown("Refreshing without forgetting", forgetting_stream.NAMES, runs)
    print(text)
    (bench.out / "forgetting.md").write_text(text, encoding="utf-8")
    table.write_csv(forgetting_stream.NAMES, runs, bench.out / "forgetting.csv")
    table.draw(summaries, bench.out / "forgetting.png")
    found = {one.arm: one for one in summaries}
    default = found[DEFAULT]
    rounded = {name: round(getattr(default, name), 4) for name in (*table.AIMS, "floored_vs_naive", "tokens_vs_naive")}
    return {
        **rounded,
        "naive_forgetting": round(found[NAIVE].forgetting, 4),
        "seeds": len(seeds),
    }


def _folder(arm: str) -> str:
    """An arm's name as part of a file's."""
    return "".join(letter if letter.isalnum() else "-" for letter in arm)


if __name__ == "__main__":
    parser = benchmark_form.parser(
        __doc__,
        quick="two arms, one seed, small",
        data="site A is made up and general text is the manual of Python",
        out="cells, models and results",
    )
    parser.add_argument("--seeds", type=int, default=3, help="more may follow: what is done is not done again")
    parser.add_argument(
        "--processes",
        type=int,
        default=1 if torch.cuda.is_available() else os.cpu_count() or 1,
        help="cells at a time: one on a GPU, else one a core (small models gain nothing from several)",
    )
    main(parser.parse_args())
