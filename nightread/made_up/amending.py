"""What an amendment changes: nothing, a finding that had been missed, or one that is taken back."""

import random
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

from nightread.made_up.writing import Manner, Statement, state


class Change(StrEnum):
    ADDENDUM = "addendum"
    FOUND = "found"
    TAKEN_BACK = "taken-back"


class Amended(NamedTuple):
    text: str
    statements: tuple[Statement, ...]
    labels: Mapping[str, int]


def amend(
    rng: random.Random, manner: Manner, change: Change, text: str, said: Sequence[Statement], labels: Mapping[str, int]
) -> Amended:
    """The report after an addendum that changes nothing, after one that adds a finding, or corrected throughout.

    Where no finding can be taken back, because each shares a sentence with another or none is there, one is found.
    """
    if change is Change.ADDENDUM:
        return Amended(f"{text}\n\n{manner.tongue.addendum}", tuple(said), labels)
    if change is Change.TAKEN_BACK and (alone := _told_alone(text, said, labels)):
        return _taken_back(rng, manner, rng.choice(alone), text, said, labels)
    name = rng.choice([name for name, label in labels.items() if not label])
    found = state(rng, manner, name, there=True)
    addendum = manner.tongue.found.format(said=found.text)
    return Amended(f"{text}\n\n{addendum}", (*said, found), {**labels, name: 1})


def _told_alone(text: str, said: Sequence[Statement], labels: Mapping[str, int]) -> list[str]:
    """The findings that no sentence tells of together with others, so that its sentences can be replaced."""
    return [
        name
        for name, label in labels.items()
        if label and all(len(one.says) == 1 and text.count(one.text) == 1 for one in said if one.says.get(name))
    ]


def _taken_back(
    rng: random.Random, manner: Manner, name: str, text: str, said: Sequence[Statement], labels: Mapping[str, int]
) -> Amended:
    corrected: list[Statement] = []
    for one in said:
        corrected.append(state(rng, manner, name, there=False) if one.says.get(name) else one)
        text = text.replace(one.text, corrected[-1].text)
    return Amended(f"{manner.tongue.corrected}\n{text}", tuple(corrected), {**labels, name: 0})
