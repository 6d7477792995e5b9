"""Bits per byte: what a masked language model still has to guess of a text, comparable across vocabularies.

Perplexity per token is not: a vocabulary that cuts finer has more and easier tokens. Here whole words are masked, the
same ones in the same surroundings whatever the vocabulary, and the loss of all their pieces is divided by the bytes
that they take. (How many pieces a hidden word has is seen by the model; it is small change, and equal in kind.) A
vocabulary that cannot write a word is charged all of its bytes, for otherwise knowing nothing would be cheapest. Case
and signs that a vocabulary does not tell apart are not charged.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from zlib import crc32

import numpy as np
import torch
from tokenizers import Encoding
from torch.nn.functional import cross_entropy
from transformers import PreTrainedTokenizerFast

from models.batching import batches, pad
from models.foundations import bare
from models.masked_lm import MaskedLM

# Words in one go: with four pieces a word it stays within BERT's positions, in Korean under an English vocabulary too.
_WINDOW = 64
_SHARE = 0.15
_TOKENS = 8_192
_BITS_PER_BYTE_UNKNOWN = 8.0


@dataclass(frozen=True)
class Bits:
    """What was measured; `bits_per_byte` is the figure."""

    bits_per_byte: float
    words: int  # that were masked
    unknown: int  # of these, what the vocabulary could not write
    text_bytes: int  # UTF-8, of the masked words


class _Window(NamedTuple):
    """Some words as the model sees them: ids with masks, and what the masks stand for."""

    ids: list[int]
    places: list[int]
    hidden: list[int]


@dataclass
class _Tally:
    words: int = 0
    unknown: int = 0
    text_bytes: int = 0
    unknown_bytes: int = 0


def bits_per_byte(loss_sum: float, text_bytes: int) -> float:
    """Masked-LM loss in nats over `text_bytes` UTF-8 bytes, as bits per byte: comparable across vocabularies."""
    return loss_sum / math.log(2) / text_bytes


def measure(model: MaskedLM, tokenizer: PreTrainedTokenizerFast, texts: Sequence[str], *, seed: int = 0) -> Bits:
    """Bits per byte of `model` on `texts`, on the device where it is; its training mode is kept.

    15 % of the words are masked, chosen by a hash of the words around them and `seed`. Raises ValueError if the texts
    have too few words for any to be masked.
    """
    tally = _Tally()
    longest = model.config.max_position_embeddings
    backend = bare(tokenizer)
    windows = [
        _masked(tokenizer, backend.encode_batch(words, add_special_tokens=False), words, chosen, longest, tally)
        for words, chosen in _choices(texts, seed)
    ]
    if not tally.text_bytes:
        raise ValueError("too few words to measure bits per byte on")
    nats = _loss_sum(model, [window for window in windows if window.places], tokenizer.pad_token_id)
    nats += tally.unknown_bytes * _BITS_PER_BYTE_UNKNOWN * math.log(2)
    return Bits(bits_per_byte(nats, tally.text_bytes), tally.words, tally.unknown, tally.text_bytes)


def _choices(texts: Sequence[str], seed: int) -> Iterator[tuple[list[str], list[bool]]]:
    """Windows of words, and which to mask: by the words alone, so every vocabulary hides the same."""
    for text in texts:
        words = text.split()
        for start in range(0, len(words), _WINDOW):
            window = words[start : start + _WINDOW]
            drawn = np.random.default_rng((seed, crc32(" ".join(window).encode()))).random(len(window))
            yield window, (drawn < _SHARE).tolist()


def _masked(
    tokenizer: PreTrainedTokenizerFast,
    encodings: list[Encoding],
    words: list[str],
    chosen: list[bool],
    longest: int,
    tally: _Tally,
) -> _Window:
    """The window with all pieces of every chosen word masked. What cannot be asked is charged to `tally`."""
    ids: list[int] = [tokenizer.cls_token_id]
    places: list[int] = []
    hidden: list[int] = []
    for encoding, word, is_chosen in zip(encodings, words, chosen, strict=True):
        pieces: list[int] = encoding.ids
        # A word that no vocabulary splits so is some key or picture in letters; beyond the positions nothing is read.
        unknown = tokenizer.unk_token_id in pieces or len(ids) + len(pieces) >= longest
        if is_chosen:
            size = len(word.encode())
            tally.words += 1
            tally.text_bytes += size
            tally.unknown += unknown
            tally.unknown_bytes += size * unknown
            if not unknown:
                places += range(len(ids), len(ids) + len(pieces))
                hidden += pieces
            pieces = [tokenizer.mask_token_id] * len(pieces)
        ids += pieces[: longest - 1 - len(ids)]
    return _Window([*ids, tokenizer.sep_token_id], places, hidden)


def _loss_sum(model: MaskedLM, windows: Sequence[_Window], pad_id: int) -> float:
    """Nats over everything hidden."""
    device = model.bias.device
    was_training = model.training
    model.eval()
    total = 0.0
    with torch.inference_mode():
        for batch in batches([len(window.ids) for window in windows], _TOKENS):
            ids, attention = pad([windows[index].ids for index in batch], pad_id, device)
            length = ids.shape[1]
            positions = torch.arange(length, device=device).expand_as(ids)
            places = [row * length + place for row, index in enumerate(batch) for place in windows[index].places]
            hidden = torch.tensor([piece for index in batch for piece in windows[index].hidden], device=device)
            logits = model(ids, positions, attention - 1, torch.tensor(places, device=device))
            total += float(cross_entropy(logits.float(), hidden, reduction="sum"))
    model.train(was_training)
    return total
