"""The words of a text, found in the text itself, so that they are the same for every tokenizer."""

import re

import numpy as np
from numpy.typing import NDArray

from models.sentences import Span

# "13x9.3", "ground-glass" and "3.5" are one word each; every other sign stands alone. Combining accents
# belong to their letter.
_WORD = re.compile(r"[\w\u0300-\u036f]+ (?: (?: [-'’] | (?<=\d)[.,](?=\d) ) [\w\u0300-\u036f]+ )* | \S", re.VERBOSE)


def find_words(text: str, within: Span) -> list[Span]:
    """The words of `text` inside `within`, in order, as spans into `text`."""
    return [Span(*found.span()) for found in _WORD.finditer(text, within.start, within.end)]


def merge_pieces(words: list[Span], pieces: NDArray[np.int64], weights: NDArray[np.float32]) -> NDArray[np.float64]:
    """The weights of word pieces, (P,) at character spans (P, 2), summed per word: (W,).

    A piece that reaches over several words (an unknown token may) is shared by its characters, so the sum
    is kept.
    """
    merged = np.zeros(len(words))
    if not words:
        return merged
    first = words[0].start
    owner = np.full(words[-1].end - first, -1)
    for index, word in enumerate(words):
        owner[word.start - first : word.end - first] = index
    for (start, end), weight in zip(pieces, weights, strict=True):
        owners = owner[max(start - first, 0) : max(end - first, 0)]
        owners = owners[owners >= 0]
        if len(owners):
            np.add.at(merged, owners, float(weight) / len(owners))
    return merged
