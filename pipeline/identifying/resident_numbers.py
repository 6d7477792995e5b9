"""Resident and foreigner registration numbers.

Six digits that are a real date in the century that the seventh digit names, and six more: 1 to 4 in the seventh
place is a resident, 5 to 8 a foreigner. python-stdnum knows the centuries and the calendar; its checksum is not
asked, for numbers issued since October 2020 have none, and a foreigner's was always another than it computes.
All thirteen digits have to be there, so "900101-1******" does not count (behind "주민번호" it is a birth date).
Thirteen digits in one run are also accession numbers, UIDs and barcodes: they count only where they stand alone and
no such label precedes them. So do those with a point, a low line or a slash in the middle. Directly behind "주민번호",
"외국인등록번호" and "RRN" any of these counts.
"""

import re

from stdnum.exceptions import ValidationError
from stdnum.kr import rrn

from pipeline.identifying import department_numbers
from pipeline.identifying.seen import Seen, Sought, number, shapes

_DIGITS = shapes("000000", "0 0 0 0 0 0")
_SEPARATED = Sought(
    re.compile(
        r"(?<![0-9])(?<![0-9][-.])(?:"
        r"[0-9]{6}(?:\s?-\s?| )[1-8][0-9]{6}"
        r"|[0-9]{2}([ .])[0-9]{2}\1[0-9]{2} ?- ?[1-8][0-9]{6}"  # 69.03.22-1234567
        r"|[0-9](?: [0-9]){5} ?-? ?[1-8](?: [0-9]){6}"  # each digit in a box of its own
        r")(?! ?[0-9]|[-.][0-9])"
    ),
    number,
    _DIGITS,
)
_RUN_OF_13 = Sought(
    re.compile(r"(?<![0-9A-Za-z_./-])[0-9]{6}[._/]?[1-8][0-9]{6}(?![0-9A-Za-z_/:#-]|\.[0-9A-Za-z])"),
    number,
    _DIGITS,
)
_LABELLED = Sought(
    re.compile(
        r"(?:(?:주민|외국인) ?(?:등록)? ?(?:번호|증)|(?<![A-Za-z])RRN)[\s:#=(-]{0,4}"
        r"(?P<number>[0-9]{6}[ ._/-]{0,3}[1-8][0-9]{6})(?![0-9])",
        re.IGNORECASE,
    ),
    number,
    _DIGITS,
)
_NO_DIGIT = re.compile(r"[^0-9]")


_RESIDENT, _FOREIGNER = "1234", "5678"


def has_resident(seen: Seen) -> bool:
    return _has(seen, _RESIDENT)


def has_foreigner(seen: Seen) -> bool:
    return _has(seen, _FOREIGNER)


def has_separated_resident(seen: Seen) -> bool:
    """Not in one run, where every number has thirteen digits."""
    return _has_separated(seen, _RESIDENT)


def has_separated_foreigner(seen: Seen) -> bool:
    return _has_separated(seen, _FOREIGNER)


def _has(seen: Seen, sevenths: str) -> bool:
    if not seen.number:  # as each of the patterns says itself, but once
        return False
    if _has_separated(seen, sevenths):
        return True
    if any(_begins_with_birth(match["number"], sevenths) for match in _LABELLED.all_in(seen)):
        return True
    return any(
        _begins_with_birth(match[0], sevenths) and not department_numbers.labelled(seen.text, match.start())
        for match in _RUN_OF_13.all_in(seen)
    )


def _has_separated(seen: Seen, sevenths: str) -> bool:
    return seen.number and any(_begins_with_birth(match[0], sevenths) for match in _SEPARATED.all_in(seen))


def _begins_with_birth(found: str, sevenths: str) -> bool:
    number = _NO_DIGIT.sub("", found)
    if number[6] not in sevenths:
        return False
    try:
        rrn.get_birth_date(number)
    except ValidationError:
        return False
    return True
