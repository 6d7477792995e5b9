"""From an attachment's bytes to the report's text: content type, charset, base64, HTML."""

import base64
import binascii
import re
from html import unescape

from pipeline.feeds.fields import Unusable
from pipeline.feeds.record import Reason

# Only these, so that a feed cannot name an arbitrary Python codec. Korean systems declare EUC-KR and write
# cp949, its superset (똠, 펲, …), as browsers know too; ASCII is read as its superset UTF-8.
CODECS = {
    "utf-8": "utf-8-sig", "utf8": "utf-8-sig", "us-ascii": "utf-8-sig", "ascii": "utf-8-sig",
    "euc-kr": "cp949", "cp949": "cp949", "ms949": "cp949", "uhc": "cp949", "windows-949": "cp949",
    "ks_c_5601-1987": "cp949", "ksc5601": "cp949",
    "iso-8859-1": "iso-8859-1", "latin1": "iso-8859-1", "windows-1252": "cp1252",
    "utf-16": "utf-16", "utf-16le": "utf-16-le", "utf-16be": "utf-16-be",
}  # fmt: skip

PLAIN = frozenset({"text/plain", "text/markdown"})
HTML = frozenset({"text/html", "application/xhtml+xml"})

_BLOCK_NAMES = """
address article aside blockquote br caption dd div dl dt footer h1 h2 h3 h4 h5 h6 header hr li main nav ol p
pre section table tr ul
"""
_BLOCKS = frozenset(_BLOCK_NAMES.split())
_CELLS = frozenset({"td", "th"})
_UNSEEN = ("head", "script", "style", "template", "title")
# Attributes may hold ">" in quotes; possessive, so that a tag that never ends is given up at once.
_TAG = re.compile(r"""<(?:(?P<closing>/?)(?P<name>[A-Za-z][A-Za-z0-9:]*+)|[!?])(?:"[^"<]*+"|'[^'<]*+'|[^<>])*+>""")
_SPACE = re.compile(r"[ \t\n\r\f]+")


def content_type(declared: str) -> tuple[str, str]:
    """("text/plain", "euc-kr") from "text/plain; charset=EUC-KR"; without a charset it is "utf-8"."""
    kind, *parameters = (part.strip().lower() for part in declared.split(";"))
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "charset":
            return kind, value.strip().strip("\"'")
    return kind, "utf-8"


def from_base64(data: str) -> bytes:
    """FHIR allows white space inside base64; nothing else beyond the alphabet is forgiven."""
    for space in " \t\r\n":
        data = data.replace(space, "")
    try:
        return base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise Unusable(Reason.BAD_BASE64) from None


def decoded(raw: bytes, charset: str) -> str:
    codec = CODECS.get(charset)
    if codec is None:
        raise Unusable(Reason.UNSUPPORTED_CHARSET)
    try:
        return raw.decode(codec)
    except UnicodeDecodeError:  # `from None`: the exception quotes the bytes
        reason = Reason.INVALID_UTF_8 if codec == "utf-8-sig" else Reason.INVALID_CHARSET
        raise Unusable(reason) from None


def stored(text: str, *, max_text_bytes: int) -> str:
    """The text as it is stored and as every later offset counts it: line ends are `\\n`, nothing else is
    touched.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if "\0" in text:
        raise Unusable(Reason.NUL_BYTE)  # PostgreSQL cannot hold it, and what has it is no text
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise Unusable(Reason.LONE_SURROGATE) from None
    if not text.strip():
        raise Unusable(Reason.EMPTY_TEXT)
    if size > max_text_bytes:
        raise Unusable(Reason.OVERSIZED_TEXT)
    return text


def from_html(html: str) -> str:
    """What a browser would show: blocks on lines of their own, white space as one space, but in `pre`.

    Written here because the standard library's `html.parser` takes two minutes for 100 KB of "<a <a <a" and
    raises on "<![a" (Python 3.11.7). Every pattern stops at the next "<", so the time is linear whatever is
    sent.
    """
    html = _without(html, re.compile("<!--"), re.compile("-->"))
    for name in _UNSEEN:
        html = _without(
            html,
            re.compile(rf"<{name}\b[^<>]*>", re.IGNORECASE),
            re.compile(rf"</{name}\b[^<>]*>", re.IGNORECASE),
        )
    parts: list[str] = []
    position = 0
    in_pre = False
    for tag in _TAG.finditer(html):
        parts.append(_shown(html[position : tag.start()], in_pre))
        position = tag.end()
        name = (tag["name"] or "").lower()
        if name in _BLOCKS:
            parts.append("\n")
        elif name in _CELLS:
            parts.append(" ")
        if name == "pre":
            in_pre = not tag["closing"]
    parts.append(_shown(html[position:], in_pre))
    lines = (line.strip(" ") for line in "".join(parts).split("\n"))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip("\n")


def _shown(source: str, in_pre: bool) -> str:
    return unescape(source if in_pre else _SPACE.sub(" ", source))


def _without(html: str, opening: re.Pattern[str], closing: re.Pattern[str]) -> str:
    """`html` without what stands between; an opening that nothing closes hides nothing."""
    kept: list[str] = []
    position = 0
    while (first := opening.search(html, position)) and (last := closing.search(html, first.end())):
        kept.append(html[position : first.start()])
        position = last.end()
    return "".join([*kept, html[position:]])
