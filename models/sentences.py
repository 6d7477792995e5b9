"""Where one sentence of a report ends and the next begins: Korean, English, both in one line, lists, lines.

A sentence here is what a radiologist would tick off as one statement, so list items and lines count. The
spans tile the text: joined back, the sentences are the text, and white space after a sentence belongs to
it.
"""

import re
from typing import NamedTuple


class Span(NamedTuple):
    """Characters `start` to `end` (exclusive) of a text, counted as Python counts them."""

    start: int
    end: int


# Every place that might be a boundary; `_cut` decides. Runs are consumed whole and lookarounds have a fixed
# width, so the time is linear in the text, whatever it holds.
_CANDIDATE = re.compile(
    r"""
      (?P<line> [\r\n\v\f\x85\u2028\u2029] \s* )
    | (?P<stop> [.!?。！？…]+ (?P<closers> ["'”’»)\]]* ) )
    # Korean sentences often end without a full stop; "및", "등", "또는" … show that the phrase goes on.
    | (?P<ending> (?: 니다 | 있음 | 없음 | 않음 | 보임 | 됨 | 소견임 )
                  (?= [ \t]+ (?! 및 | 등 | 또는 | 혹은 | 시\s | 후\s | 상태 | 경우 | 때 ) [\w"“(\[] ) )
    | (?P<bullet> (?<=\s) (?: [•●▪■◦※▶] | [·"“”](?=\s) ) )
    | (?P<number> (?<=\s) \d{1,2}\) (?=\s) )
    """,
    re.VERBOSE,
)
_SPACE = re.compile(r"\s*")
_ENUMERATOR = re.compile(
    r"""\s* (?: [(\[]? (?: \d{1,3} | [A-Za-z] | [가나다라마바사아자차카타파하] ) [.)\]] )""", re.VERBOSE
)
_WORD_BEFORE = re.compile(r"[A-Za-z][A-Za-z.]*\Z")

# Never the end of a sentence, whatever follows.
_ABBREVIATION = re.compile(r"dr|mrs?|ms|prof|v\.?s|e\.g|i\.e|c\.?f|viz|approx|ca|rt|lt|s\.p|figs?")
# The end of a sentence, unless a small letter or a digit follows ("No. 2", "sup. segment", not "effusion: no.").
_MAYBE_ABBREVIATION = re.compile(
    r"[a-z]|nos?|etc|al|st|sr|jr|max|min|diam?|vol|ref|resp|est|inf|sup|ant|post|lat|med|int|ext|bilat|segm?"
    r"|incl|excl|im|ser?|tel|temp|a\.m|p\.m|u\.s|[hfdt]x"
)


def split(text: str) -> list[Span]:
    """The sentences of `text` as spans that tile it exactly; an empty text has none.

    Time is linear in the length of the text. Leading white space belongs to the first sentence.
    """
    spans: list[Span] = []
    start = 0
    for candidate in _CANDIDATE.finditer(text):
        cut = _cut(text, start, candidate)
        if cut is None or not start < cut < len(text) or text[start:cut].isspace():
            continue
        spans.append(Span(start, cut))
        start = cut
    if start < len(text):
        spans.append(Span(start, len(text)))
    return spans


def _cut(text: str, start: int, candidate: re.Match[str]) -> int | None:
    """Where the sentence that began at `start` ends because of `candidate`, or None if it goes on."""
    match candidate.lastgroup:
        case "line":
            return None if _is_wrapped(text, start, candidate) else candidate.end()
        case "bullet":
            return candidate.start()
        case "number":
            # "2)" opens an item, but not within "(segments 1 and 2)". A window bounds the search.
            opened = text.rfind("(", max(start, candidate.start() - 200), candidate.start())
            closed = text.rfind(")", max(start, candidate.start() - 200), candidate.start())
            return None if opened > closed else candidate.start()
        case "ending":
            return _after_space(text, candidate.end())
        case _:
            return _after_stop(text, start, candidate)


def _after_stop(text: str, start: int, candidate: re.Match[str]) -> int | None:
    here, end = candidate.span()
    follower = text[end : end + 1]
    if follower and not follower.isspace():
        return end if _lacks_space(text, start, candidate) else None
    cut = _after_space(text, end)
    follower = text[cut : cut + 1]
    goes_on = follower.isascii() and follower.islower()
    if candidate["stop"][0] == "." and _is_abbreviation(text, start, here, goes_on or follower.isdigit()):
        return None
    if end - start < 12 and _ENUMERATOR.fullmatch(text, start, end):
        return None
    # "a nodule (metastasis?) in the left lobe"
    asks_in_brackets = candidate["stop"][0] in "?!？！" and any(sign in candidate["closers"] for sign in ")]")
    return None if goes_on or asks_in_brackets else cut


def _lacks_space(text: str, start: int, candidate: re.Match[str]) -> bool:
    """Whether a sentence ends although no space follows: "detected.Pleural", "없음.흉수"; not "3.5", not
    "e.g.".
    """
    before = text[max(candidate.start() - 2, start) : candidate.start()]
    follower = text[candidate.end() : candidate.end() + 2]
    if _is_hangul(before[-1:]):
        return _is_hangul(follower[0]) or (follower[0].isascii() and follower[0].isalpha())
    is_word = len(before) == 2 and before.isascii() and before.isalpha() and before.islower()
    return is_word and candidate["stop"] == "." and follower[0].isupper() and follower[1:].islower()


def _is_abbreviation(text: str, start: int, stop: int, goes_on: bool) -> bool:
    found = _WORD_BEFORE.search(text, max(start, stop - 8), stop)
    if found is None:
        return False
    word = found[0].lower()
    return bool(_ABBREVIATION.fullmatch(word) or (goes_on and _MAYBE_ABBREVIATION.fullmatch(word)))


def _is_wrapped(text: str, start: int, candidate: re.Match[str]) -> bool:
    """Whether this line break only wraps a long English line: a single one, and a small letter goes on."""
    follower = text[candidate.end() : candidate.end() + 1]
    before = text[max(start, candidate.start() - 1) : candidate.start()]
    breaks = candidate[0].replace("\r\n", "\n").strip(" \t")
    return (
        len(breaks) == 1
        and follower.isascii()
        and follower.islower()
        and candidate.start() - start >= 40
        and before not in (".", "!", "?", ":", ";")
    )


def _after_space(text: str, position: int) -> int:
    found = _SPACE.match(text, position)
    return found.end() if found else position


def _is_hangul(character: str) -> bool:
    return "가" <= character <= "힣"
