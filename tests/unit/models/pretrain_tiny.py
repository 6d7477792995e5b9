"""A tiny pre-training as a program of its own, to be killed, starved of disk, or shared by two processes.

python pretrain_tiny.py FOUNDATION OUT [--resume] [--kill STEP] [--full STEP]
"""

import argparse
import os
import resource
import signal
import sys
from pathlib import Path

import numpy as np
import torch
from bilingual_reports import made_up_reports

from models import masked_lm, mixing, packing
from models.errors import ModelError
from models.pretraining import Data, PretrainingStep, Run, Settings, pretrain

SETTINGS = Settings(steps=26, learning_rate=1e-3, whole_words=True, replay_masked=0.3, seed=3)
# Rows in a step, and in a pass: two processes then have passes of unlike length, and one of none.
LENGTH, ROWS, PASS = 48, 7, 2
CHECKPOINT_EVERY = 8


def tiny_data(tokenizer: object, reports: int = 50) -> Data:
    """A refresh: new reports, and others replayed among them."""
    new, old = (
        packing.tokenize(made_up_reports(count, seed=seed)[0], tokenizer, length=LENGTH)
        for count, seed in ((reports, 4), (20, 5))
    )
    return lambda epoch: mixing.mix(
        new,
        {"earlier": old},
        fraction=0.25,
        length=LENGTH,
        rows=ROWS,
        pad_id=tokenizer.pad_token_id,
        rng=np.random.default_rng((3, epoch)),
    )


def tiny_run(foundation: Path, out: Path, **changes: object) -> str | None:
    torch.set_num_threads(1)
    model, tokenizer = masked_lm.load(foundation)
    given = {
        "settings": SETTINGS,
        "run": Run(checkpoint_every=CHECKPOINT_EVERY, tokens_per_pass=LENGTH * PASS, device="cpu"),
    }
    return pretrain(model, tokenizer, tiny_data(tokenizer), out, **(given | changes))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("foundation", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--kill", type=int)
    parser.add_argument("--full", type=int)
    given = parser.parse_args()

    def on_step(step: PretrainingStep) -> None:
        if step.step == given.kill:
            os.kill(os.getpid(), signal.SIGKILL)
        if step.step == given.full:  # no file may grow beyond this, as on a full disk
            resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, resource.RLIM_INFINITY))

    try:
        tiny_run(given.foundation, given.out, resume=given.resume, on_step=on_step)
    except ModelError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
