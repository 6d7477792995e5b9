"""The guard against identifying data: which kinds of it a text holds.

The feeds are said to be de-identified; this finds where that went wrong, so that such a report is
quarantined before anybody reads it. Each kind has one detector; a new kind is a new detector and a line in
`_DETECTORS`. Every pattern is bounded, so the time is linear in the text.

What counts, and why:

* **Resident numbers** (resident and foreigner registration numbers): six digits that are a real date in the
  century that the seventh digit names, and a seventh digit from 1 to 8. No checksum: numbers issued since
  October 2020 have none. The seventh digit is given with six more, so "900101-1******" does not count.
  Thirteen digits in one run are also accession numbers, UIDs and barcodes: they count only where they stand
  alone and no such label precedes them.
* **Phone numbers**: Korean mobile, area-code, internet and international forms with their separators;
  eleven digits in one run only as a mobile number; anything phone-like behind "연락처:", "Tel:" and the like.
  1588-0000 and its kind belong to companies and count only with such a label.
* **E-mail**: an address with a dotted domain.
* **Patient names**: a name behind "환자명:", "성명:", "이름:", "Patient name:", "Name:" on the same line. What
  only stands where a name was does not count: masks (홍**, 홍O동, OOO, [NAME]), words (익명, anonymous,
  de-identified) and pseudonyms, which are told by their digits (환자001, P-0017).
"""

import re
import unicodedata
from collections.abc import Callable
from datetime import date
from enum import StrEnum


class Identifier(StrEnum):
    """What kind of identifying data; kept in the quarantine row instead of the data."""

    RESIDENT_NUMBER = "resident-number"
    PHONE_NUMBER = "phone-number"
    EMAIL = "e-mail"
    PATIENT_NAME = "patient-name"


def kinds(text: str) -> tuple[Identifier, ...]:
    """The kinds of identifying data in a text, each once, in the order of `Identifier`; empty when it is
    clean.
    """
    plain = _plain(text)
    return tuple(kind for kind, found_in in _DETECTORS if found_in(plain))


# Invisible characters between digits or letters hide nothing from a reader, so they shall not from the guard.
_INVISIBLE = dict.fromkeys([0x00AD, 0x200B, 0x200C, 0x200D, 0x2060, 0xFEFF])
_DASHES = dict.fromkeys([0x2010, 0x2011, 0x2012, 0x2013, 0x2014, 0x2015, 0x2212, 0x301C], "-")
_TO_PLAIN = {**_INVISIBLE, **_DASHES}


def _plain(text: str) -> str:
    """Full-width digits, decomposed Hangul, exotic dashes and invisible characters as their plain forms."""
    if text.isascii():
        return text
    return unicodedata.normalize("NFKC", text).translate(_TO_PLAIN)


# --- resident numbers

_SEPARATED_RESIDENT = re.compile(r"(?<![0-9])(?<![0-9][-.])([0-9]{6})(?: ?- ?| )([1-8])[0-9]{6}(?![0-9]|[-.][0-9])")
_RUN_OF_13 = re.compile(r"(?<![0-9A-Za-z_./:#-])([0-9]{6})([1-8])[0-9]{6}(?![0-9A-Za-z_/:#-]|\.[0-9A-Za-z])")
# Numbers of the department's own, that begin with a date as often as not.
_OTHER_NUMBER = re.compile(
    r"(?:accession|acc|study|exam|order|series|instance|image|barcode|uid|mrn"
    r"|접수|검사|영상|오더|처방|(?<!주민)(?<!외국인)등록|바코드|촬영|판독)"
    r"(?: ?(?:no|number|id|번호))?\.? ?[:#=]? ?\(?$",
    re.IGNORECASE,
)
_LABEL_LENGTH = 24
_CENTURIES = {"1": 1900, "2": 1900, "5": 1900, "6": 1900, "3": 2000, "4": 2000, "7": 2000, "8": 2000}


def _has_resident_number(text: str) -> bool:
    if any(_is_date(*match.groups()) for match in _SEPARATED_RESIDENT.finditer(text)):
        return True
    return any(
        _is_date(*match.groups())
        and not _OTHER_NUMBER.search(text, max(match.start() - _LABEL_LENGTH, 0), match.start())
        for match in _RUN_OF_13.finditer(text)
    )


def _is_date(yymmdd: str, century: str) -> bool:
    try:
        date(_CENTURIES[century] + int(yymmdd[:2]), int(yymmdd[2:4]), int(yymmdd[4:]))
    except ValueError:
        return False
    return True


# --- phone numbers

_ALONE = r"(?<![0-9A-Za-z])(?<![0-9][-./])"
_END = r"(?![0-9A-Za-z]|[-./][0-9])"
_PHONE = re.compile(
    _ALONE + r"(?:"
    # +82 10-1234-5678, +82-2-123-4567, +82 (0)10 1234 5678
    r"\+82[-. ]?(?:\(0\)|0)?[-. ]?[1-7][0-9]{0,2}[-. ]?[0-9]{3,4}[-. ]?[0-9]{4}"
    # 010-1234-5678, 010.1234.5678, 010 1234 5678, 01012345678; 011 and its kind still occur in old records
    r"|\(?01[016789]\)?(?:-| - |[. )])?[0-9]{3,4}(?:-| - |[. ])?[0-9]{4}"
    # 02-123-4567, 031)123-4567, (051) 123-4567, 070-1234-5678, 0505-123-4567: never in one run, nor with
    # blanks only
    r"|\(?0(?:2|3[1-3]|4[1-4]|5[1-5]|6[1-4]|70|50[0-9])(?:-|\) ?|\. ?)[0-9]{3,4}[-.][0-9]{4}"
    # (555) 123-4567, 555-123-4567, +1 555-123-4567
    r"|(?:\+1[-. ]?)?(?:\([2-9][0-9]{2}\) ?|[2-9][0-9]{2}-)[2-9][0-9]{2}-[0-9]{4}"
    r")" + _END
)
_LABELLED_PHONE = re.compile(
    r"(?:전화(?:번호)?|연락처|휴대(?:폰|전화)(?: ?번호)?|핸드폰"
    r"|(?<![A-Za-z])(?:tel|phone|mobile|cell|telephone|contact|h\.?p)(?: ?(?:no|number|#))?"
    r")\.? ?[:=)] ?\+?[0-9(][0-9() .-]{5,18}[0-9]",
    re.IGNORECASE,
)


def _has_phone_number(text: str) -> bool:
    if _PHONE.search(text):
        return True
    return any(
        7 <= sum(map(str.isdigit, match[0])) <= 15  # E.164 allows 15
        for match in _LABELLED_PHONE.finditer(text)
    )


# --- e-mail

# Lengths from RFC 5321. The lookbehind lets the local part start nowhere but at its start: linear time.
_EMAIL = re.compile(
    r"(?<![A-Za-z0-9._%+-])[A-Za-z0-9_%+-][A-Za-z0-9._%+-]{0,63}@"
    r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,62}\.){1,8}[A-Za-z]{2,24}(?![A-Za-z])"
)


def _has_email(text: str) -> bool:
    return "@" in text and _EMAIL.search(text) is not None


# --- names behind a label

# Whose name it is: these labels say so themselves, so that whatever follows and is no mask is taken for a
# name.
_PERSON_LABEL = re.compile(
    r"(?:환자 ?(?:이름|성명|명)|(?:수진자|수검자|피검자|검진자)(?: ?(?:이름|성명|명))?"
    r"|(?<![A-Za-z])(?:patient|pt)(?:'s|’s|\.)?[ _]?(?:full |first |last |family )?name"
    r"|(?<![A-Za-z])name of (?:the )?patient"
    r"|(?<![A-Za-z])(?:full|first|last|family|given) name|(?<![A-Za-z])surname"
    r")[ \t]{0,4}(?:\((?:성명|이름|name)\))?[ \t]{0,4}[:=|\t][ \t]{0,8}",
    re.IGNORECASE,
)
# "Name:" is also a file's, a drug's or a protocol's: it counts where no word stands before it, and like
# "성명" and "이름" only with what looks like a full name.
_OPEN_LABEL = re.compile(
    r"(?<![가-힣A-Za-z])(?:성 ?명|이름|(?<![A-Za-z]{2}[ _-])name)[ \t]{0,4}[:=|\t][ \t]{0,8}", re.IGNORECASE
)
# The first words of a value, which ends where the next field begins.
_VALUE = re.compile(r"[^\s,;:|/()\[\]{}<>]{1,40}(?: [^\s,;:|/()\[\]{}<>]{1,40}){0,2}")
_MASK = re.compile(
    r"[*○●◯◎□■△▲_…]|\.{2,}|(?<![A-Za-z])[XxOo0]{2,}(?![A-Za-z])"
    r"|[가-힣][OoXx0]{1,3}(?![A-Za-z])|(?<![A-Za-z])[OoXx0]{1,3}[가-힣]"
)
_NO_NAME = re.compile(
    r"(?:익명|비공개|비밀|미상|없음|비식별|가명|삭제|무명|무기명|해당|불명|모름|기재|미기재|미등록|미확인|공란|생략|확인"
    r"|정보|환자|보호|수진자|성명|이름|남자|여자|남아|여아|남성|여성|신생아"
    r"|(?:unknown|anon|de-?ident|redact|remov|withheld|none|mask|hidden|not|n/?a|see|same|blank|test|confidential"
    r"|pseudonym|patient|subject|deleted|unnamed|omitted|name|date|age|sex|dob|id|mrn)(?![a-z])"
    r"|anonym|de-?identif|redacted|removed|masked|pseudonym)",
    re.IGNORECASE,
)
# The hundred surnames that nearly everybody bears.
_SURNAMES = (
    "김이박최정강조윤장임한오서신권황안송류전홍고문양손배백허유남심노하곽성차주우구나민진지엄채원천방공"
    "현함변염여추도소석선설마길연위표명기반라왕금옥육인맹제모탁국은편용예경봉사부가복태목형두감음빈동온호범좌팽승간"
)
_KOREAN_NAME = re.compile(r"(?:[가-힣]{2,5}|[가-힣]{1,2} {1,2}[가-힣]{1,3}|[가-힣] [가-힣] [가-힣])(?![가-힣])")
_KOREAN_FULL_NAME = re.compile(rf"[{_SURNAMES}] ?[가-힣]{{1,2}}(?: ?(?:님|씨))?(?![가-힣])")
_CHINESE_NAME = re.compile(r"[一-鿿]{2,4}(?![一-鿿])")
_LATIN_NAME = re.compile(r"[A-Za-zÀ-ɏ][A-Za-zÀ-ɏ'’^.-]{1,30}(?![A-Za-zÀ-ɏ0-9])")
_LATIN_FULL_NAME = re.compile(r"(?:Mr|Mrs|Ms|Dr)?\.? ?[A-ZÀ-Þ][A-Za-zÀ-ɏ'’^.-]{1,30}(?![A-Za-zÀ-ɏ0-9])")


def _has_patient_name(text: str) -> bool:
    return any(
        _is_name(text, match.end(), (_KOREAN_NAME, _CHINESE_NAME, _LATIN_NAME))
        for match in _PERSON_LABEL.finditer(text)
    ) or any(
        _is_name(text, match.end(), (_KOREAN_FULL_NAME, _CHINESE_NAME, _LATIN_FULL_NAME))
        for match in _OPEN_LABEL.finditer(text)
    )


def _is_name(text: str, start: int, shapes: tuple[re.Pattern[str], ...]) -> bool:
    value = _VALUE.match(text, start)
    if value is None or _NO_NAME.match(text, start) or _MASK.search(value[0]):
        return False
    return any(shape.match(text, start) for shape in shapes)


_DETECTORS: tuple[tuple[Identifier, Callable[[str], bool]], ...] = (
    (Identifier.RESIDENT_NUMBER, _has_resident_number),
    (Identifier.PHONE_NUMBER, _has_phone_number),
    (Identifier.EMAIL, _has_email),
    (Identifier.PATIENT_NAME, _has_patient_name),
)
