"""How well a vocabulary fits a text: into how many pieces it cuts the words, and how many it cannot write."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from transformers import PreTrainedTokenizerFast

from models.foundations import bare


@dataclass(frozen=True)
class Fertility:
    """Counts over texts. Words are what stands between white space, so that they are the same for every vocabulary."""

    words: int
    pieces: int
    unknown: int  # words of which some part is the unknown piece
    text_bytes: int  # UTF-8, white space left out

    @property
    def pieces_per_word(self) -> float:
        """Reads too well where much is unknown: a word that cannot be written is one piece."""
        return self.pieces / self.words if self.words else 0.0

    @property
    def unknown_rate(self) -> float:
        return self.unknown / self.words if self.words else 0.0

    @property
    def bytes_per_piece(self) -> float:
        return self.text_bytes / self.pieces if self.pieces else 0.0


def measure(tokenizer: PreTrainedTokenizerFast, texts: Iterable[str]) -> Fertility:
    """The fertility of `tokenizer` on `texts`, special tokens left out."""
    backend, unknown_id = bare(tokenizer), tokenizer.unk_token_id
    seen: Counter[str] = Counter()
    for text in texts:
        seen.update(text.split())
    pieces = unknown = 0
    words = list(seen)
    # No tokenizer looks across white space, so equal words are cut once.
    for word, encoding in zip(words, backend.encode_batch(words, add_special_tokens=False), strict=True):
        pieces += seen[word] * len(encoding.ids)
        unknown += seen[word] * (unknown_id in encoding.ids)
    return Fertility(seen.total(), pieces, unknown, sum(len(word.encode()) * count for word, count in seen.items()))
