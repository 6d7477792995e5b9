"""A foundation moves to another vocabulary: its word embeddings, and with them the tied decoder and its bias.

What stands in both vocabularies keeps its embedding. Any other piece starts as the mean of what the old vocabulary
makes of its letters, scaled to the norm that embeddings have there (a mean of many is short, and a short row is a
piece that the decoder never says). `resize_token_embeddings` keeps rows by their number and would give every piece a
stranger's embedding.
"""

import copy
import json
from dataclasses import dataclass
from enum import StrEnum

import torch
from tokenizers import models as tokenizer_models
from torch import Tensor, nn
from transformers import PreTrainedTokenizerFast

from models.errors import FoundationError
from models.foundations import bare
from models.masked_lm import MaskedLM

_ROLES = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token")


class NewRows(StrEnum):
    """How the pieces of the new vocabulary begin; the other two are there to be compared with."""

    TRANSPLANTED = "transplanted"
    KEPT = "kept"  # identical pieces keep their embedding, all others are drawn
    RANDOM = "random"  # all are drawn but the special tokens


@dataclass(frozen=True)
class Transplanted:
    """How many pieces of the new vocabulary began in which way."""

    kept: int  # the piece is in the old vocabulary too, special tokens among them
    composed: int  # the mean of old pieces
    drawn: int  # the old vocabulary cannot write it: drawn at random


def transplant(
    model: MaskedLM,
    old: PreTrainedTokenizerFast,
    new: PreTrainedTokenizerFast,
    *,
    rows: NewRows = NewRows.TRANSPLANTED,
    seed: int = 0,
) -> tuple[MaskedLM, Transplanted]:
    """A copy of `model`, which reads with `old`, that reads with `new`; everything but the vocabulary stays.

    A piece is the same in both as it stands, or else in other case: small, Capitalised, CAPITALS, in this order. So
    "ct" of an uncased vocabulary finds the "ct" of a cased one, and only if there is none its "Ct" or "CT". Pieces
    that are drawn are normal, with the mean and variance that every dimension has in the old embeddings, and the
    mean bias. Raises FoundationError if a tokenizer is no WordPiece.
    """
    sources, prefix = _Sources(old), _prefix(new)
    pieces = sorted(new.get_vocab().items(), key=lambda item: item[1])
    roles = {getattr(new, role): getattr(old, f"{role}_id") for role in _ROLES}
    weight, bias = model.embeddings.detach().cpu(), model.bias.detach().cpu()
    used = torch.tensor(sources.ordinary)
    typical = weight[used].norm(dim=1).median()

    # Everything is drawn first, so that a piece's draw does not hang on what becomes of the others.
    drawn = torch.randn((len(new), weight.shape[1]), generator=torch.Generator().manual_seed(seed))
    new_weight = weight[used].mean(0) + weight[used].std(0) * drawn
    new_bias = bias[used].mean().repeat(len(new))
    kept = composed = 0
    for piece, row in pieces:
        found = roles.get(piece)
        if found is None and rows is not NewRows.RANDOM:
            found = sources.same(*_read(piece, prefix))
        if found is not None:
            new_weight[row], new_bias[row] = weight[found], bias[found]
            kept += 1
        elif rows is NewRows.TRANSPLANTED and (parts := sources.parts(*_read(piece, prefix))):
            mean = weight[parts].mean(0)
            new_weight[row] = mean * (typical / mean.norm()) if len(parts) > 1 else mean
            new_bias[row] = bias[parts].mean()
            composed += 1
    statistics = Transplanted(kept, composed, len(new) - kept - composed)
    return _with_vocabulary(model, new, new_weight, new_bias), statistics


class _Sources:
    """Which rows of the old vocabulary a new piece comes from."""

    def __init__(self, old: PreTrainedTokenizerFast) -> None:
        self._vocabulary = old.get_vocab()
        self._prefix = _prefix(old)
        self._unknown = old.unk_token_id
        self._starts = bare(old)
        # The same tokenizer for what goes on within a word: it knows the pieces "##x" alone, and starts with them too.
        within = {piece: row for piece, row in self._vocabulary.items() if _read(piece, self._prefix)[1]}
        starting = {piece.removeprefix(self._prefix): row for piece, row in within.items()}
        self._insides = bare(old)
        self._insides.model = _word_piece(within | starting | {str(old.unk_token): self._unknown}, old, self._prefix)
        special = set(old.all_special_ids)
        # "[unused17]" and its like were never trained; their norm says nothing.
        self.ordinary = sorted(
            row
            for piece, row in self._vocabulary.items()
            if row not in special and not (piece.startswith("[") and piece.endswith("]"))
        )

    def same(self, surface: str, is_inside: bool) -> int | None:
        """The row of the same piece, in other case if need be."""
        for variant in dict.fromkeys((surface, surface.lower(), surface.capitalize(), surface.upper())):
            row = self._vocabulary.get(f"{self._prefix}{variant}" if is_inside else variant)
            if row is not None:
                return row
        return None

    def parts(self, surface: str, is_inside: bool) -> list[int]:
        """The rows of the old pieces that write `surface`; none if some part of it is unknown."""
        # What the old vocabulary has at the start of words only is still better than a draw.
        for cut in (self._insides, self._starts) if is_inside else (self._starts,):
            rows: list[int] = cut.encode(surface, add_special_tokens=False).ids
            if rows and self._unknown not in rows:
                return rows
        return []


def _read(piece: str, prefix: str) -> tuple[str, bool]:
    """The letters of a piece, and whether it stands within a word."""
    is_inside = piece.startswith(prefix) and piece != prefix
    return (piece.removeprefix(prefix) if is_inside else piece), is_inside


def _prefix(tokenizer: PreTrainedTokenizerFast) -> str:
    """What marks a piece within a word: "##"."""
    model = tokenizer.backend_tokenizer.model
    if not isinstance(model, tokenizer_models.WordPiece):
        raise FoundationError(
            f"only a WordPiece vocabulary can be moved, and this tokenizer is a {type(model).__name__}; take a "
            "WordPiece BERT such as KM-BERT, BioBERT or M-BERT"
        )
    return str(model.continuing_subword_prefix)


def _word_piece(vocabulary: dict[str, int], like: PreTrainedTokenizerFast, prefix: str) -> tokenizer_models.WordPiece:
    model = json.loads(like.backend_tokenizer.to_str())["model"]
    return tokenizer_models.WordPiece(
        vocabulary,
        unk_token=str(like.unk_token),
        continuing_subword_prefix=prefix,
        max_input_chars_per_word=model["max_input_chars_per_word"],
    )


def _with_vocabulary(model: MaskedLM, new: PreTrainedTokenizerFast, weight: Tensor, bias: Tensor) -> MaskedLM:
    moved = copy.deepcopy(model)
    config = moved.config
    config.vocab_size, config.pad_token_id = len(weight), new.pad_token_id
    dtype, device = model.bias.dtype, model.bias.device
    table = nn.Embedding(weight.shape[0], weight.shape[1], padding_idx=new.pad_token_id)
    table.weight = nn.Parameter(weight.to(device, dtype))
    moved.encoder.embeddings.word_embeddings = table
    moved.bias = nn.Parameter(bias.to(device, dtype))
    return moved
