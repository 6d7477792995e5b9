"""Which words of a text are shaded how strongly, and where its sentences are cited. Knows no HTML and no terminal."""

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from pipeline.explanations import Explained

# Shades that an eye tells apart, on each side of none.
LEVELS = 5
# What joins two characters into one sign: cut there, an emoji falls apart.
JOINER = "\u200d"
SKIN_TONES = range(0x1F3FB, 0x1F400)
STRONGEST_FOR, STRONGEST_AGAINST = 4, 2


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of text: a word with its weight in logits, or what stands between words."""

    text: str
    weight: float | None = None
    level: int = 0  # -LEVELS (speaks against) … LEVELS (speaks for)


@dataclass(frozen=True, slots=True)
class Passage:
    """Coherent text whose words were weighed; `is_main` for the sentence that says it most clearly."""

    pieces: tuple[Piece, ...]
    is_main: bool

    @property
    def text(self) -> str:
        return "".join(piece.text for piece in self.pieces)


@dataclass(frozen=True, slots=True)
class Heatmap:
    """A finding's words, shaded: the sentence that says it first, then whatever else was weighed."""

    passages: tuple[Passage, ...]
    largest: float  # the largest magnitude of a word, in logits: the darkest shade
    total: float  # the sum of all weights, in logits

    def strongest(self) -> tuple[list[Piece], list[Piece]]:
        """The words that weigh most for the finding and against it, of those that are shaded at all."""
        shaded = [piece for passage in self.passages for piece in passage.pieces if piece.level]
        shaded.sort(key=lambda piece: -abs(piece.weight or 0.0))
        return (
            [piece for piece in shaded if piece.level > 0][:STRONGEST_FOR],
            [piece for piece in shaded if piece.level < 0][:STRONGEST_AGAINST],
        )


@dataclass(frozen=True, slots=True)
class Stretch:
    """A stretch of a report: whether some finding's sentence covers it, and the numbers of those that end with it."""

    text: str
    cited: bool
    notes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Word:
    start: int
    end: int
    weight: float


def level(weight: float, *, largest: float) -> int:
    """The shade of a weight on a scale that ends at the `largest` magnitude: -LEVELS … LEVELS."""
    if not largest:
        return 0
    steps = int(abs(weight) / largest * LEVELS + 0.5)
    return steps if weight > 0 else -steps


def shaded(text: str, finding: Explained) -> Heatmap:
    """A finding's heatmap over the report's `text`."""
    words = _words(text, finding)
    start, end = finding.sentence_start, finding.sentence_end
    inside = [word for word in words if word.start < end and word.end > start]
    spans = [(min([start, *(one.start for one in inside)]), max([end, *(one.end for one in inside)]), inside)]
    spans += [(run[0].start, run[-1].end, run) for run in _runs(text, [one for one in words if one not in inside])]
    largest = max((abs(word.weight) for word in words), default=0.0)
    passages = [
        Passage(tuple(_pieces(text, first, last, members, largest)), is_main=number == 0)
        for number, (first, last, members) in enumerate(spans)
    ]
    return Heatmap(tuple(one for one in passages if one.text.strip()), largest, sum(finding.weights))


def cited(text: str, sentences: Sequence[tuple[int, int]]) -> list[Stretch]:
    """The whole text, cut where a finding's sentence begins or ends; finding 1 is the first of `sentences`."""
    cuts = sorted({0, len(text), *(min(place, len(text)) for sentence in sentences for place in sentence)})
    return [
        Stretch(
            text[start:end],
            cited=any(first <= start and end <= last for first, last in sentences),
            notes=tuple(number for number, (first, last) in enumerate(sentences, 1) if first < last == end),
        )
        for start, end in pairwise(cuts)
    ]


def _words(text: str, finding: Explained) -> list[_Word]:
    """The heatmap's words in order; those that overlap or share one visible sign are one, with the sum."""
    words: list[_Word] = []
    for start, end, weight in sorted(zip(finding.starts, finding.ends, finding.weights, strict=True)):
        last = words[-1] if words else None
        if last and (start < last.end or (start == last.end and _one_sign(text[start - 1], text[start]))):
            words[-1] = _Word(last.start, max(last.end, end), last.weight + weight)
        else:
            words.append(_Word(start, end, weight))
    return words


def _one_sign(before: str, after: str) -> bool:
    return JOINER in {before, after} or unicodedata.category(after).startswith("M") or ord(after) in SKIN_TONES


def _runs(text: str, words: Sequence[_Word]) -> Iterator[list[_Word]]:
    """Words with nothing but white space between them, together."""
    run: list[_Word] = []
    for word in words:
        if run and text[run[-1].end : word.start].strip():
            yield run
            run = []
        run.append(word)
    if run:
        yield run


def _pieces(text: str, start: int, end: int, words: Sequence[_Word], largest: float) -> Iterator[Piece]:
    for word in words:
        if start < word.start:
            yield Piece(text[start : word.start])
        yield Piece(text[word.start : word.end], word.weight, level(word.weight, largest=largest))
        start = word.end
    if start < end:
        yield Piece(text[start:end])
