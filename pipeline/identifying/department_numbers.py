"""Numbers of the department's own: in one run they look like a resident's or a phone's, and a label tells them."""

import re

_LABEL = re.compile(
    r"(?:accession|acc|study|exam|order|series|instance|image|barcode|uid|mrn"
    r"|접수|검사|영상|오더|처방|(?<!주민)(?<!주민 )(?<!외국인)(?<!외국인 )등록|바코드|촬영|판독)"
    r"(?: ?(?:no|number|id|번호))?\.? ?[:#=]{0,2} ?\(?$",
    re.IGNORECASE,
)
_LABEL_LENGTH = 24


def labelled(text: str, start: int) -> bool:
    """Whether the number that begins at `start` has a department's label before it."""
    return _LABEL.search(text, max(start - _LABEL_LENGTH, 0), start) is not None
