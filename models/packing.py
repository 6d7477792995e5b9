"""Documents packed into rows of one length, so that nothing is computed on padding.

A row holds several documents, one after the other; the model keeps them apart by their segments. Best fit decreasing
(Johnson, 1973) within a shuffled chunk fills all but the last rows of it.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerFast

from models.errors import ModelError
from models.foundations import bare

PADDING = -1  # the segment of places in a row that hold nothing
# Documents packed together: enough for rows without gaps, few enough that packing never waits for the whole corpus.
_CHUNK = 16_384
_TEXTS = 1_000  # tokenized in one go, by all cores


class Documents(NamedTuple):
    """Token sequences, [CLS] … [SEP] each, one after the other: `ids` (tokens,), and where each ends (documents,)."""

    ids: NDArray[np.int32]
    ends: NDArray[np.int64]

    @property
    def sizes(self) -> NDArray[np.int64]:
        return np.diff(self.ends, prepend=0)


class Rows(NamedTuple):
    """Packed rows, three arrays (rows, length): token ids, positions within the document, and the document's number
    within the row, PADDING where there is none.
    """

    ids: NDArray[np.int64]
    positions: NDArray[np.int64]
    segments: NDArray[np.int64]
    replayed: int = 0  # how many of the rows, the last ones, hold text that was learnt before

    @property
    def tokens(self) -> int:
        """Real tokens, padding not counted."""
        return int((self.segments != PADDING).sum())

    def parted(self) -> tuple["Rows", "Rows"]:
        """What is new, and what is replayed."""
        cut = len(self.ids) - self.replayed
        new = Rows(self.ids[:cut], self.positions[:cut], self.segments[:cut])
        return new, Rows(self.ids[cut:], self.positions[cut:], self.segments[cut:], self.replayed)


def tokenize(texts: Iterable[str], tokenizer: PreTrainedTokenizerFast, *, length: int) -> Documents:
    """The documents of `texts`; a text that does not fit a row of `length` tokens becomes several, cut between words.

    Empty texts are left out. "[SEP]" typed into a text is text. Raises ModelError if a row has no room for a token.
    """
    if length < 3:
        raise ModelError(f"rows of {length} tokens have no room for text; take 32 or more")
    backend = bare(tokenizer)
    start, end = tokenizer.cls_token_id, tokenizer.sep_token_id
    continues = continuing(tokenizer)
    parts: list[NDArray[np.int32]] = []
    remaining = iter(texts)
    while some := list(islice(remaining, _TEXTS)):
        for encoding in backend.encode_batch_fast(some, add_special_tokens=False):
            ids = np.asarray(encoding.ids, dtype=np.int32)
            for window in _windows(ids, continues, room=length - 2):
                parts.append(np.concatenate(([start], window, [end]), dtype=np.int32))
    if not parts:
        return Documents(np.empty(0, np.int32), np.empty(0, np.int64))
    return Documents(np.concatenate(parts), np.cumsum([len(part) for part in parts]))


def continuing(tokenizer: PreTrainedTokenizerFast) -> NDArray[np.bool_]:
    """Which pieces of a WordPiece vocabulary go on with a word that began before them: (vocabulary,)."""
    prefix = tokenizer.backend_tokenizer.model.continuing_subword_prefix
    found = np.zeros(len(tokenizer), dtype=bool)
    found[[row for piece, row in tokenizer.get_vocab().items() if piece.startswith(prefix) and piece != prefix]] = True
    return found


def pack(sizes: Sequence[int], length: int) -> list[list[int]]:
    """Rows of indices into `sizes`, each at most `length` long together: best fit decreasing, ties by index.

    Raises ModelError if one is longer than a row.
    """
    rows: list[list[int]] = []
    by_room: list[list[int]] = [[] for _ in range(length + 1)]  # rows by the room that they have left
    open_rooms = 0  # bit r is set where by_room[r] holds a row: the tightest fit is the lowest bit that is enough
    for index in sorted(range(len(sizes)), key=lambda i: (-sizes[i], i)):
        size = int(sizes[index])
        if not 0 < size <= length:
            raise ModelError(f"a document of {size} tokens does not fit a row of {length}; tokenize with this length")
        enough = open_rooms >> size << size
        if enough:
            room = (enough & -enough).bit_length() - 1
            row = by_room[room].pop()
            if not by_room[room]:
                open_rooms &= ~(1 << room)
        else:
            room, row = length, len(rows)
            rows.append([])
        rows[row].append(index)
        if room > size:
            by_room[room - size].append(row)
            open_rooms |= 1 << (room - size)
    return rows


def lay_out(documents: Documents, packed: Sequence[Sequence[int]], *, length: int, pad_id: int) -> Rows:
    """The rows that `packed` describes, filled."""
    shape = (len(packed), length)
    ids = np.full(shape, pad_id, np.int64)
    positions, segments = np.zeros(shape, np.int64), np.full(shape, PADDING, np.int64)
    chosen = np.array([index for row in packed for index in row], np.int64)
    sizes, counts = documents.sizes[chosen], np.array([len(row) for row in packed], np.int64)
    before = np.cumsum(sizes) - sizes  # tokens in all documents laid out before this one
    first = np.cumsum(counts) - counts  # each row's first document
    offset = np.arange(len(packed)) * length - before[first]
    place = before + np.repeat(offset, counts)  # of each document, counted through the flattened rows
    within = np.arange(sizes.sum()) - np.repeat(before, sizes)
    target = np.repeat(place, sizes) + within
    ids.flat[target] = documents.ids[np.repeat(documents.ends[chosen] - sizes, sizes) + within]
    positions.flat[target] = within
    segments.flat[target] = np.repeat(np.arange(len(chosen)) - np.repeat(first, counts), sizes)
    return Rows(ids, positions, segments)


def batches(documents: Documents, *, length: int, rows: int, pad_id: int, rng: Generator) -> Iterator[Rows]:
    """One epoch: every document once, in an order drawn from `rng`, `rows` rows at a time; the last batch may have
    fewer. The same documents and generator give the same batches.
    """
    waiting = packed(documents, length=length, rng=rng)
    while some := list(islice(waiting, rows)):
        yield lay_out(documents, some, length=length, pad_id=pad_id)


def packed(documents: Documents, *, length: int, rng: Generator) -> Iterator[list[int]]:
    """One epoch as rows of indices into `documents`, to be laid out: every document once, in an order from `rng`."""
    sizes = documents.sizes
    order = rng.permutation(len(sizes))
    for start in range(0, len(order), _CHUNK):
        chunk = order[start : start + _CHUNK]
        rows = [chunk[row].tolist() for row in pack(sizes[chunk].tolist(), length)]
        # Packed rows come with the longest documents first.
        yield from (rows[index] for index in rng.permutation(len(rows)))


def _windows(ids: NDArray[np.int32], continues: NDArray[np.bool_], *, room: int) -> Iterator[NDArray[np.int32]]:
    start = 0
    while len(ids) - start > room:
        starts = np.flatnonzero(~continues[ids[start + 1 : start + room + 1]])
        end = start + (int(starts[-1]) + 1 if len(starts) else room)  # one word longer than a row is cut within
        yield ids[start:end]
        start = end
    if start < len(ids):
        yield ids[start:]
