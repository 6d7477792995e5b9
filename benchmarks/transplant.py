"""What the transplant alone is worth: bits per byte in a new vocabulary, transplanted against random rows.

    .venv/bin/python benchmarks/transplant.py [--foundation FOLDER] [--data ../shared/data] [--size 8000] \
        [--steps 0 50 500] [--quick]

The foundation moves to a bilingual vocabulary trained here on general text, with its rows transplanted, with only the
identical pieces kept, and with random rows, and is pre-trained as many steps as named, the same batches each time and
a whole learning rate schedule for each number of steps. Judged on held-out documents, in Korean and in English. The
foundation's own figure stands beside them; with a fresh head (`had_head` false) it says little. Where there is no real
text, made-up reports in either language stand for it.
"""

import argparse
import csv
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import benchmark_form
import numpy as np
import torch
from benchmark_form import Data, foundation_or_default, is_real, last_line, markdown, progress
from shared_text import read, vocabulary
from transformers import PreTrainedTokenizerFast

from models import bits, masked_lm, packing
from models.masked_lm import MaskedLM
from models.pretraining import Run, Settings, pretrain
from models.transplant import NewRows, transplant

LANGUAGES = ("Korean", "English")
LENGTH = 128
OWN = "foundation, its own vocabulary"


class Judged(NamedTuple):
    """A model after so many steps; `counts` of its rows kept, composed and drawn, if it was transplanted."""

    name: str
    counts: tuple[int, ...]
    steps: int
    bits: list[float]  # per byte, by language
    seconds: float


def main(given: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        named = foundation_or_default(given.foundation, Path(scratch))
        foundation, old = masked_lm.load(named)
    splits = {language: split for language, split in read(given.data).items() if language in LANGUAGES}
    train = [text for split in splits.values() for text in split.train]
    held_out = {language: split.held_out[: given.held_out] for language, split in splits.items()}
    new = vocabulary(train, given.size)
    print(
        f"masked-LM head: {'its own' if foundation.had_head else 'fresh'}; "
        f"{len(old):,} pieces before, {len(new):,} after\n"
    )
    judged = [Judged(OWN, (), 0, judge(foundation, old, held_out), 0.0)]
    documents = packing.tokenize(train, new, length=LENGTH)
    for rows in NewRows:
        for steps in given.steps:
            model, moved = transplant(foundation, old, new, rows=rows, seed=given.seed)
            started = time.perf_counter()
            if steps:
                learn(model, new, documents, steps, given)
            seconds = time.perf_counter() - started
            counts = (moved.kept, moved.composed, moved.drawn)
            judged.append(Judged(rows, counts, steps, judge(model, new, held_out), seconds))
            progress(f"{rows}, {steps} steps: done in {seconds:.0f} s")
    if given.csv is not None:
        with given.csv.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(("rows", "kept", "composed", "drawn", "steps", *LANGUAGES, "seconds"))
            writer.writerows((one.name, *counted(one), one.steps, *one.bits, one.seconds) for one in judged)
    show(judged, data=Data.REAL if is_real(given.data) else Data.MADE_UP, quick=given.quick)


def show(judged: Sequence[Judged], *, data: Data, quick: bool) -> None:
    columns = ("rows", "kept", "composed", "drawn", "steps", *(f"bits per byte, {one}" for one in LANGUAGES), "s")
    rows = (
        (one.name, *counted(one), one.steps, *(f"{figure:.3f}" for figure in one.bits), f"{one.seconds:.0f}")
        for one in judged
    )
    print(markdown(columns, rows))
    found: dict[str, dict[str, list[float]]] = {}
    for one in judged:
        found.setdefault(one.name, {})[str(one.steps)] = [round(figure, 4) for figure in one.bits]
    last_line({"languages": LANGUAGES, "bits_per_byte": found}, data=data, quick=quick)


def counted(one: Judged) -> tuple[int | str, ...]:
    return one.counts or ("", "", "")


def judge(model: MaskedLM, tokenizer: PreTrainedTokenizerFast, held_out: dict[str, list[str]]) -> list[float]:
    return [bits.measure(model, tokenizer, held_out[language]).bits_per_byte for language in LANGUAGES]


def learn(
    model: MaskedLM,
    tokenizer: PreTrainedTokenizerFast,
    documents: packing.Documents,
    steps: int,
    given: argparse.Namespace,
) -> None:
    def data(epoch: int) -> Iterator[packing.Rows]:
        rng = np.random.default_rng((given.seed, epoch))
        return packing.batches(documents, length=LENGTH, rows=given.rows, pad_id=tokenizer.pad_token_id, rng=rng)

    settings = Settings(steps=steps, learning_rate=given.learning_rate, seed=given.seed)
    with tempfile.TemporaryDirectory() as folder:
        pretrain(model, tokenizer, data, Path(folder) / "run", settings=settings, run=Run(checkpoint_every=steps + 1))


if __name__ == "__main__":
    parser = benchmark_form.parser(
        __doc__, quick="0 and 5 steps of 8 rows, 20 documents", data="the text is made-up reports", foundation=True
    )
    parser.add_argument("--size", type=int, default=8_000)
    parser.add_argument("--steps", type=int, nargs="+", default=[0, 50, 500])
    parser.add_argument("--rows", type=int, default=32, help="packed rows of 128 tokens in a step")
    parser.add_argument("--held-out", type=int, default=200, help="documents of each language to judge on")
    parser.add_argument("--learning-rate", type=float, default=5e-4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--csv", type=Path)
    parsed = parser.parse_args()
    if parsed.quick:
        parsed.steps, parsed.rows, parsed.held_out = [0, 5], 8, 20
    torch.manual_seed(parsed.seed)
    main(parsed)
