"""A text as the detectors see it, and what tells cheaply that one of their patterns cannot be in it.

A pattern that tries every place of a text costs up to a millisecond; that no "@" is in it is known in a hundred
nanoseconds. So a pattern is kept together with conditions that every text holding it fulfils (`Sought`), and most
reports are done without any of the patterns. The tests draw texts from each pattern and hold them against its
conditions.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pipeline.identifying.plain import plain

_HANGUL = re.compile("[가-힣]")
_DIGITS, _CAPITALS, _SMALL = b"0123456789", b"ABCDEFGHIJKLMNOPQRSTUVWXYZ", b"abcdefghijklmnopqrstuvwxyz"
_NUMBER = re.compile("0[0() ./-]{5,}0")
_SHAPES = bytes.maketrans(_DIGITS + _CAPITALS + _SMALL, b"0" * 10 + b"A" * 26 + b"a" * 26)


@dataclass(frozen=True, slots=True)
class Seen:
    """A text in its plain form, the same in small letters, and its shape: "CT 71260" is "AA 00000".

    In `small` are small letters wherever a pattern that minds no case sees them. Offsets are those of `text` in
    `shape` alone. `number`: seven characters or more of digits and what stands between them are in it, as in every
    phone and resident number, but in few of a report's measurements.
    """

    text: str
    small: str
    shape: str
    hangul: bool
    number: bool

    @classmethod
    def of(cls, text: str) -> "Seen":
        seen = plain(text)
        # By way of bytes, where a table is a hundred times as fast as for a str.
        shape = seen.encode("utf-8", "surrogatepass").translate(_SHAPES).decode("utf-8", "surrogatepass")
        number = _NUMBER.search(shape) is not None
        if seen.isascii():
            return cls(seen, seen.lower(), shape, hangul=False, number=number)
        # These match an "i" as well where case does not count.
        small = seen.replace("İ", "i").replace("ı", "i").lower()
        return cls(seen, small, shape, hangul=_HANGUL.search(seen) is not None, number=number)


Condition = Callable[[Seen], bool]


class Sought:
    """A pattern, looked for only in texts that fulfil each of its conditions."""

    def __init__(self, pattern: re.Pattern[str], *conditions: Condition) -> None:
        self.pattern = pattern
        self._conditions = conditions

    def possible_in(self, seen: Seen) -> bool:
        """False only where the pattern is not in the text."""
        for condition in self._conditions:  # noqa: SIM110 - a generator costs more than the conditions do
            if not condition(seen):
                return False
        return True

    def is_in(self, seen: Seen) -> bool:
        return self.possible_in(seen) and self.pattern.search(seen.text) is not None

    def all_in(self, seen: Seen) -> Iterator[re.Match[str]]:
        return self.pattern.finditer(seen.text) if self.possible_in(seen) else iter(())


def words(*wanted: str) -> Condition:
    """One of these is in it, in capital or small letters; they are given in small ones."""
    without_hangul = tuple(word for word in wanted if not _HANGUL.search(word))
    return lambda seen: _any_in(seen.small, wanted if seen.hangul else without_hangul)


def exactly(*wanted: str) -> Condition:
    """One of these is in it as it is written here."""
    return lambda seen: _any_in(seen.text, wanted)


def shapes(*wanted: str) -> Condition:
    """One of these is in its shape: 0 stands for any digit, A for a capital letter and a for a small one, of ASCII."""
    return lambda seen: _any_in(seen.shape, wanted)


def small_like(pattern: str) -> Condition:
    """Its small letters match this somewhere."""
    found = re.compile(pattern).search
    return lambda seen: found(seen.small) is not None


def text_like(pattern: str) -> Condition:
    """It matches this somewhere, as it is written."""
    found = re.compile(pattern).search
    return lambda seen: found(seen.text) is not None


def shape_like(pattern: str) -> Condition:
    """Its shape matches this somewhere; see `shapes`."""
    found = re.compile(pattern).search
    return lambda seen: found(seen.shape) is not None


def hangul(seen: Seen) -> bool:
    return seen.hangul


def number(seen: Seen) -> bool:
    return seen.number


def behind(pattern: str, within: int, *wanted: str) -> Condition:
    """Its small letters match this somewhere, and have one of these words in the `within` characters before it."""
    found = re.compile(pattern).finditer
    return lambda seen: any(
        _any_in(seen.small[max(match.start() - within, 0) : match.start()], wanted) for match in found(seen.small)
    )


def every(*conditions: Condition) -> Condition:
    return lambda seen: all(condition(seen) for condition in conditions)


def either(*conditions: Condition) -> Condition:
    return lambda seen: any(condition(seen) for condition in conditions)


def _any_in(text: str, wanted: tuple[str, ...]) -> bool:
    for word in wanted:  # noqa: SIM110 - as above
        if word in text:
            return True
    return False
