"""What a masked language model has to guess: which tokens of packed rows are hidden, and behind what.

As in BERT (Devlin et al., 2019, section 3.1): 15 % of a row's tokens, of which 80 % become [MASK], 10 % another
piece and 10 % stay.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerFast

from models.packing import PADDING, Rows, continuing

IGNORED = -100  # what cross_entropy leaves out by default
RATE = 0.15
_HIDDEN, _REPLACED = 0.8, 0.1


@dataclass(frozen=True, slots=True)
class Pieces:
    """What masking has to know of a vocabulary."""

    mask_id: int
    special: NDArray[np.bool_]  # (vocabulary,): [CLS], [SEP], [UNK] and their like
    continues: NDArray[np.bool_]  # (vocabulary,): pieces within a word
    ordinary: NDArray[np.int64]  # the ids of all others than special ones

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerFast) -> "Pieces":
        special = np.zeros(len(tokenizer), dtype=bool)
        special[tokenizer.all_special_ids] = True
        return cls(int(tokenizer.mask_token_id), special, continuing(tokenizer), np.flatnonzero(~special))


class Masked(NamedTuple):
    """Rows with tokens hidden.

    `chosen` and `targets` are (rows × slots,): places counted through the flattened rows, and the ids to guess there.
    Every row that hides as much has as many slots, so that shapes hardly change; slots that it does not need point at
    its first token and have the target IGNORED. `starts` (rows + 1,) says where each row's slots begin.
    """

    ids: NDArray[np.int64]
    chosen: NDArray[np.int64]
    targets: NDArray[np.int64]
    starts: NDArray[np.int64]

    @property
    def guesses(self) -> int:
        """How many tokens are to be guessed."""
        return int((self.targets != IGNORED).sum())


def mask(
    rows: Rows,
    pieces: Pieces,
    *,
    rng: Generator,
    whole_words: bool = False,
    rate: float = RATE,
    replay_rate: float | None = None,
) -> Masked:
    """Hides `rate` of every row's tokens, at least one; special ones count, as in BERT, and are never hidden. In rows
    that are replayed, it hides `replay_rate` if that is given.

    With `whole_words` all pieces of a word are hidden or none, so a row may hide a little less than its share.
    """
    if replay_rate is not None and replay_rate != rate and rows.replayed:
        new, old = rows.parted()
        return _joined(
            mask(new, pieces, rng=rng, whole_words=whole_words, rate=rate),
            mask(old, pieces, rng=rng, whole_words=whole_words, rate=replay_rate),
        )
    many, length = rows.ids.shape
    slots = max(1, round(rate * length))
    eligible = (rows.segments != PADDING) & ~pieces.special[rows.ids]
    wanted = np.maximum(1, np.rint(rate * (rows.segments != PADDING).sum(1))).astype(np.int64)
    wanted = np.minimum(wanted, eligible.sum(1))
    # A word, or every token by itself, draws a number; the lowest are taken. Pieces of a word share it, so a stable
    # order keeps them together.
    words = _words(rows, pieces) if whole_words else np.broadcast_to(np.arange(length), rows.ids.shape)
    drawn = np.take_along_axis(rng.random(rows.ids.shape), words, axis=1)
    order = np.argsort(np.where(eligible, drawn, np.inf), axis=1, kind="stable")
    taken = np.arange(slots) < wanted[:, None]
    first, after = order[:, :slots], np.take_along_axis(order, np.minimum(wanted, length - 1)[:, None], axis=1)
    if whole_words:
        split = np.take_along_axis(words, after, axis=1)  # the word that comes next; it may have begun before
        taken &= np.take_along_axis(words, first, axis=1) != split

    chosen = np.where(taken, first, 0) + np.arange(many)[:, None] * length
    targets = np.where(taken, rows.ids.flat[chosen], IGNORED)
    fate = rng.random(chosen.shape)
    other = rng.choice(pieces.ordinary, chosen.shape)
    shown = np.where(fate < _HIDDEN, pieces.mask_id, np.where(fate < _HIDDEN + _REPLACED, other, targets))
    ids = rows.ids.copy()
    ids.flat[chosen[taken]] = shown[taken]
    return Masked(ids, chosen.ravel(), targets.ravel(), np.arange(many + 1) * slots)


def _joined(one: Masked, other: Masked) -> Masked:
    return Masked(
        np.concatenate([one.ids, other.ids]),
        np.concatenate([one.chosen, other.chosen + one.ids.size]),
        np.concatenate([one.targets, other.targets]),
        np.concatenate([one.starts, other.starts[1:] + one.starts[-1]]),
    )


def _words(rows: Rows, pieces: Pieces) -> NDArray[np.int64]:
    """The number of its word within the row, for every token: (rows, length)."""
    starts = ~pieces.continues[rows.ids] | (rows.positions <= 1)  # a window may begin within a very long word
    words: NDArray[np.int64] = np.cumsum(starts, axis=1) - 1
    return words
