"""Token sequences of unequal length, put into batches that waste little on padding."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor


def batches(lengths: Sequence[int], tokens: int) -> Iterator[list[int]]:
    """Indices into `lengths`, longest first, grouped so that count × longest stays within `tokens`.

    A single sequence longer than that is a batch of its own. Longest first: if memory gives out, it does so
    early.
    """
    batch: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        if batch and (len(batch) + 1) * lengths[batch[0]] > tokens:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


def pad(sequences: Sequence[Sequence[int]], pad_id: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Token ids and attention mask, both (len(sequences), longest), padded on the right."""
    longest = max(map(len, sequences))
    ids = torch.full((len(sequences), longest), pad_id)
    attention = torch.zeros_like(ids)
    for row, sequence in enumerate(sequences):
        ids[row, : len(sequence)] = torch.as_tensor(sequence)
        attention[row, : len(sequence)] = 1
    return ids.to(device), attention.to(device)
