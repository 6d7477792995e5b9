"""Postal addresses: what names a house, not a town.

* **Korean**: a province or district that exists, then a road with its number (서울 송파구 올림픽로 300) or a lot
  (부산 해운대구 우동 1408번지). Without a district only what occurs nowhere else: 효자동 12번지, 123번길 4,
  101동 1504호, 현대아파트 402호. A number with a unit is a measurement ("서울 외래로 3 cm").
* **English**: number and street (45 Oak Avenue), PO boxes, a state with its postcode (Boston, MA 02118; the first
  digit has to be the state's, for "CHEST, CT 71260" is a procedure), romanised Korean (81 Irwon-ro, Gangnam-gu).
* **Labelled**: 주소, 거주지, 우편번호, address, zip code and the like, with a value that looks like one.

A hospital's name, a district alone ("강남구에서 전원") and a ward (3동 502호) are no address.
"""

import re

from pipeline.identifying.places import PROVINCES, is_place
from pipeline.identifying.seen import Seen, Sought, either, every, hangul, shape_like, shapes, small_like, words

# --- Korean

_NO_MEASUREMENT = (
    r"(?![0-9]|[-./][0-9]| {0,2}(?:mm|cm|ml|cc|hu|%|[x×*]"
    r"|개|년|월|일|회|차|주|시|분|세|명|례|층|병동|병원|단계|등급|도))"
)
_NUMBER = r"[0-9]{1,4}(?:-[0-9]{1,4})?(?:번지)?" + _NO_MEASUREMENT
# 으로, 외래로 and the like are a noun with its particle.
_ROAD = (
    r"[가-힣0-9][가-힣0-9.]{0,11}(?:대로|(?<!으)(?<!외래)(?<!의뢰)(?<!추가)(?<!별도)로|길)"
    r"(?:\s{0,2}[0-9]{1,4}[가-힣]?(?:번)?길)?\s{0,2}" + _NUMBER
)
_LOT = r"[가-힣]{1,8}[0-9]{0,2}(?:동|읍|면|리|가)(?: {0,2}[가-힣]{1,6}리)?\s{1,2}(?:산 ?)?" + _NUMBER
_IN_A_PLACE = Sought(
    re.compile(rf"(?<![가-힣])(?P<places>(?:[가-힣]{{2,14}},?\s{{1,3}}){{1,5}})(?:{_ROAD}|{_LOT})", re.IGNORECASE),
    hangul,
    small_like(r"[로길동읍면리가]\s{0,2}(?:산 ?)?[0-9]"),
)
# 서울특별시강동구성내로25
_WITHOUT_BLANKS = Sought(
    re.compile(
        rf"(?<![가-힣])(?:{'|'.join(sorted(PROVINCES, key=len, reverse=True))})"
        rf"[가-힣]{{1,6}}[시군구][가-힣0-9]{{1,10}}(?:로|길){_NUMBER}"
    ),
    hangul,
    small_like("[로길][0-9]"),
)
_ALONE = Sought(
    re.compile(
        r"[가-힣]{1,6}[0-9]{0,2}(?:동|리|가) ?(?:산 ?)?[0-9]{1,4}(?:-[0-9]{1,4})? ?번지"
        r"|[0-9]{1,4}번길 ?[0-9]{1,4}" + _NO_MEASUREMENT + r"|(?<![0-9])[1-9][0-9]{2,3}동 ?[0-9]{3,4}호"
        r"|[0-9]{1,2}단지 ?[0-9]{3,4}(?:-|동 ?)[0-9]{3,4}(?![0-9])"
        r"|(?:아파트|빌라|오피스텔|맨션|연립) ?(?:[0-9A-Z가-힣]{1,4}동 ?)?[0-9]{2,4}호"
    ),
    hangul,
    small_like("번[지길]|[0-9]호|단지 ?[0-9]"),
)
_KOREAN_LABELLED = Sought(
    re.compile(
        r"(?<!메일)(?<!메일 )(?<!ip)(?<!ip )(?:주 ?소지?|거주지|거주|자택)(?:\([^()\n]{1,8}\))?"
        r"[ \t]{0,3}[:=-][ \t]{0,4}(?P<value>[^\n:]{4,60})",
        re.IGNORECASE,
    ),
    hangul,
    words("주소", "주 소", "거주", "자택"),
)
_KOREAN_PLACE_AND_NUMBER = re.compile(
    r"[가-힣]{1,12}(?:시|군|구|읍|면|동|리|로|길|가|아파트|빌라)(?![가-힣])[^\n]{0,40}?[0-9]"
)
_POSTCODE = Sought(
    re.compile(
        r"(?:우편 ?번호|(?<![A-Za-z])(?:zip|zip ?code|post(?:al)? ?code)) ?(?:[:=]|is)?\s{0,3}"
        r"(?:[0-9]{5}|[0-9]{3}-[0-9]{3}|[A-Z]{1,2}[0-9][A-Z0-9]? [0-9][A-Z]{2})(?![0-9])"
        r"|(?<![가-힣])우 ?[):] ?(?:[0-9]{5}|[0-9]{3}-[0-9]{3})(?![0-9.]|-[0-9])|\(우 ?[0-9]{5}\)",
        re.IGNORECASE,
    ),
    words("우편번호", "우편 번호", "zip", "code", "우)", "우 )", "우:", "우 :", "(우"),
)

# --- English

# Capital letters, since "2 days of street ..." is a sentence.
_STREET = Sought(
    re.compile(
        r"(?<![0-9A-Za-z./-])[1-9][0-9]{0,4}[A-Z]?,? (?:[NSEW]\.? )?(?:[A-Z][A-Za-z'’.]{1,20} ){1,3}"
        r"(?:(?:Street|STREET|Avenue|AVENUE|Boulevard|BOULEVARD|Road|ROAD|Lane|LANE|Terrace)(?![A-Za-z])"
        # These are words as well: a town, a flat or another line of the address follows.
        r"|(?:St|Ave|AVE|Blvd|BLVD|Rd|RD|Ln|Dr|Drive|DRIVE|Ct|Court|COURT|Pl|Place|PLACE|Way|WAY|Circle|Square|Parkway"
        r"|Pkwy|Highway|Hwy|Crescent|Close)(?:\.,|\.?(?:, ?| #| (?=Apt|Unit|Suite))[A-Z0-9]))"
    ),
    shape_like(r"0A?,? (?:A\.? )?A[Aa'’.]{1,20} A"),
)
_PO_BOX = Sought(re.compile(r"(?<![A-Za-z])P\.? ?O\.? ?Box ?#? ?[0-9]{1,6}", re.IGNORECASE), words("box"))
_STATE_AND_POSTCODE = Sought(
    re.compile(
        r"[A-Z][A-Za-z.'’]{1,20},? {1,2}(?:"
        r"(?:CT|MA|ME|NH|NJ|RI|VT) 0|(?:DE|NY|PA) 1|(?:DC|MD|NC|SC|VA|WV) 2|(?:AL|FL|GA|MS|TN) 3|(?:IN|KY|MI|OH) 4"
        r"|(?:IA|MN|MT|ND|SD|WI) 5|(?:IL|KS|MO|NE) 6|(?:AR|LA|OK|TX) 7|(?:AZ|CO|ID|NM|NV|UT|WY) 8|(?:AK|CA|HI|OR|WA) 9"
        r")[0-9]{4}(?:-[0-9]{4})?(?![0-9-])"
    ),
    shapes("AA 00000"),
)
_ROMANISED = Sought(
    re.compile(
        r"(?<![A-Za-z0-9-])(?:"
        r"[0-9]{1,4}(?:-[0-9]{1,4})?,? {1,2}(?!anti-)[a-z]{2,20}-?(?:daero|ro|gil|dong|ri)"
        r"(?: [0-9]{1,4}(?:beon)?-?gil)?,\s{1,2}"
        r"[a-z]{2,20}-(?:gu|si|gun|eup|myeon|dong)"
        r"|[a-z]{2,20}-(?:gu|si|gun|eup|myeon|dong),?\s{1,2}[a-z]{2,20}-?(?:daero|ro|gil|dong|ri)"
        r"(?: [0-9]{1,4}(?:beon)?-?gil)?,? [0-9]{1,4}"
        r"|[a-z]{2,20}-(?:daero|ro|gil|dong|ri),? [0-9]{1,4}(?:-[0-9]{1,4})?,\s{1,2}[a-z]{2,20}-(?:gu|si|gun|eup|myeon)"
        r")(?![a-z])",
        re.IGNORECASE,
    ),
    small_like("-(?:gu|si|gun|eup|myeon|dong)(?![a-z])"),
)
_ENGLISH_LABELLED = Sought(
    re.compile(
        r"(?<![A-Za-z])(?:(?<!mail )(?<!ip )(?<!mac )(?<!web )(?i:address|residence)[ \t]{0,3}[:=]?[ \t]{0,3}"
        r"[0-9]{1,5}[A-Z]?,? (?:[A-Za-z][A-Za-z'’.-]{0,20} ){0,4}[A-Za-z][A-Za-z'’.-]{1,20},"
        r"|(?i:resid(?:es|ing)|liv(?:es|ing)) at [0-9]{1,5}[A-Z]?,? [A-Z][A-Za-z'’-]{1,20} [A-Z][A-Za-z'’-]{1,20})"
    ),
    either(words("address", "residence"), every(words("es at ", "ing at "), small_like(" at [0-9]"))),
)


def found_in(seen: Seen) -> bool:
    whole = (
        *(_POSTCODE, _STREET, _PO_BOX, _STATE_AND_POSTCODE, _ROMANISED, _ENGLISH_LABELLED),
        *(_WITHOUT_BLANKS, _ALONE),
    )
    return (
        any(pattern.is_in(seen) for pattern in whole)
        or any(any(map(is_place, match["places"].replace(",", " ").split())) for match in _IN_A_PLACE.all_in(seen))
        or any(_KOREAN_PLACE_AND_NUMBER.search(match["value"]) for match in _KOREAN_LABELLED.all_in(seen))
    )
