"""Sentence logits, each distinct sentence computed once: in a batch, and across batches through a bounded
cache.
"""

from collections.abc import Iterable

import numpy as np
import torch
from cachetools import LRUCache
from numpy.typing import NDArray

from models import devices
from models.batching import batches, pad
from models.sentence_model import SentenceClassifier
from models.side_by_side import side_by_side
from models.windows import to_ids

# About 50 MB when full; half of the sentences of a hospital's reports are repeats.
_SENTENCES_KEPT = 100_000
# Padded tokens in one pass: a GPU wants to be kept busy, a CPU wants little padding.
TOKENS_ON_CPU = 1_024
TOKENS_ON_GPU = 65_536


class Scorer:
    """Logits for windows, by one model on one device."""

    def __init__(self, model: SentenceClassifier, *, sha256: str, pad_id: int, device: torch.device) -> None:
        self._model = model
        self._sha256 = sha256
        self._pad = pad_id
        self._device = device
        self._tokens = TOKENS_ON_GPU if device.type == "cuda" else TOKENS_ON_CPU
        self._known: LRUCache[tuple[str, bytes], NDArray[np.float32]] = LRUCache(_SENTENCES_KEPT)

    def logits(self, keys: Iterable[bytes]) -> dict[bytes, NDArray[np.float32]]:
        """Logits (labels,) for every distinct key (exact token ids, see Window), longest sentences first.

        Raises DeviceError if memory or the device gives out.
        """
        # The cache may forget within a large job what the job still needs, so the job keeps its own.
        logits: dict[bytes, NDArray[np.float32]] = {}
        unknown: list[bytes] = []
        for key in dict.fromkeys(keys):
            found = self._known.get((self._sha256, key))
            if found is None:
                unknown.append(key)
            else:
                logits[key] = found
        sequences = [to_ids(key) for key in unknown]
        groups = batches([len(ids) for ids in sequences], self._tokens)
        read = side_by_side(lambda batch: self._read([sequences[index] for index in batch]), groups, self._device)
        for batch, rows in read:
            for index, row in zip(batch, rows, strict=True):
                # A copy, because a row would keep its whole batch in memory.
                logits[unknown[index]] = self._known[self._sha256, unknown[index]] = row.copy()
        return logits

    def _read(self, sequences: list[list[int]]) -> NDArray[np.float32]:
        with devices.guarded(f"reading {len(sequences)} sentences"), torch.inference_mode():
            ids, attention = pad(sequences, self._pad, self._device)
            rows: NDArray[np.float32] = self._model(attention, ids=ids).cpu().numpy()
        return rows
