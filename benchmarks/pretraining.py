"""Pre-training's speed beside Hugging Face's Trainer: real tokens a second, padding not counted, and peak memory.

    .venv/bin/python benchmarks/pretraining.py [--data ../shared/data] [--steps 6 --batch-tokens 4096] [--quick]

Both train the same masked language model (6 layers, 384 wide, 45,000 pieces) on the same documents with as many real
tokens in a step: ours packed, the Trainer as its documentation says, with DataCollatorForLanguageModeling and dynamic
padding. Each is measured in a process of its own, in turns, and the median of the turns counts. On a CUDA GPU both run
in bf16, and the model FLOPs utilisation of BERT-base is measured too, as it comes and compiled.
"""

import argparse
import csv
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import benchmark_form
import numpy as np
import torch
from benchmark_form import Data, is_real, last_line, markdown, progress
from transformers import (
    BertConfig,
    BertForMaskedLM,
    DataCollatorForLanguageModeling,
    PreTrainedTokenizerFast,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

from models import masked_lm, packing
from models.foundations import load_tokenizer, save_tokenizer
from models.masking import RATE
from models.packing import Documents, Rows
from models.pretraining import PretrainingStep, Run, Settings, pretrain
from models.vocabulary import train_wordpiece
from nightread.made_up.reports import reports

LENGTH, PIECES = 128, 45_000
SMALL, BASE = (6, 384, 12), (12, 768, 12)  # layers, width, heads
QUICK = 10  # one document in so many
# What the makers name for dense bf16, in FLOPs a second; another device's is measured with large matrices.
PEAKS = {"H100": 989e12, "H200": 989e12, "A100": 312e12, "L40S": 362e12, "L4": 121e12}


def main(given: argparse.Namespace) -> None:
    if given.measure:
        measured = {"ours": ours, "trainer": trainer}[given.measure](given)
        print(json.dumps(measured | {"peak_bytes": peak_bytes()}))
        return
    with TemporaryDirectory() as scratch:
        folder = Path(scratch)
        prepare(folder, given)
        turns: dict[str, list[dict[str, float]]] = {"ours": [], "trainer": []}
        for _ in range(given.turns):
            for what, found in turns.items():
                found.append(measure(folder, given, what))
                progress(f"{what}: {found[-1]['tokens_per_second']:,.0f} tokens/s")
        figures: dict[str, float] = {}
        if torch.cuda.is_available():
            for compiled in (False, True):
                found_base = measure(folder, given, "ours", "--base", *(["--compile"] if compiled else []))
                used = found_base["tokens_per_second"] * flops_per_token(*BASE[:2]) / peak_flops()
                figures[f"bert_base_{'compiled' if compiled else 'eager'}_model_flops_utilisation"] = round(used, 3)
    show(turns, figures, data=Data.REAL if is_real(given.data) else Data.MADE_UP, quick=given.quick)


def show(
    turns: Mapping[str, Sequence[dict[str, float]]], figures: Mapping[str, float], *, data: Data, quick: bool
) -> None:
    found = dict(figures)
    for what, several in turns.items():
        found[f"{what}_tokens_per_second"] = round(statistics.median(one["tokens_per_second"] for one in several))
        found[f"{what}_peak_memory_mib"] = round(max(one["peak_bytes"] for one in several) / 2**20)
        found[f"{what}_padding_share"] = round(several[0]["padding_share"], 3)
    found["speedup_vs_trainer"] = round(found["ours_tokens_per_second"] / found["trainer_tokens_per_second"], 2)
    rows = (
        (
            what,
            f"{found[f'{what}_tokens_per_second']:,}",
            f"{found[f'{what}_peak_memory_mib']:,}",
            f"{found[f'{what}_padding_share']:.1%}",
        )
        for what in turns
    )
    print(markdown(("pre-training", "real tokens a second", "peak memory, MiB", "padding"), rows))
    print(f"\nOurs is {found['speedup_vs_trainer']:.1f} times as fast.")
    for name, figure in figures.items():
        print(f"{name.replace('_', ' ')}: {figure:.1%}")
    print()
    last_line(found, data=data, quick=quick)


def prepare(folder: Path, given: argparse.Namespace) -> None:
    """Writes what both train on: tokenizer, documents, and two models of random weights."""
    texts = list(real_texts(given.data)) if is_real(given.data) else [made.text for made in reports(6_000, seed=1)]
    if given.quick and not torch.cuda.is_available():  # where a step takes more text than that
        texts = texts[::QUICK]
    tokenizer = train_wordpiece(texts, PIECES)  # as many as the text gives; the models have 45,000 all the same
    documents = packing.tokenize(texts, tokenizer, length=LENGTH)
    np.savez(folder / "documents.npz", ids=documents.ids, ends=documents.ends)
    sizes = documents.sizes
    print(f"{len(sizes):,} documents of {sizes.mean():.1f} tokens, {sizes.sum():,} in all", file=sys.stderr)
    for name, (layers, width, heads) in (("small", SMALL), ("base", BASE)):
        if name == "base" and not torch.cuda.is_available():
            continue
        torch.manual_seed(0)
        config = BertConfig(
            vocab_size=PIECES,
            hidden_size=width,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            intermediate_size=4 * width,
            pad_token_id=tokenizer.pad_token_id,
        )
        BertForMaskedLM(config).save_pretrained(folder / name)
        save_tokenizer(tokenizer, folder / name)


def real_texts(data: Path) -> Iterator[str]:
    """Chest CT reports, and general text in Korean and English, a line each."""
    with (data / "chest-ct-reports" / "reports.csv").open(encoding="utf-8", newline="") as stream:
        yield from (row["report_text"] for row in csv.DictReader(stream))
    for file in sorted([*data.glob("text/en/*.txt"), *data.glob("text/ko-en/*.ko"), *data.glob("text/ko-en/*.en")]):
        for line in file.read_text(encoding="utf-8").splitlines():
            if len(line) > 20:
                yield line.strip()


def measure(folder: Path, given: argparse.Namespace, what: str, *more: str) -> dict[str, float]:
    options = [f"--steps={given.steps}", f"--warm-up={given.warm_up}", f"--batch-tokens={given.batch_tokens}"]
    done = subprocess.run(
        [sys.executable, __file__, f"--measure={what}", f"--folder={folder}", *options, *more],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def ours(given: argparse.Namespace) -> dict[str, float]:
    model, tokenizer = masked_lm.load(given.folder / ("base" if given.base else "small"))
    documents = read_documents(given.folder)
    rows = given.batch_tokens // LENGTH
    ends: list[tuple[float, int]] = []
    places: list[int] = []

    def data(epoch: int) -> Iterator[Rows]:
        rng = np.random.default_rng(epoch)
        for batch in packing.batches(documents, length=LENGTH, rows=rows, pad_id=int(tokenizer.pad_token_id), rng=rng):
            if len(batch.ids) == rows:
                places.append(batch.ids.size)
                yield batch

    def on_step(step: PretrainingStep) -> None:
        ends.append((time.perf_counter(), step.tokens))

    with TemporaryDirectory() as out:
        pretrain(
            model,
            tokenizer,
            data,
            Path(out),
            settings=Settings(steps=given.warm_up + given.steps),
            run=Run(checkpoint_every=sys.maxsize, compiled=given.compile),
            on_step=on_step,
        )
    (began, before), (ended, after) = ends[given.warm_up - 1], ends[-1]
    return {
        "tokens_per_second": (after - before) / (ended - began),
        "padding_share": 1 - after / sum(places[: given.warm_up + given.steps]),
    }


class Collator(DataCollatorForLanguageModeling):
    """Also remembers how many places a batch has and how many are real."""

    places: list[int]
    tokens: list[int]

    def torch_call(self, examples: list[Any]) -> dict[str, Any]:
        batch: dict[str, Any] = super().torch_call(examples)
        self.places.append(batch["attention_mask"].numel())
        self.tokens.append(int(batch["attention_mask"].sum()))
        return batch


class Clock(TrainerCallback):
    """When steps end; on a GPU, when the work of the first and last counted one does."""

    def __init__(self, steps: int, warm_up: int) -> None:
        self.steps = steps
        self.warm_up = warm_up
        self.ends: list[float] = []

    def on_step_end(self, *_: Any, **__: Any) -> None:
        if torch.cuda.is_available() and len(self.ends) + 1 in {self.warm_up, self.steps}:
            torch.cuda.synchronize()
        self.ends.append(time.perf_counter())


def trainer(given: argparse.Namespace) -> dict[str, float]:
    tokenizer = load_tokenizer(given.folder / "small")
    model = BertForMaskedLM.from_pretrained(given.folder / "small")
    documents = read_documents(given.folder)
    collator = Collator(tokenizer=tokenizer, mlm_probability=RATE)
    collator.places, collator.tokens = [], []
    clock = Clock(given.warm_up + given.steps, given.warm_up)
    with TemporaryDirectory() as out:
        Trainer(
            model=model,
            args=TrainingArguments(
                output_dir=out,
                per_device_train_batch_size=round(given.batch_tokens / float(documents.sizes.mean())),
                max_steps=clock.steps,
                learning_rate=1e-4,
                weight_decay=0.01,
                warmup_steps=given.warm_up,
                bf16=torch.cuda.is_available(),
                use_cpu=not torch.cuda.is_available(),
                save_strategy="no",
                logging_strategy="no",
                report_to="none",
                disable_tqdm=True,
            ),
            data_collator=collator,
            train_dataset=examples(documents, tokenizer),
            callbacks=[clock],
        ).train()
    timed = slice(given.warm_up, clock.steps)
    return {
        "tokens_per_second": sum(collator.tokens[timed]) / (clock.ends[-1] - clock.ends[given.warm_up - 1]),
        "padding_share": 1 - sum(collator.tokens[timed]) / sum(collator.places[timed]),
    }


def examples(documents: Documents, tokenizer: PreTrainedTokenizerFast) -> list[dict[str, list[int]]]:
    special = set(tokenizer.all_special_ids)
    ids = [part.tolist() for part in np.split(documents.ids, documents.ends[:-1])]
    return [{"input_ids": one, "special_tokens_mask": [int(token in special) for token in one]} for one in ids]


def read_documents(folder: Path) -> Documents:
    with np.load(folder / "documents.npz") as arrays:
        return Documents(arrays["ids"], arrays["ends"])


def peak_bytes() -> int:
    """Of the GPU where there is one, else of this process."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def flops_per_token(layers: int, width: int) -> float:
    """Forward and backward, of a packed row's token: 6 for each weight of a matrix, the attention, and the head where
    it is needed (PaLM's appendix B counts so; the head on the masked tokens only).
    """
    body = 6 * layers * 12 * width**2 + 12 * layers * LENGTH * width
    return body + RATE * 6 * (PIECES * width + width**2)


def peak_flops() -> float:
    name = torch.cuda.get_device_name()
    for known, peak in PEAKS.items():
        if known in name.replace("-", " ").split():
            return peak
    matrix = torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16)
    for _ in range(5):
        matrix @ matrix
    torch.cuda.synchronize()
    began = time.perf_counter()
    for _ in range(20):
        matrix @ matrix
    torch.cuda.synchronize()
    return 20 * 2 * 8192**3 / (time.perf_counter() - began)


def arguments() -> argparse.Namespace:
    parser = benchmark_form.parser(
        __doc__,
        quick="once; without a GPU 2 steps of 512 tokens, whose speed means little",
        data="the text is made-up reports",
    )
    cuda = torch.cuda.is_available()
    parser.add_argument("--steps", type=int, default=100 if cuda else 6, help="timed; on a GPU a multiple of ten")
    parser.add_argument("--batch-tokens", type=int, default=65_536 if cuda else 4_096)
    parser.add_argument("--warm-up", type=int, default=10 if cuda else 3, help="steps that are not counted")
    parser.add_argument("--turns", type=int, default=3)
    for inner in ("--measure", "--folder"):
        parser.add_argument(inner, type=Path if inner == "--folder" else str, help=argparse.SUPPRESS)
    for inner in ("--base", "--compile"):
        parser.add_argument(inner, action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.quick:
        given.turns = 1
        if cuda:
            given.steps = 20
        else:
            given.steps, given.warm_up, given.batch_tokens = 2, 1, 512
    return given


if __name__ == "__main__":
    main(arguments())
