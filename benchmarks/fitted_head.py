"""A classifier made in seconds, for benchmarks of speed: a foundation as it is, with a head fitted on few reports.

It finds about as much as there is, in a sentence or two, and that is what labelling takes its time for; fine-tuning the
encoder as well (`models/finetuning.py`) makes it better, not slower.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits

from models import classifier_files
from models.foundations import load_encoder, load_tokenizer, longest_window
from models.scoring import Scorer
from models.sentence_model import TAU, SentenceClassifier, smooth_maximum
from models.windows import Reader

STEPS, LEARNING_RATE = 300, 0.05


def fit_head(foundation: Path, out: Path, *, texts: Sequence[str], truth: NDArray[np.int64], labels: list[str]) -> None:
    """Writes a classifier to the folder `out`, fitted on `texts` with `truth` (texts, labels) of 0 and 1."""
    encoder, tokenizer = load_encoder(foundation), load_tokenizer(foundation)
    model = SentenceClassifier(encoder, len(labels)).eval().requires_grad_(False)
    head, model.head = model.head.requires_grad_(True), nn.Identity()  # type: ignore[assignment]
    reader = Reader(tokenizer, longest_window(encoder, tokenizer))
    scorer = Scorer(model, sha256="", pad_id=int(tokenizer.pad_token_id), device=torch.device("cpu"))
    documents = [reader.read(text) for text in texts]
    pooled = scorer.logits(window.key for document in documents for window in document.windows)
    rows = torch.from_numpy(np.stack([pooled[window.key] for document in documents for window in document.windows]))
    report = torch.tensor([at for at, document in enumerate(documents) for _ in document.windows])
    targets = torch.from_numpy(truth).float()
    nn.init.constant_(head.bias, -4)  # most sentences state nothing
    optimizer = torch.optim.AdamW(head.parameters(), lr=LEARNING_RATE)
    for _ in range(STEPS):
        loss = binary_cross_entropy_with_logits(smooth_maximum(head(rows), report, len(texts), TAU), targets)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad()
    model.head = head
    classifier_files.save(out, model, tokenizer, labels=labels, tau=TAU)


def as_many_as_there_are(probabilities: NDArray[np.float64], truth: NDArray[np.int64]) -> list[float]:
    """Per label the threshold that finds it as often as it is true, both (reports, labels)."""
    shares = truth.mean(0)
    return [float(np.quantile(one, 1 - share)) for one, share in zip(probabilities.T, shares, strict=True)]
