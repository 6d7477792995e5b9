"""A report as the encoder reads it: sentence by sentence, an over-long sentence in overlapping windows."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from cachetools import LRUCache
from numpy.typing import NDArray
from tokenizers import Encoding
from transformers import PreTrainedTokenizerFast

from models.errors import ReadingError
from models.foundations import bare
from models.sentences import Span, split

# Tokens that two windows of one over-long sentence share, so that no phrase is seen only in halves.
OVERLAP = 32
# About 60 MB when full. Where the logits are known too, tokenizing is most of the work.
_SENTENCES_KEPT = 50_000


@dataclass(frozen=True, slots=True)
class Window:
    """What the encoder reads in one go: a sentence, or a part of one that is too long."""

    key: bytes  # the exact token ids, special tokens included, as int32: equal windows are computed once
    sentence: int  # index into the report's sentences
    spans: NDArray[np.int64]  # (tokens, 2): each token's characters in the report; special tokens are empty

    @property
    def ids(self) -> list[int]:
        return to_ids(self.key)


@dataclass(frozen=True, slots=True)
class Document:
    """A report, read: its sentences tile the text, and every sentence has at least one window."""

    text: str
    sentences: list[Span]
    windows: list[Window]


def to_key(ids: list[int]) -> bytes:
    return np.asarray(ids, dtype=np.int32).tobytes()


def to_ids(key: bytes) -> list[int]:
    ids: list[int] = np.frombuffer(key, dtype=np.int32).tolist()
    return ids


class Reader:
    """Turns texts into windows of at most `longest` tokens, special tokens included. Nothing is ever cut."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast, longest: int) -> None:
        # A copy: truncation is state, and the caller's tokenizer is not ours to change.
        self._tokenizer = bare(tokenizer)
        self._tokenizer.enable_truncation(longest, stride=min(OVERLAP, longest // 4))
        self._known: LRUCache[str, list[_Part]] = LRUCache(_SENTENCES_KEPT)

    def read(self, text: str) -> Document:
        """`text` as a document; an empty one is read as one empty sentence.

        Raises ReadingError if the text cannot be tokenized, as with half of a surrogate pair.
        """
        sentences = split(text) or [Span(0, 0)]
        texts = [text[start:end] for start, end in sentences]
        # The cache may forget within a huge report what the report still needs, so the report keeps its own.
        parts = {one: self._known.get(one, []) for one in texts}
        unknown = [one for one, found in parts.items() if not found]
        try:
            encodings = self._tokenizer.encode_batch(unknown)
        except Exception as error:  # noqa: BLE001 - whatever the tokenizer chokes on; its message may quote the text
            raise ReadingError(f"the tokenizer cannot read it ({type(error).__name__})") from None
        for one, encoding in zip(unknown, encodings, strict=True):
            parts[one] = [_part(part) for part in (encoding, *encoding.overflowing)]
            if not encoding.overflowing:  # an over-long sentence is large, and hardly comes again
                self._known[one] = parts[one]
        windows = [
            Window(part.key, index, part.spans + sentences[index].start)
            for index, one in enumerate(texts)
            for part in parts[one]
        ]
        return Document(text, sentences, windows)


class _Part(NamedTuple):
    """A window of a sentence, wherever that stands."""

    key: bytes
    spans: NDArray[np.int64]  # in the sentence


def _part(encoding: Encoding) -> _Part:
    special = np.asarray(encoding.special_tokens_mask, dtype=bool)
    spans = np.asarray(encoding.offsets, dtype=np.int64).reshape(-1, 2)
    spans[special] = 0
    return _Part(to_key(encoding.ids), spans)
