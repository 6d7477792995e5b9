"""A text as a reader sees it: full-width digits, decomposed Hangul, exotic dashes and the invisible made plain."""

import unicodedata

# Invisible characters between digits or letters hide nothing from a reader, so they shall not from the guard.
_INVISIBLE = dict.fromkeys([0x00AD, 0x200B, 0x200C, 0x200D, 0x2060, 0xFEFF])
_DASHES = dict.fromkeys([0x2010, 0x2011, 0x2012, 0x2013, 0x2014, 0x2015, 0x2212, 0x301C], "-")
_TO_PLAIN = {**_INVISIBLE, **_DASHES, ord("\r"): "\n"}


def plain(text: str) -> str:
    """The text in NFKC, with plain dashes and line ends and nothing invisible."""
    if text.isascii():
        return text.replace("\r", "\n")
    return unicodedata.normalize("NFKC", text).translate(_TO_PLAIN)
