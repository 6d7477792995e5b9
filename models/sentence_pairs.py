"""Files of sentence pairs with a score of 0 to 5 for how alike they are: MedSTS and n2c2, KorSTS, STS-B.

All are separated by tabs, and a quotation mark is a character like any other.
"""

import math
from collections.abc import Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from models.errors import ModelError

HIGHEST = 5.0
_NAMES = ("sentence1", "sentence2", "score")


class Format(StrEnum):
    """How a file is laid out."""

    AUTO = "auto"  # by its first line
    KORSTS = "korsts"  # a header names the columns; GLUE's STS-B too
    STSB = "stsb"  # genre, file, year, id, score, sentence1, sentence2, perhaps sources; no header
    MEDSTS = "medsts"  # sentence1, sentence2, score; no header. n2c2 is the same


# Where sentence1, sentence2 and score stand in files without a header.
_COLUMNS = {Format.STSB: (5, 6, 4), Format.MEDSTS: (0, 1, 2)}


class PairsError(ModelError):
    """A file of sentence pairs cannot be read; the message names file and line, never the text."""


class Pair(NamedTuple):
    """Two sentences, and how alike people found them, from 0 to 5."""

    first: str
    second: str
    score: float


def read(file: Path, layout: Format = Format.AUTO) -> list[Pair]:
    """The pairs in `file`, in its order. Raises PairsError, with the line, if it is not as its layout says."""
    lines = list(_lines(file))
    if not lines:
        raise PairsError(f"{str(file)!r} holds no sentence pairs")
    names = [name.strip().lower() for name in lines[0][1]]
    header = all(name in names for name in _NAMES)
    if layout is Format.AUTO:
        layout = _recognised(file, lines[0][1], header=header)
    if layout is not Format.KORSTS:
        columns: Sequence[int] = _COLUMNS[layout]
    elif header:
        columns = [names.index(name) for name in _NAMES]
        lines = lines[1:]
    else:
        raise PairsError(f"{str(file)!r}, line 1: no header with {', '.join(_NAMES)}; say another --format")
    if not lines:
        raise PairsError(f"{str(file)!r} holds a header and no sentence pairs")
    return [_pair(file, number, fields, columns) for number, fields in lines]


def _recognised(file: Path, fields: Sequence[str], *, header: bool) -> Format:
    if header:
        return Format.KORSTS
    if len(fields) == 3:
        return Format.MEDSTS
    if len(fields) >= 7:
        return Format.STSB
    raise PairsError(
        f"{str(file)!r}, line 1: {len(fields)} columns separated by tabs are neither KorSTS, STS-B nor MedSTS; "
        "say which it is with --format, or put sentence1, sentence2 and score"
    )


def _pair(file: Path, number: int, fields: Sequence[str], columns: Sequence[int]) -> Pair:
    first, second, score = columns
    if len(fields) <= max(columns):
        raise PairsError(
            f"{str(file)!r}, line {number}: {len(fields)} columns, and there should be {max(columns) + 1} or more; "
            "is it separated by tabs?"
        )
    try:
        value = float(fields[score])
    except ValueError:
        value = math.nan
    if not 0 <= value <= HIGHEST:
        raise PairsError(f"{str(file)!r}, line {number}: the score in column {score + 1} is no number from 0 to 5")
    if not fields[first].strip() or not fields[second].strip():
        raise PairsError(f"{str(file)!r}, line {number}: a sentence is empty; remove the line")
    return Pair(fields[first].strip(), fields[second].strip(), value)


def _lines(file: Path) -> Iterator[tuple[int, list[str]]]:
    """The lines that are not empty, as fields, with their numbers (from 1)."""
    try:
        content = file.read_bytes().removeprefix(b"\xef\xbb\xbf")
    except OSError as error:
        raise PairsError(f"{str(file)!r} cannot be read ({error.strerror})") from None
    for number, line in enumerate(content.split(b"\n"), 1):  # not splitlines: sentences hold U+2028 and its like
        try:
            text = line.decode().rstrip("\r")
        except UnicodeDecodeError:
            raise PairsError(f"{str(file)!r}, line {number}: not UTF-8; convert the file first") from None
        if text.strip():
            yield number, text.split("\t")
