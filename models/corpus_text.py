"""What of a text is fit to learn language from: characters cleaned, lines joined, repeats left out."""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from enum import StrEnum
from hashlib import blake2b

import regex
from rensa import RMinHash, RMinHashDeduplicator

# What prints nothing, zero-width signs, byte order marks and soft hyphens among it; line ends and tabs are white space.
_INVISIBLE = regex.compile(r"[[\p{Cc}\p{Cf}\p{Co}\p{Cs}]--[\t\n\v\f\r\x85]]", regex.VERSION1)
_LINE_END = regex.compile(r"\r\n|[\n\r\v\f\x85\u2028\u2029]")
_SPACES = regex.compile(r"\s+")
_DIGITS = regex.compile(r"\d+")
# A line this long that the next one goes on with a small letter was only wrapped.
_WRAPPED = 40
# A line that stands in every record is kept so often and no oftener: running heads and disclaimers lose their weight,
# while "No pleural effusion." stays in the language.
_REPEATS = 100
# Jaccard similarity of word triples above which two texts count as one; the estimate from 128 numbers errs by 0.04.
_NEAR = 0.8
_SIGNATURE = 128
# 16 bands of 8 numbers bring nearly all pairs of this similarity together, which are then compared.
_BANDS = 16
_SHINGLE = 3


class Dropped(StrEnum):
    """Why a line, or a whole document, is not in the corpus."""

    UNDECODABLE = "undecodable"  # its bytes are no text in the encoding that was named
    BROKEN_ROW = "broken row"  # a row of a table that cannot be read
    REPLACED = "replacement characters"  # somebody decoded it wrongly before us
    WORDLESS = "no words"  # page numbers, rules, tables of figures
    BOILERPLATE = "boilerplate"  # the same line, digits aside, has come often enough
    DUPLICATE = "duplicate"
    NEAR_DUPLICATE = "near-duplicate"
    IDENTIFYING = "identifying data"


class Cleaner:
    """Cleans one document after the other and remembers what it has seen, so repeats are seen across files.

    `dropped` counts lines: those left out alone, and all lines of a document that is left out. The same documents in
    the same order give the same corpus. Takes about 2.5 KiB of memory for every document kept.
    """

    def __init__(self) -> None:
        self.dropped: Counter[Dropped] = Counter()
        self._lines: Counter[bytes] = Counter()
        self._documents: set[bytes] = set()
        self._near = RMinHashDeduplicator(_NEAR, _SIGNATURE, use_lsh=True, num_bands=_BANDS, seed=1)

    def clean(self, document: str) -> str | None:
        """The document's good lines, one paragraph each; None if nothing new is left of it."""
        lines = [line for line in paragraphs(_LINE_END.split(document)) if self._fit(line)]
        if not lines:
            return None
        text = "\n".join(lines)
        reason = self._seen(text)
        if reason is not None:
            self.dropped[reason] += len(lines)
            return None
        return text

    def _fit(self, line: str) -> bool:
        reason = None
        if "\N{REPLACEMENT CHARACTER}" in line:
            reason = Dropped.REPLACED
        elif not any(map(str.isalpha, line)):
            reason = Dropped.WORDLESS
        else:
            masked = _digest(_DIGITS.sub("0", line).casefold())
            self._lines[masked] += 1
            if self._lines[masked] > _REPEATS:
                reason = Dropped.BOILERPLATE
        if reason is not None:
            self.dropped[reason] += 1
        return reason is None

    def _seen(self, text: str) -> Dropped | None:
        words = text.casefold().split()
        same = _digest(" ".join(words))
        if same in self._documents:
            return Dropped.DUPLICATE
        self._documents.add(same)
        if len(words) <= _SHINGLE:
            return None  # a term has no near-duplicates, only other terms
        sketch = RMinHash(num_perm=_SIGNATURE, seed=1)
        sketch.update([" ".join(words[at : at + _SHINGLE]) for at in range(len(words) - _SHINGLE + 1)])
        # Under the text's own digest: keys have to differ, and a counter would be one more thing to remember.
        return None if self._near.add(same.hex(), sketch) else Dropped.NEAR_DUPLICATE


def paragraphs(lines: Iterable[str]) -> Iterator[str]:
    """`lines` in NFC, without control characters and empty lines; those that were only wrapped are joined.

    Decomposed Hangul is composed. Compatibility forms such as "㎜" stay: what they mean is the tokenizer's affair.
    """
    whole = ""
    for raw in lines:
        line = _SPACES.sub(" ", _INVISIBLE.sub("", unicodedata.normalize("NFC", raw))).strip()
        if whole and _goes_on(whole, line):
            whole = f"{whole} {line}"
            continue
        if whole:
            yield whole
        whole = line
    if whole:
        yield whole


def _goes_on(before: str, line: str) -> bool:
    """Only English tells by its small letters that a line goes on; Korean lines stay as they were broken."""
    first = line[:1]
    return len(before) >= _WRAPPED and before[-1] not in ".!?:;" and first.isascii() and first.islower()


def _digest(text: str) -> bytes:
    return blake2b(text.encode(), digest_size=8).digest()
