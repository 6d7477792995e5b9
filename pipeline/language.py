"""Which language a report is written in, by its letters."""

import re

HANGUL = re.compile(r"[\u1100-\u11ff\u3130-\u318f\uac00-\ud7a3]+")
LATIN = re.compile(r"[A-Za-z]+")
# English reports hold no Hangul at all, Korean ones a few Latin abbreviations (CT, HU); what lies between
# is the code-mixed style of Korean radiologists.
MOSTLY, HARDLY = 0.9, 0.02


def language(text: str) -> str:
    """`ko`, `en` or `mixed`; a text without letters of either counts as `en`."""
    korean = 0 if text.isascii() else sum(map(len, HANGUL.findall(text)))
    if korean == 0:
        return "en"
    share = korean / (korean + sum(map(len, LATIN.findall(text))))
    if share >= MOSTLY:
        return "ko"
    return "en" if share <= HARDLY else "mixed"
