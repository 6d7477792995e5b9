"""Phone numbers.

Korean mobile, area-code, internet and international forms with their separators; eleven digits in one run only as a
mobile number; foreign ones behind their country code; anything phone-like behind "연락처", "Tel" and the like, but no
date ("전화 2024-01-05"). 1588-0000 and its kind belong to companies and count only with such a label; extensions and
pagers, being shorter, do not. A department's own number counts: whose it is cannot be told.
"""

import re

from pipeline.identifying import department_numbers
from pipeline.identifying.seen import Seen, Sought, behind, either, number, shape_like, shapes, words

_ALONE = r"(?<![0-9A-Za-z])(?<![0-9][-./])"
_END = r"(?![0-9A-Za-z]|[-./][0-9])"
_PHONE = Sought(
    re.compile(
        _ALONE + r"(?:"
        # +82 10-1234-5678, +82-2-123-4567, +82 (0)10 1234 5678
        r"(?:\+82[-. ]?|(?:00 ?)?82[-. ](?=10[-. ]))(?:\(0\)|0)?[-. ]?[1-7][0-9]{0,2}[-. ]?[0-9]{3,4}[-. ]?[0-9]{4}"
        # 010-1234-5678, 010.1234.5678, 010 1234 5678, (010)1234-5678, O1O-1234-5678; 011 and its kind still occur in
        # old records
        r"|\(?[0Oo]1[016789Oo](?:-| - |[. )]|\) )[0-9]{3,4}(?:-| - |[. ])?[0-9]{4}"
        r"|[0Oo]1[016789Oo][0-9]{3,4}(?:-| - |[. ])[0-9]{4}"
        # 010/1234/5678, 010 12 34 5678: eight digits in whatever groups
        r"|010/[0-9]{4}/[0-9]{4}|010(?:[- ]?[0-9]{2}){2}[- ]?[0-9]{4}(?<!0[0-9]{10})"
        # 02-123-4567, 031)123-4567, (051) 123-4567, 070-1234-5678, 0505-123-4567: never in one run, nor with
        # blanks only
        r"|\(?0(?:2|3[1-3]|4[1-4]|5[1-5]|6[1-4]|70|50[0-9])(?:-|\) ?|\. ?| - )[0-9]{3,4}(?:[-.]| - )[0-9]{4}"
        # (555) 123-4567, (555)1234567, 555-123-4567, 555.123.4567, +1 555-123-4567, 1-800-123-4567
        r"|(?:\+?1[-. ]?)?(?:\([2-9][0-9]{2}\) ?[2-9][0-9]{2}[-. ]?"
        r"|[2-9][0-9]{2}-[2-9][0-9]{2}-|[2-9][0-9]{2}\.[2-9][0-9]{2}\.)[0-9]{4}"
        # +44 20 7946 0958, +81 90-1234-5678, +1 (415) 555-0132: the country's code, then three groups at least
        r"|\+[1-9][0-9]{0,2}[-. ]\(?[0-9]{1,4}\)?[-. ][0-9]{2,4}(?:[-. ][0-9]{2,4}){1,3}"
        r")" + _END
    ),
    number,
    either(shapes("+0"), shape_like("000(?:(?:[-. /]| - )?|[- ]?00[- ]?00[- ]?)0000")),
)
_MOBILE_IN_ONE_RUN = Sought(
    re.compile(_ALONE + r"01(?:0[0-9]{8}|[16789][0-9]{7,8})" + _END), number, shapes("0000000000")
)
# 02 3410 2000 with blanks only is three measurements, unless somebody is called.
_CALLED = Sought(
    re.compile(
        _ALONE + r"0(?:2|3[1-3]|4[1-4]|5[1-5]|6[1-4]|70) [0-9]{3,4} [0-9]{4}(?:으로|로)? ?(?:전화|연락|통화|통보)"
    ),
    number,
    words("전화", "연락", "통화", "통보"),
)
_DIGIT_BY_DIGIT = Sought(
    re.compile(r"(?<![0-9] )(?<![0-9])0 (?:1 0|2|[3-6] [1-5]) - (?:[0-9] ){3,4}- [0-9](?: [0-9]){3}(?! ?[0-9])"),
    number,
    shapes("0 - 0 0 0 "),
)
_LABELLED = Sought(
    re.compile(
        r"(?:전화(?:번호)?|연락처|휴대(?:폰|전화)(?: ?번호)?|핸드폰(?: ?번호)?"
        r"|(?<![A-Za-z])(?:tel|telephone|phone|ph|mobile|cell|contact|h\.?p|fax|whatsapp)(?: ?(?:no|number|#))?"
        r")\.?(?: ?\([^()\n]{1,8}\))?"
        r"(?P<separator> ?[:=)] ?| (?:is|was) |[은는이] | )"
        r"(?!(?:19|20)[0-9]{2}(?:[-./][01]?[0-9][-./]|[01][0-9][0-3][0-9](?![0-9])))"
        r"(?P<number>\+?[0-9(][0-9() .-]{5,18}[0-9])(?![0-9])",
        re.IGNORECASE,
    ),
    either(number, shape_like(r"\([0() .-]{5,18}0")),
    # What stands between the label's word and the number are 26 characters at most.
    behind(
        r"[0-9(][0-9() .-]{6,}",
        *(40, "전화", "연락처", "폰"),
        *("tel", "ph", "mobile", "cell", "contact", "hp", "h.p", "fax", "whatsapp"),
    ),
)
# Behind a label without a colon "12 34 mm" may follow as well: there the number has to be grouped as one.
_GROUPED = re.compile(
    r"\(?[0-9]{2,4}[-.) ]{1,2}[0-9]{3,5}[-. ][0-9]{4}$|[0-9]{3,4}-[0-9]{4}$|0[0-9]{8,10}$|[2-9][0-9]{9}$"
)


def separated_in(seen: Seen) -> bool:
    """Only in a form that begins as a phone number does, with its separators: for fields whose numbers have any."""
    return seen.number and any(match[0][0] in "+(0Oo" for match in _PHONE.all_in(seen))


def found_in(seen: Seen) -> bool:
    if any(pattern.is_in(seen) for pattern in (_PHONE, _CALLED, _DIGIT_BY_DIGIT)):
        return True
    if any(not department_numbers.labelled(seen.text, match.start()) for match in _MOBILE_IN_ONE_RUN.all_in(seen)):
        return True
    return any(
        7 <= sum(map(str.isdigit, match["number"])) <= 15  # E.164 allows 15
        and (any(sign in match["separator"] for sign in ":=)") or _GROUPED.match(match["number"]) is not None)
        for match in _LABELLED.all_in(seen)
    )
