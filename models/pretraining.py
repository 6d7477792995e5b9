"""Masked language modelling on packed text: a loop to be read from top to bottom.

`accelerate` gives the device, the precision and several processes. What a step does depends on the seed, the step and
the data alone, not on how many processes share it or in how many passes: the loss of a step is the mean over all
tokens masked in it, and a run that was killed goes on from its last checkpoint as if nothing had happened.
"""

import copy
import math
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from itertools import count, islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from accelerate import Accelerator
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers import PreTrainedTokenizerFast

from models import checkpoints, devices, masked_lm, run_folder
from models.checkpoints import Place
from models.masked_lm import MaskedLM
from models.masking import IGNORED, RATE, Masked, Pieces, mask
from models.optimizing import decayed, warmed_up_and_decayed
from models.packing import Rows
from models.run_folder import PretrainingError

# Tokens in one pass through the model. More do not make it faster, they only take memory.
_TOKENS_ON_CPU = 4_096
_TOKENS_ON_GPU = 65_536
# Steps between looks at the loss on a GPU: every look makes the CPU wait for it.
_STEPS_PER_LOOK = 10

# The packed rows of an epoch (from 0), batch by batch. The same epoch gives the same batches, so that a run can be
# resumed; how many there are may differ from epoch to epoch.
Data = Callable[[int], Iterable[Rows]]


@dataclass(frozen=True, slots=True)
class Settings:
    """What a pre-training is: the same settings, seed and data give the same model."""

    steps: int
    learning_rate: float = 1e-4
    warm_up: float = 0.1  # of all steps
    weight_decay: float = 0.01
    gradient_norm: float = 1.0
    whole_words: bool = False
    replay_masked: float = RATE  # how much of a replayed row is hidden
    distillation: float = 0.0  # share of a replayed token's loss: what the former model guesses, not what stood there
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Run:
    """How it is carried out, which changes the model by rounding at most."""

    checkpoint_every: int = 500  # steps
    tokens_per_pass: int | None = None  # on each device; None: what suits it
    device: str | None = None  # "cpu", or None: the GPU where there is one
    compiled: bool = False  # torch.compile: minutes to begin with, then faster on a GPU
    made_from: Mapping[str, object] = field(default_factory=dict)  # what a resumed run must agree with, as JSON


AS_IT_SUITS = Run()


class PretrainingStep(NamedTuple):
    """One step done: `step` of `steps`, its loss (nats per masked token), and the real tokens of all steps so far."""

    step: int
    steps: int
    epoch: int
    loss: float
    tokens: int
    tokens_per_second: float
    learning_rate: float


def is_main() -> bool:
    """Whether this process is the one that writes and speaks, among those that `accelerate launch` started."""
    return int(os.environ.get("RANK", "0")) == 0


def pretrain(
    model: MaskedLM,
    tokenizer: PreTrainedTokenizerFast,
    data: Data,
    out: Path,
    *,
    settings: Settings,
    run: Run = AS_IT_SUITS,
    resume: bool = False,
    on_step: Callable[[PretrainingStep], None] | None = None,
) -> str | None:
    """Pre-trains `model` on `data`, writes it to `out`/model and returns the artifact's sha256.

    `out` also gets checkpoints, which go when the model is there, and log.jsonl with a line per step. With `resume` it
    goes on from the last checkpoint in `out`. Under `accelerate launch` or `torchrun` every process calls this; only
    the main one writes, hears `on_step` and is told the sha256. Raises PretrainingError if there is no data, if `out`
    is in use or if the loss is no number any more, CheckpointError if a checkpoint cannot be written or used,
    DeviceError if memory or the device gives out.
    """
    device = devices.pick(run.device)
    # On a CPU bf16 saves little, and its rounding would hide whether several processes do the work of one.
    bf16 = device.type == "cuda" and devices.is_bf16_fast(device)
    accelerator = Accelerator(cpu=device.type == "cpu", mixed_precision="bf16" if bf16 else "no")
    made_from = {**asdict(settings), **run.made_from}

    with run_folder.taken(out, resume=resume) if accelerator.is_main_process else nullcontext() as folder:
        accelerator.wait_for_everyone()

        # Model and optimizer.
        former = copy.deepcopy(model).to(accelerator.device).eval() if settings.distillation else None
        model.to(accelerator.device).train()
        groups = decayed(model.parameters(), settings.weight_decay)
        optimizer = torch.optim.AdamW(groups, lr=settings.learning_rate, fused=True)
        saved = checkpoints.newest(out / run_folder.CHECKPOINTS) if resume else None
        place = checkpoints.load(saved, model, optimizer, made_from) if saved else Place()
        trained = accelerator.prepare_model(torch.compile(model) if run.compiled else model)

        pieces = Pieces.of(tokenizer)
        tokens_per_pass = run.tokens_per_pass or (_TOKENS_ON_CPU if device.type == "cpu" else _TOKENS_ON_GPU)
        watch = _Watch(accelerator, settings.steps, place)
        if folder:
            folder.begin_log(place.step)

        # Data: one step a batch, until there were enough.
        for epoch, batch, rows in islice(_batches(data, place), settings.steps - place.step):
            random = np.random.default_rng((settings.seed, place.step))
            torch.manual_seed(_seed(settings.seed, place.step, accelerator.process_index))  # dropout
            masked = mask(
                rows, pieces, rng=random, whole_words=settings.whole_words, replay_rate=settings.replay_masked
            )
            rate = warmed_up_and_decayed(
                place.step, steps=settings.steps, peak=settings.learning_rate, warm_up=settings.warm_up
            )
            for group in optimizer.param_groups:
                group["lr"] = rate

            # Loop: as many passes as it takes, then one step of the optimizer.
            with devices.guarded("pre-training"):
                most = max(1, tokens_per_pass // rows.ids.shape[1])
                loss = _passes(accelerator, trained, rows, masked, former, settings.distillation, most=most)
                torch.nn.utils.clip_grad_norm_(model.parameters(), settings.gradient_norm)
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
            place = Place(place.step + 1, epoch, batch + 1, place.tokens + rows.tokens)

            # What it came to.
            watch.add(place, rate, loss)
            checkpoint_due = place.step % run.checkpoint_every == 0 and place.step < settings.steps
            if watch.full or checkpoint_due or place.step == settings.steps:
                for done in watch.look():
                    if folder:
                        folder.log(done._asdict())
                        if on_step:
                            on_step(done)
            if checkpoint_due and folder:
                checkpoints.write(folder.checkpoints, model, optimizer, place, made_from)
                watch.restart()

        # What holds the processes' group goes before the group: torch's reducer, taking it along, can wait for ever.
        del trained
        accelerator.free_memory()
        model.eval()
        sha256 = folder.finish(lambda to: masked_lm.save(model, tokenizer, to)) if folder else None
    accelerator.wait_for_everyone()
    accelerator.end_training()
    return sha256


class _Watch:
    """Losses left where they were computed until they are looked at, and the speed in between."""

    def __init__(self, accelerator: Accelerator, steps: int, place: Place) -> None:
        self._accelerator, self._steps = accelerator, steps
        self._pending: list[tuple[Place, float, Tensor]] = []
        self._tokens = place.tokens
        self.restart()

    @property
    def full(self) -> bool:
        return len(self._pending) == (_STEPS_PER_LOOK if self._accelerator.device.type == "cuda" else 1)

    def restart(self) -> None:
        """Starts the clock anew: writing a checkpoint is not the loop's speed."""
        self._since = time.perf_counter()

    def add(self, place: Place, rate: float, loss: Tensor) -> None:
        self._pending.append((place, rate, loss))

    def look(self) -> Iterator[PretrainingStep]:
        """The steps since the last look; their losses are summed over all processes, each of which calls this.

        Raises PretrainingError, in every process, if one is no number.
        """
        summed = self._accelerator.reduce(torch.stack([loss for _, _, loss in self._pending]), "sum").tolist()
        pending, self._pending = self._pending, []
        tokens = pending[-1][0].tokens
        speed = (tokens - self._tokens) / (time.perf_counter() - self._since)
        self._tokens = tokens
        self.restart()
        for (place, rate, _), loss in zip(pending, summed, strict=True):
            if not math.isfinite(loss):  # weights that are no numbers never become any again
                raise PretrainingError(
                    f"the loss of step {place.step} is no number any more; begin again in another folder, with a lower "
                    "learning rate"
                )
            yield PretrainingStep(place.step, self._steps, place.epoch + 1, loss, place.tokens, speed, rate)


def _batches(data: Data, place: Place) -> Iterator[tuple[int, int, Rows]]:
    """Batches without end from `place` on, epoch after epoch, each with its epoch and its number in it (from 0)."""
    first = place.batch
    for epoch in count(place.epoch):
        empty = first == 0
        for batch, rows in islice(enumerate(data(epoch)), first, None):
            empty = False
            yield epoch, batch, rows
        if empty:
            raise PretrainingError("there is no text to pre-train on; add to the corpus first")
        first = 0


def _shares(rows: int, *, processes: int, process: int, most: int) -> list[slice]:
    """Which of a step's rows this process takes in each pass, at most `most` of them; every process makes as many
    passes, so some may be empty.
    """
    each = -(-rows // processes)
    mine = slice(process * each, min(rows, (process + 1) * each))
    starts = range(process * each, (process + 1) * each, most)
    return [slice(min(start, mine.stop), min(start + most, mine.stop)) for start in starts]


def _passes(
    accelerator: Accelerator,
    model: nn.Module,
    rows: Rows,
    masked: Masked,
    former: MaskedLM | None,
    distillation: float,
    *,
    most: int,
) -> Tensor:
    """Forward and backward over this process's rows, at most `most` at a time: gradients are left in `model`.

    Returns this process's part of the step's mean loss, in nats per masked token.
    """
    loss = torch.zeros((), device=accelerator.device)
    processes = accelerator.num_processes
    shares = _shares(len(rows.ids), processes=processes, process=accelerator.process_index, most=most)
    for number, share in enumerate(shares, 1):
        # Processes exchange their gradients once, after the last pass.
        with nullcontext() if number == len(shares) else accelerator.no_sync(model):
            nats = _loss(accelerator, model, rows, masked, share, former, distillation)
            part = nats / max(1, masked.guesses)
            accelerator.backward(part * processes)  # gradients are averaged over them
        loss += part.detach()
    return loss


def _loss(
    accelerator: Accelerator,
    model: nn.Module,
    rows: Rows,
    masked: Masked,
    share: slice,
    former: MaskedLM | None,
    distillation: float,
) -> Tensor:
    """Sum over the share's masked tokens of their negative log likelihood, in nats; of replayed ones in part the cross
    entropy with what `former` guesses (Hinton et al., 2015), if there is one.
    """
    length = rows.ids.shape[1]
    of_share = slice(masked.starts[share.start], masked.starts[share.stop])
    chosen, targets = masked.chosen[of_share], masked.targets[of_share]
    if share.start == share.stop:  # nothing left for this process, but its gradients are waited for
        share, chosen, targets = slice(0, 1), np.zeros(1, np.int64), np.full(1, IGNORED)
    chosen = chosen - share.start * length

    def there(array: NDArray[np.int64]) -> Tensor:
        tensor = torch.from_numpy(array)
        if accelerator.device.type == "cuda":  # only from pinned memory does a copy not wait for the GPU
            tensor = tensor.pin_memory()
        return tensor.to(accelerator.device, non_blocking=True)

    given = [there(masked.ids[share]), there(rows.positions[share]), there(rows.segments[share])]
    places, truth = there(chosen), there(targets)
    with accelerator.autocast():
        logits = model(*given, places)
    nats = cross_entropy(logits.float(), truth, ignore_index=IGNORED, reduction="none")
    first = max(share.start, len(rows.ids) - rows.replayed)
    if former and first < share.stop:
        slot = int(masked.starts[first]) - of_share.start
        with torch.no_grad(), accelerator.autocast():
            old = first - share.start
            guessed = former(*(array[old:] for array in given), places[slot:] - old * length).float().softmax(-1)
        softly = cross_entropy(logits[slot:].float(), guessed, reduction="none") * (truth[slot:] != IGNORED)
        nats = torch.cat([nats[:slot], torch.lerp(nats[slot:], softly, distillation)])
    return nats.sum()


def _seed(seed: int, step: int, process: int) -> int:
    return int(np.random.SeedSequence((seed, step, process)).generate_state(1)[0])
