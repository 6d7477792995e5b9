"""The shape of a tongue: how one style of report says that a finding is there, is not there, or is gone."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class Region(StrEnum):
    """Where in a report a finding is spoken of; in the order of the report."""

    MEDIASTINUM = "mediastinum"
    LUNG = "lung"
    PLEURA = "pleura"
    DEVICE = "device"


@dataclass(frozen=True, slots=True)
class Wording:
    """One finding in one tongue. Entries are templates with slots such as {lobe}; see `Tongue.slots`.

    `nouns` go into the tongue's common sentences, `where` beside them. `present`, `absent` and `gone` are
    sentences of the finding's own; `summary` is what the impression says.
    """

    region: Region
    nouns: tuple[str, ...]
    present: tuple[str, ...]
    summary: tuple[str, ...]
    absent: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    where: str = ""
    doubtful: bool = False  # is it ever suspected or thought unlikely, rather than seen?
    lasting: bool = False  # is it followed from one examination to the next?
    listed: bool = True  # can it stand in "No A, B or C."?


class Layout(Protocol):
    """Puts indication, findings (by region), and impression together, with headings, lists and line breaks."""

    def __call__(self, indication: str, findings: list[list[str]], impression: list[str]) -> str: ...


@dataclass(frozen=True, slots=True)
class Tongue:
    """One style of report: English, Korean, or what Korean radiologists write between the two.

    `contrasts` turns the end of a positive sentence into the first half of "A, but no B": (ending,
    replacement).
    """

    findings: Mapping[str, Wording]
    slots: Mapping[str, tuple[str, ...]]
    absent: tuple[str, ...]
    absent_list: tuple[str, ...]
    last_joiner: tuple[str, ...]
    suspected: tuple[str, ...]
    unlikely: tuple[str, ...]
    stable: tuple[str, ...]
    gone: tuple[str, ...]
    contrasts: tuple[tuple[str, str], ...]
    contrast_ends: tuple[str, ...]
    normal: Mapping[Region, tuple[str, ...]]
    incidental: tuple[str, ...]
    indications: tuple[str, ...]
    nothing: tuple[str, ...]
    addendum: str
    layouts: tuple[Layout, ...]


class Noun(str):
    """A word that takes its Korean particle in a template: {noun:은}, {noun:이}, {noun:을}, {noun:과}."""

    __slots__ = ()
    PARTICLES = {"은": "는", "이": "가", "을": "를", "과": "와"}  # noqa: RUF012 - a table, never changed

    def __format__(self, particle: str) -> str:
        if not particle:
            return str(self)
        return str(self) + (particle if self._ends_in_consonant() else self.PARTICLES[particle])

    def _ends_in_consonant(self) -> bool:
        last = self[-1]
        if "가" <= last <= "힣":
            return (ord(last) - ord("가")) % 28 != 0
        # An English word as Koreans pronounce it: 노듈은, 이퓨전은, 칼시피케이션은; 지지오는, 아텔렉타시스는.
        # An abbreviation as its last letter: LN은 (엔).
        return re.search(r"(?:[nmlNMLR]|ng|[nml]e)$", self) is not None
