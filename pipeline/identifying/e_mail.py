"""E-mail addresses: with a dotted domain, also 홍길동@naver.com, or written "(at)" and "[dot]" or torn by blanks."""

import re

from pipeline.identifying.seen import Seen, Sought, either, small_like, words

_LOCAL = r"[A-Za-z0-9_%+][A-Za-z0-9._%+'-]{0,63}"
# Lengths from RFC 5321. The lookbehind lets the local part start nowhere but at its start: linear time. A top level in
# title case is the next sentence ("HU@120kVp.Normal").
_USUAL = re.compile(
    r"(?:(?<![A-Za-z0-9._%+'-])" + _LOCAL + r"|[가-힣])@"
    r"[A-Za-z0-9가-힣](?:[A-Za-z0-9가-힣-]{0,62}\.){1,8}(?:[a-z]{2,24}|[A-Z]{2,24}|한국)(?![A-Za-z])"
)
_AT = r"(?: {0,2}@ {0,2}| ?[\[(] ?(?:at|@) ?[\])] ?| at )"
_DOT = r"(?: ?\. ?| ?[\[(] ?dot ?[\])] ?| dot )"
_SPELT = re.compile(
    r"(?<![A-Za-z0-9._%+'-])" + _LOCAL + _AT + r"[A-Za-z0-9-]{1,63}"
    r"(?:" + _DOT + r"[A-Za-z0-9-]{1,63}){0,3}" + _DOT + r"(?:com|net|org|edu|gov|kr|uk|jp|cn|us|de)(?![A-Za-z])",
    re.IGNORECASE,
)
_SIGN = Sought(
    re.compile(r"@|[\[(] ?at ?[\])]| dot ", re.IGNORECASE),
    either(words("@", " dot "), small_like(r"\( ?at ?[\])]"), small_like(r"\[ ?at ?[\])]")),
)


def found_in(seen: Seen) -> bool:
    return _SIGN.is_in(seen) and any(pattern.search(seen.text) for pattern in (_USUAL, _SPELT))
