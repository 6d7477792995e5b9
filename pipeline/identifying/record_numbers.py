"""A hospital's own record numbers, by the patterns in its feed's settings.

A pattern is other people's code. It never sees more than a window of the text at once, so that one whose time grows
with the square of its input (".*MRN", "[A-Z]*-[0-9]+") stays linear in the report. One that is exponential
("(?:[0-9]|[0-9][0-9])+-") is given up after a while, by name. One that matches nothing at all ("x*") finds nothing.
"""

from collections.abc import Iterator
from functools import lru_cache

import regex

from pipeline.errors import NightreadError

_WINDOW = 512
# No record number with its label is longer: whatever a window cuts stands whole in the next.
_LONGEST = 128


# Seconds for one window, which a sound pattern reads in microseconds.
_PATIENCE = 2.0


class EndlessPattern(NightreadError):
    """A hospital's own pattern takes too long on a text to be used."""


def found_in(text: str, patterns: tuple[str, ...]) -> bool:
    """Whether one of the patterns finds something. Raises `EndlessPattern` naming the one that does not end."""
    return any(_is_in(text, _compiled(pattern)) for pattern in patterns)


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> regex.Pattern[str]:
    return regex.compile(pattern)


def _is_in(text: str, pattern: regex.Pattern[str]) -> bool:
    try:
        return any(
            # A short one that touches the cut may be the beginning of a longer number; the next window tells.
            bool(match[0]) and (match.end() < end or end == len(text) or match.start() <= end - _LONGEST)
            for start, end in _windows(len(text))
            for match in pattern.finditer(text, start, end, timeout=_PATIENCE)
        )
    except TimeoutError:
        raise EndlessPattern(
            f"the record_numbers pattern {pattern.pattern!r} takes too long on a report; write it without a repetition "
            "inside a repetition"
        ) from None


def _windows(length: int) -> Iterator[tuple[int, int]]:
    start = 0
    while start + _WINDOW < length:
        yield start, start + _WINDOW
        start += _WINDOW - _LONGEST
    yield start, length
