"""Token weights for (sentence, label) pairs: batched, and each distinct pair explained once."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np
import torch
from cachetools import LRUCache
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerFast

from models import devices
from models.attribution import STEPS, integrated_gradients
from models.batching import batches, pad
from models.scoring import TOKENS_ON_CPU, TOKENS_ON_GPU, Scorer
from models.sentence_model import SentenceClassifier
from models.side_by_side import side_by_side
from models.windows import to_ids, to_key

# About 25 MB when full.
_EXPLANATIONS_KEPT = 50_000


class Explanation(NamedTuple):
    """How much each token of a window moves a label's sentence logit."""

    weights: NDArray[np.float32]  # (tokens,) in logits, signed; zero for special tokens
    residual: float  # logit(window) - logit(all masked) - Σ weights


class Explains(Protocol):
    """Whatever can weigh the tokens of windows."""

    def explain(self, pairs: Iterable[tuple[bytes, int]]) -> Mapping[tuple[bytes, int], Explanation]:
        """An explanation for every distinct (window key, label index)."""
        ...


class Explainer:
    """Explains windows by one model on one device, against the same windows with every token masked."""

    def __init__(
        self,
        model: SentenceClassifier,
        scorer: Scorer,
        tokenizer: PreTrainedTokenizerFast,
        *,
        sha256: str,
        device: torch.device,
    ) -> None:
        self._model = model
        self._scorer = scorer
        self._sha256 = sha256
        self._device = device
        self._pad, self._mask = int(tokenizer.pad_token_id), int(tokenizer.mask_token_id)
        # [CLS] and [SEP] stay in the baseline; an unknown token is text like any other.
        self._stays = frozenset(tokenizer.all_special_ids) - {tokenizer.unk_token_id, self._mask}
        self._tokens = (TOKENS_ON_GPU if device.type == "cuda" else TOKENS_ON_CPU) // STEPS
        self._known: LRUCache[tuple[str, bytes, int], Explanation] = LRUCache(_EXPLANATIONS_KEPT)

    def explain(self, pairs: Iterable[tuple[bytes, int]]) -> dict[tuple[bytes, int], Explanation]:
        """An explanation for every distinct (window key, label index).

        Raises DeviceError if memory or the device gives out.
        """
        explanations: dict[tuple[bytes, int], Explanation] = {}
        unknown: list[tuple[bytes, int]] = []
        for pair in dict.fromkeys(pairs):
            found = self._known.get((self._sha256, *pair))
            if found is None:
                unknown.append(pair)
            else:
                explanations[pair] = found
        masked = {key: to_key([i if i in self._stays else self._mask for i in to_ids(key)]) for key, _ in unknown}
        logits = self._scorer.logits([*masked, *masked.values()])
        groups = batches([len(to_ids(key)) for key, _ in unknown], self._tokens)
        read = side_by_side(lambda batch: self._read([unknown[index] for index in batch], masked), groups, self._device)
        for batch, rows in read:
            for (key, label), row in zip([unknown[index] for index in batch], rows, strict=True):
                weights = row[: len(to_ids(key))].copy()
                way = float(logits[key][label] - logits[masked[key]][label])
                explanation = Explanation(weights, way - float(weights.sum()))
                explanations[key, label] = self._known[self._sha256, key, label] = explanation
        return explanations

    def _read(self, pairs: Sequence[tuple[bytes, int]], masked: Mapping[bytes, bytes]) -> NDArray[np.float32]:
        with devices.guarded(f"explaining {len(pairs)} sentences"):
            ids, attention = pad([to_ids(key) for key, _ in pairs], self._pad, self._device)
            baseline, _ = pad([to_ids(masked[key]) for key, _ in pairs], self._pad, self._device)
            labels = torch.tensor([label for _, label in pairs], device=self._device)
            rows: NDArray[np.float32] = (
                integrated_gradients(self._model, ids, attention, baseline, labels).cpu().numpy()
            )
        return rows
