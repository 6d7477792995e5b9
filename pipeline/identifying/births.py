"""Birth dates: a whole date, with day, that something calls a birth.

Labels before it (생년월일, 생일, 출생, DOB, date of birth, born on) or "생" and "출생" behind it. Without them a
date is an examination's. The first half of a resident number behind "주민번호" is a birth date, also where the second
half is masked. A year, a month, an age and a masked date (19XX-XX-XX) are none.
"""

import re

from pipeline.identifying.seen import Seen, Sought, either, small_like, words

_YEAR = r"(?:(?:18|19|20)[0-9]{2}|['’]?[0-9]{2})"
_MONTH = r"(?:1[0-2]|0?[1-9])"
_DAY = r"(?:3[01]|[12][0-9]|0?[1-9])"
_TWO_DIGITS = r"(?:1[0-2]|0[1-9])(?:3[01]|[12][0-9]|0[1-9])"
_NAMED = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]{0,6}\.?"
_TH = r"(?:st|nd|rd|th)?"
_DATE = (
    r"(?<![0-9])(?:"
    rf"{_YEAR} {{0,2}}[-./년] {{0,2}}{_MONTH} {{0,2}}[-./월] {{0,2}}{_DAY}(?![0-9])(?: ?일)?\.?"
    rf"|(?:18|19|20)?[0-9]{{2}}{_TWO_DIGITS}(?![0-9])"
    # 3/14/1961, 14.03.61
    rf"|(?:{_MONTH} ?[-./] ?{_DAY}|{_DAY} ?[-./] ?{_MONTH}) ?[-./] ?{_YEAR}(?![0-9])"
    rf"|{_DAY}{_TH}(?: of)?[ .-]{{0,2}}{_NAMED}[ ,.-]{{0,3}}{_YEAR}(?![0-9])"
    rf"|{_NAMED}[ .-]{{0,2}}{_DAY}{_TH}[ ,.-]{{1,3}}{_YEAR}(?![0-9])"
    r")"
)
_LABELLED = Sought(
    re.compile(
        r"(?:생 ?년 ?월 ?일(?: ?/ ?성별)?|生年月日|태어난 ?날|(?<![가-힣])(?:생일|출생(?: ?년월일| ?일자?| ?일시)?)"
        r"|(?<![A-Za-z])(?:date of birth|birth[ -]?date|birthday|b-?day|birth|d[. ]{0,2}o[. ]{0,2}b\.?|born(?: on)?))"
        r"[ \t]{0,3}(?:\([^()\n]{1,16}\))?[ \t]{0,2}(?:[:=|/-]|[은는이]|is|was)?\s{0,4}" + _DATE,
        re.IGNORECASE,
    ),
    either(
        words("생년", "생 년", "生年", "태어난", "생일", "출생"),
        small_like("b(?:irth|orn|-?day)"),
        small_like(r"d(?<![a-z]d)[. ]{0,2}o[. ]{0,2}b"),
    ),
)
# The first half of a resident number that is not given whole; given whole it is a resident number.
_FIRST_HALF = Sought(
    re.compile(
        rf"주민(?:등록)? ?번호(?: ?앞 ?(?:자리|번호))?[ \t]{{0,3}}[:=]?\s{{0,4}}[0-9]{{2}}{_TWO_DIGITS}(?![0-9])"
        r"(?!\s{0,2}[._/-]?\s{0,2}[1-8][0-9]{6})"
    ),
    words("주민"),
)
# "2024-01-05 생검" is a biopsy, "생성" a making.
_CALLED = Sought(
    re.compile(
        _DATE + r" ?(?:生|생(?:임|으로|이며|이고|인)?|에? ?출생(?:함|하였음|한|하여)?|태생|에 태어난)(?![가-힣])",
        re.IGNORECASE,
    ),
    words("생", "生", "태어난"),
    small_like("[0-9일.] ?(?:生|생|에? ?출생|태생|에 태어난)"),
)


def found_in(seen: Seen) -> bool:
    return any(pattern.is_in(seen) for pattern in (_LABELLED, _FIRST_HALF, _CALLED))
