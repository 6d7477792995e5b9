"""What the transplant alone is worth: bits per byte in a new vocabulary, transplanted against random rows.

    .venv/bin/python benchmarks/transplant.py FOUNDATION [--data ../shared/data] [--size 8000] [--steps 0 50 500]

The foundation moves to a bilingual vocabulary trained here on general text, with its rows transplanted, with only the
identical pieces kept, and with random rows, and is pre-trained as many steps as named, the same batches each time and
a whole learning rate schedule for each number of steps. Judged on held-out documents, in Korean and in English. The
foundation's own figure stands beside them; with a fresh head (`had_head` false) it says little.
"""

import argparse
import csv
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from shared_text import read
from transformers import PreTrainedTokenizerFast

from models import bits, masked_lm, packing
from models.masked_lm import MaskedLM
from models.pretraining import Run, Settings, pretrain
from models.transplant import NewRows, transplant
from models.vocabulary import build

LANGUAGES = ("Korean", "English")
LENGTH = 128


def main(given: argparse.Namespace) -> None:
    console = Console(width=140)
    splits = {language: split for language, split in read(given.data).items() if language in LANGUAGES}
    train = [text for split in splits.values() for text in split.train]
    held_out = {language: split.held_out[: given.held_out] for language, split in splits.items()}
    vocabulary = build(train, given.size).tokenizer
    foundation, old = masked_lm.load(given.foundation)
    console.print(
        f"{given.foundation}: masked-LM head {'its own' if foundation.had_head else 'fresh'}; "
        f"{len(old):,} pieces before, {len(vocabulary):,} after"
    )
    table = Table("rows", "kept", "composed", "drawn", "steps", *(f"bits per byte, {one}" for one in LANGUAGES), "s")
    written = [("rows", "kept", "composed", "drawn", "steps", *LANGUAGES, "seconds")]

    def add(name: str, counts: tuple[int, ...], steps: int, found: list[float], seconds: float) -> None:
        shown = [f"{count:,}" for count in counts] or ["", "", ""]
        table.add_row(name, *shown, str(steps), *(f"{one:.3f}" for one in found), f"{seconds:.0f}")
        written.append((name, *(counts or ("", "", "")), steps, *found, seconds))  # type: ignore[arg-type]

    add("foundation, its own vocabulary", (), 0, judge(foundation, old, held_out), 0)
    documents = packing.tokenize(train, vocabulary, length=LENGTH)
    for rows in NewRows:
        for steps in given.steps:
            model, moved = transplant(foundation, old, vocabulary, rows=rows, seed=given.seed)
            started = time.perf_counter()
            if steps:
                learn(model, vocabulary, documents, steps, given)
            seconds = time.perf_counter() - started
            counts = (moved.kept, moved.composed, moved.drawn)
            add(rows, counts, steps, judge(model, vocabulary, held_out), seconds)
            console.print(f"{rows}, {steps} steps: done in {seconds:.0f} s")
    console.print(table)
    if given.csv is not None:
        with given.csv.open("w", encoding="utf-8", newline="") as stream:
            csv.writer(stream).writerows(written)


def judge(model: MaskedLM, tokenizer: PreTrainedTokenizerFast, held_out: dict[str, list[str]]) -> list[float]:
    return [bits.measure(model, tokenizer, held_out[language]).bits_per_byte for language in LANGUAGES]


def learn(
    model: MaskedLM,
    tokenizer: PreTrainedTokenizerFast,
    documents: packing.Documents,
    steps: int,
    given: argparse.Namespace,
) -> None:
    def data(epoch: int) -> object:
        rng = np.random.default_rng((given.seed, epoch))
        return packing.batches(documents, length=LENGTH, rows=given.rows, pad_id=tokenizer.pad_token_id, rng=rng)

    settings = Settings(steps=steps, learning_rate=given.learning_rate, seed=given.seed)
    with tempfile.TemporaryDirectory() as folder:
        pretrain(model, tokenizer, data, Path(folder) / "run", settings=settings, run=Run(checkpoint_every=steps + 1))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("foundation")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--size", type=int, default=8_000)
    parser.add_argument("--steps", type=int, nargs="+", default=[0, 50, 500])
    parser.add_argument("--rows", type=int, default=32, help="packed rows of 128 tokens in a step")
    parser.add_argument("--held-out", type=int, default=200, help="documents of each language to judge on")
    parser.add_argument("--learning-rate", type=float, default=5e-4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--csv", type=Path)
    parsed = parser.parse_args()
    torch.manual_seed(parsed.seed)
    main(parsed)
