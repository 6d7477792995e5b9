"""Resident and foreigner registration numbers.

Six digits that are a real date in the century that the seventh digit names, and six more: 1 to 4 in the seventh
place is a resident, 5 to 8 a foreigner. python-stdnum knows the centuries and the calendar; its checksum is not
asked, for numbers issued since October 2020 have none, and a foreigner's was always another than it computes.
All thirteen digits have to be there, so "900101-1******" does not count (behind "주민번호" it is a birth date).
Thirteen digits in one run are also accession numbers, UIDs and barcodes: they count only where they stand alone and
no such label precedes them.
"""

import re

from stdnum.exceptions import ValidationError
from stdnum.kr import rrn

from pipeline.identifying import department_numbers

_SEPARATED = re.compile(
    r"(?<![0-9])(?<![0-9][-.])(?:"
    r"[0-9]{6}(?:\s?-\s?| )[1-8][0-9]{6}"
    r"|[0-9]{2}([ .])[0-9]{2}\1[0-9]{2} ?- ?[1-8][0-9]{6}"  # 69.03.22-1234567
    r"|[0-9](?: [0-9]){5} ?-? ?[1-8](?: [0-9]){6}"  # each digit in a box of its own
    r")(?! ?[0-9]|[-.][0-9])"
)
_RUN_OF_13 = re.compile(r"(?<![0-9A-Za-z_./:#-])[0-9]{6}[1-8][0-9]{6}(?![0-9A-Za-z_/:#-]|\.[0-9A-Za-z])")
_NO_DIGIT = re.compile(r"[^0-9]")


def has_resident(text: str) -> bool:
    return _has(text, "1234")


def has_foreigner(text: str) -> bool:
    return _has(text, "5678")


def _has(text: str, sevenths: str) -> bool:
    if any(_begins_with_birth(match[0], sevenths) for match in _SEPARATED.finditer(text)):
        return True
    return any(
        _begins_with_birth(match[0], sevenths) and not department_numbers.labelled(text, match.start())
        for match in _RUN_OF_13.finditer(text)
    )


def _begins_with_birth(found: str, sevenths: str) -> bool:
    number = _NO_DIGIT.sub("", found)
    if number[6] not in sevenths:
        return False
    try:
        rrn.get_birth_date(number)
    except ValidationError:
        return False
    return True
