"""Fitting a classifier to labelled reports: an encoder that reads sentences, and only report labels to
learn from.

Multiple-instance learning: the report's logit is the smooth maximum of its sentences' logits, so the
gradient finds the sentence that states a finding without ever being told which.
"""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.checkpoint import checkpoint

from models import artifacts, classifier_files, devices
from models.batching import batches, pad
from models.errors import ModelError
from models.foundations import load_encoder, load_tokenizer, longest_window
from models.optimizing import decayed, warmed_up_and_decayed
from models.sentence_model import TAU, SentenceClassifier, smooth_maximum
from models.windows import Document, Reader, to_ids

_WEIGHT_DECAY = 0.01
_WARM_UP = 0.1  # of all steps
# The head starts from nothing, so it learns this much faster than the encoder.
_HEAD = 10.0
_GRADIENT_NORM = 1.0
# Padded tokens in one pass of the encoder: on a CPU small batches of like length waste less on padding
# than they lose in speed.
_TOKENS_ON_CPU = 1_024
_TOKENS_ON_GPU = 16_384
# Beyond this many tokens in a step their activations are computed again in the backward pass instead of kept,
# so that one huge report among the training reports does not exhaust the memory.
_TOKENS_KEPT = 32_768


class TrainingStep(NamedTuple):
    """One step done: `step` of `steps`, in `epoch` (from 1) of `epochs`, and its loss (nats per report and
    label).
    """

    step: int
    steps: int
    epoch: int
    epochs: int
    loss: float


def fine_tune(
    foundation: str | Path,
    out: Path,
    *,
    texts: Sequence[str],
    labels: ArrayLike,
    label_names: Sequence[str],
    epochs: int = 6,
    seed: int = 0,
    learning_rate: float = 1.5e-4,
    batch_reports: int = 16,
    device: str | None = None,
    on_step: Callable[[TrainingStep], None] | None = None,
) -> str:
    """Fits a classifier on `texts` with `labels` (texts, labels) of 0 and 1, writes it to the folder `out`
    and returns the artifact's sha256.

    `foundation` is a folder or hub id. The device is the first visible CUDA GPU or else the CPU; bfloat16
    is used where it is fast. The same seed gives the same classifier on the same CPU. Raises
    FoundationError if the foundation cannot serve, ModelError if texts and labels do not fit, ReadingError
    for a text that cannot be read, DeviceError if memory or the device gives out, ArtifactError if `out`
    holds something already.
    """
    truth = _checked(texts, labels, label_names)
    out = Path(out)
    artifacts.refuse_used(out)
    where = devices.pick(device)
    torch.manual_seed(seed)
    order = np.random.default_rng(seed)

    # Data: every report read once; a step looks only at distinct sentences.
    tokenizer = load_tokenizer(foundation)
    encoder = load_encoder(foundation)
    reader = Reader(tokenizer, longest_window(encoder, tokenizer))
    documents = [reader.read(text) for text in texts]
    targets = torch.from_numpy(truth)

    # Model and optimizer.
    model = SentenceClassifier(encoder, len(label_names))
    with torch.no_grad():
        model.head.bias.copy_(_starting_bias(targets, documents))
    model.to(where).train()
    parameters = list(model.parameters())
    steps = epochs * math.ceil(len(texts) / batch_reports)
    optimizer, schedule = _optimizer(model, learning_rate, steps)

    step = 0
    for epoch in range(1, epochs + 1):
        shuffled = order.permutation(len(texts))
        for first in range(0, len(texts), batch_reports):
            chosen = shuffled[first : first + batch_reports]
            with devices.guarded("training"):
                logits = _report_logits(
                    model, [documents[index] for index in chosen], int(tokenizer.pad_token_id), where
                )
                loss = binary_cross_entropy_with_logits(logits, targets[chosen].to(where))
                loss.backward()  # type: ignore[no-untyped-call]
                torch.nn.utils.clip_grad_norm_(parameters, _GRADIENT_NORM)
                optimizer.step()
                schedule.step()
                optimizer.zero_grad(set_to_none=True)
            step += 1
            if on_step:
                on_step(TrainingStep(step, steps, epoch, epochs, loss.item()))
    return classifier_files.save(out, model.cpu(), tokenizer, labels=label_names, tau=TAU)


def _starting_bias(targets: Tensor, documents: Sequence[Document]) -> Tensor:
    """The bias (labels,) with which a head of zero weight gives every report the labels' base rates.

    Starting far from them (the usual -4, say) makes the first thing learnt the one direction all sentences share,
    and a small encoder then takes hundreds of steps, or for ever, to tell sentences apart again.
    """
    rates = (targets.sum(0) + 1) / (len(targets) + 2)
    windows = sum(len(document.windows) for document in documents) / len(documents)
    return torch.logit(rates) - math.log(windows) / TAU


def _optimizer(model: SentenceClassifier, learning_rate: float, steps: int) -> tuple[AdamW, LambdaLR]:
    """AdamW with a faster head, and its learning rates warmed up and decayed over `steps`."""
    head = {"params": list(model.head.parameters()), "lr": _HEAD * learning_rate, "weight_decay": 0.0}
    optimizer = AdamW([*decayed(model.encoder.parameters(), _WEIGHT_DECAY), head], lr=learning_rate)
    return optimizer, LambdaLR(
        optimizer, lambda step: warmed_up_and_decayed(step, steps=steps, peak=1.0, warm_up=_WARM_UP)
    )


def _report_logits(
    model: SentenceClassifier, documents: Sequence[Document], pad_id: int, device: torch.device
) -> Tensor:
    """Logits (reports, labels); sentences that occur twice are computed once and gather both gradients."""
    keys = [window.key for document in documents for window in document.windows]
    report = torch.tensor([index for index, document in enumerate(documents) for _ in document.windows], device=device)
    distinct = list(dict.fromkeys(keys))
    sequences = [to_ids(key) for key in distinct]
    keep = sum(map(len, sequences)) <= _TOKENS_KEPT
    parts, rows = [], []
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=devices.is_bf16_fast(device)):
        tokens = _TOKENS_ON_GPU if device.type == "cuda" else _TOKENS_ON_CPU
        for batch in batches([len(ids) for ids in sequences], tokens):
            ids, attention = pad([sequences[index] for index in batch], pad_id, device)
            if keep:
                parts.append(model(attention, ids=ids))
            else:
                parts.append(checkpoint(model, attention, ids=ids, use_reentrant=False))
            rows += batch
    row_of = {distinct[index]: row for row, index in enumerate(rows)}
    gathered = torch.cat(parts)[torch.tensor([row_of[key] for key in keys], device=device)]
    return smooth_maximum(gathered, report, len(documents), TAU)


def _checked(
    texts: Sequence[str], labels: ArrayLike, label_names: Sequence[str]
) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    truth = np.asarray(labels, dtype=np.float32)
    if not len(texts):
        raise ModelError("there are no labelled reports to train on; import annotations first")
    if truth.shape != (len(texts), len(label_names)):
        raise ModelError(
            f"labels are {truth.shape}, but {len(texts)} texts and {len(label_names)} label names were given"
        )
    if not np.isin(truth, (0.0, 1.0)).all():
        raise ModelError("labels must be 0 or 1; leave out reports whose labels are unknown")
    if len(set(label_names)) != len(label_names):
        raise ModelError("label names must differ from one another")
    return truth
