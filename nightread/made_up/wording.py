"""The shape of a tongue: how one style of report says that a finding is there, is not there, or is gone."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Region(StrEnum):
    """Where in a report a finding is spoken of."""

    MEDIASTINUM = "mediastinum"
    LUNG = "lung"
    PLEURA = "pleura"
    DEVICE = "device"


class Style(StrEnum):
    ENGLISH = "english"
    KOREAN = "korean"
    MIXED = "mixed"


@dataclass(frozen=True, slots=True)
class Wording:
    """One finding in one tongue. Entries are templates with slots such as {lobe}; see `Tongue.slots`.

    `nouns` are its bare names, for questions, lists and denials; `seen` are noun phrases as detailed as a radiologist
    gives them, for whatever was looked at, be it there still or gone; `place` says where. `present` and `absent` are
    sentences of the finding's own. `changed` (it was there before and is there now) and `gone` stand in for the
    tongue's common ones. The `later` ones are words that came into use after the earlier period.
    """

    region: Region
    nouns: tuple[str, ...]
    seen: tuple[str, ...]
    place: str = ""
    present: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    later_nouns: tuple[str, ...] = ()
    later_seen: tuple[str, ...] = ()
    doubtful: bool = False  # is it ever suspected or thought unlikely, rather than seen?
    resolves: bool = False  # does it ever go away again? Scars and calcifications do not.
    listed: bool = True  # can it stand in "No A, B or C."?


@dataclass(frozen=True, slots=True)
class Frames:
    """The sentences that any finding can stand in. {noun}, {seen}, {at}, {of} and {place} are the finding's;
    {date} is the former examination's. In `pair` the denied finding has {xnoun}, {xseen}, {xat}, {xof}.

    {list} holds phrases of findings that are there, {nouns} and {nouns_and} names of some that are not; {are} and
    {nouns_are} are their verbs.
    """

    present: tuple[str, ...] = ()
    partial: tuple[str, ...] = ()  # here, and nowhere else
    suspected: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()  # was there before and is there now
    lessened: tuple[str, ...] = ()  # the same, of what can resolve
    confirmed: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    unlikely: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    unconfirmed: tuple[str, ...] = ()
    pair: tuple[str, ...] = ()  # one is there, the other is not
    pair_changed: tuple[str, ...] = ()  # one is still there, the other has gone
    present_list: tuple[str, ...] = ()
    mixed_list: tuple[str, ...] = ()  # some are there, others are not
    absent_list: tuple[str, ...] = ()
    summary: tuple[str, ...] = ()  # what the impression says
    summary_suspected: tuple[str, ...] = ()
    summary_changed: tuple[str, ...] = ()
    summary_gone: tuple[str, ...] = ()
    summary_absent: tuple[str, ...] = ()
    asked: tuple[str, ...] = ()  # what the indication asks: states nothing
    quoted: tuple[str, ...] = ()  # what a former report said: states nothing
    advised: tuple[str, ...] = ()  # what to do if it should come: states nothing


@dataclass(frozen=True, slots=True)
class Tongue:
    """One style of report: English, Korean, or what Korean radiologists write between the two.

    `at` and `of` turn a place into "in the RUL" and "of the RUL". `alone` says for each region that a finding is
    the only one in it. `check` are a finding's name with a yes, with a no, and what stands between.
    """

    findings: Mapping[str, Wording]
    slots: Mapping[str, tuple[str, ...]]
    frames: Frames
    later: Frames
    at: str
    of: str
    item: str  # what stands in {list}
    joiner: tuple[str, ...]  # before the last of {list} and {nouns_and}
    joiner_absent: tuple[str, ...]  # before the last of {nouns}
    check: tuple[str, str, str]
    alone: Mapping[Region, tuple[str, ...]]
    normal: Mapping[Region, tuple[str, ...]]
    incidental: tuple[str, ...]
    indications: tuple[str, ...]
    nothing: tuple[str, ...]
    no_prior: tuple[str, ...]
    prior: tuple[str, ...]
    addendum: str
    found: str  # an addendum that adds {said}
    corrected: str  # what a corrected report says of itself
    later_incidental: tuple[str, ...] = ()
    later_indications: tuple[str, ...] = ()


class Noun(str):
    """A noun phrase that takes what its place in a sentence asks for.

    Korean particles: {noun:은}, {noun:이}, {noun:을}, {noun:과}, {noun:으로}. English articles: {noun:a} is the phrase
    as the table has it, {noun:the} has the definite article, and {noun} none.
    """

    __slots__ = ()
    PARTICLES = {"은": "는", "이": "가", "을": "를", "과": "와", "으로": "로"}  # noqa: RUF012 - a table, never changed

    def __format__(self, wanted: str) -> str:
        if wanted == "a":
            return str(self)
        bare = re.sub(r"^(?:an?|the) ", "", self)
        if not wanted:
            return bare
        if wanted == "the":
            return f"the {bare}"
        return bare + (wanted if self._ends_in_consonant(wanted) else self.PARTICLES[wanted])

    def is_plural(self) -> bool:
        """Whether an English phrase takes a plural verb: by the last word of its head."""
        head = re.split(r" (?:of|with|up to|in|measuring|along|above|from) |,| \(", self)[0]
        return re.search(r"(?:[^isu]s|septa|sequelae|bullae)$", head) is not None

    def _ends_in_consonant(self, particle: str) -> bool:
        last = re.sub(r"[)\]\"” ]+$", "", self)[-1:]
        if "가" <= last <= "힣":
            final = (ord(last) - ord("가")) % 28
            return final != 0 and not (particle == "으로" and final == 8)  # after ㄹ: 음영으로, but 결절로
        # An English word as Koreans pronounce it: 노듈은, 이퓨전은, 칼시피케이션은; 지지오는, 아텔렉타시스는.
        # An abbreviation as its last letter: LN은 (엔).
        ends = r"(?:[nmNM]|ng|[nm]e)$" if particle == "으로" else r"(?:[nmlNMLR]|ng|[nml]e)$"
        return re.search(ends, self) is not None


# What has happened since is told in the past tense.
_CHANGES = (
    ("소실됨.", "소실되었습니다."),
    ("제거됨.", "제거되었습니다."),
    ("remove됨.", "remove되었습니다."),
    ("resolve됨.", "resolve되었습니다."),
    ("increase됨.", "increase되었습니다."),
    ("증가함.", "증가하였습니다."),
    ("없어짐.", "없어졌습니다."),
)


def polite(sentence: str) -> str:
    """A Korean sentence that ends in a noun form (있음, 관찰됨) as some hospitals write it: 있습니다, 관찰됩니다."""
    for noun, verb in _CHANGES:
        if sentence.endswith(noun):
            return sentence.removesuffix(noun) + verb
    found = re.search(r"([음임됨함짐남님])\.$", sentence)
    if found is None:
        return sentence
    if found[1] == "음":
        return sentence[:-2] + "습니다."
    return sentence[:-2] + chr(ord(found[1]) + 1) + "니다."  # the next final consonant after ㅁ is ㅂ
