"""How one report is written: its sentences, and what each of them states.

No word alone gives a label away. The same detailed phrase ("a 6 mm solid nodule in the right upper lobe") is what is
there, what has gone since and what was only an artefact; a finding that is there is denied elsewhere in the same
breath ("but no nodule elsewhere"); one sentence affirms one finding and denies another, in either order; and thyroid
nodules, splenic calcifications, subcutaneous emphysema are none of the findings.
"""

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from nightread.made_up.hospitals import Habits
from nightread.made_up.wording import Noun, Region, Style, Tongue, Wording, polite

# In the later period: findings that go by new words, sentences of a new kind.
LATER_WORDS, LATER_FRAMES = 0.5, 0.25

# How often a finding that is there, or is not, is told in which way; only ways that fit it are drawn from.
TOLD = {"own": 3, "present": 12, "partial": 2, "suspected": 2, "changed": 3, "lessened": 1, "confirmed": 1}
DENIED = {"own": 5, "absent": 16, "unlikely": 2, "gone": 3, "unconfirmed": 1}

_SPACES = re.compile(" {2,}")


@dataclass(frozen=True, slots=True)
class Statement:
    """A sentence of a report and what it says of the findings: True, it is there; False, it is not."""

    text: str
    says: Mapping[str, bool]


@dataclass(frozen=True, slots=True)
class Manner:
    """How a report is written: its tongue, its hospital's habits, its time."""

    tongue: Tongue
    style: Style
    habits: Habits
    later: bool
    today: date


class Mention:
    """One finding in one report. What is seen, and where, is the same from the indication to the impression."""

    def __init__(self, rng: random.Random, name: str, wording: Wording, label: bool, slots: "Slots") -> None:
        self.name, self.wording, self.label, self.slots = name, wording, label, slots
        later = slots.manner.later and rng.random() < LATER_WORDS
        self._rng = rng
        self._nouns = wording.later_nouns if later and wording.later_nouns else wording.nouns
        seen = wording.later_seen if later and wording.later_seen else wording.seen
        self.seen = Noun(rng.choice(seen).format_map(slots))
        self.place = wording.place.format_map(slots)
        self.way = ""  # how the findings tell of it
        self.former = False  # whether the report has named it as a former or doubted finding

    def noun(self) -> Noun:
        return Noun(self._rng.choice(self._nouns).format_map(self.slots))

    def fields(self, tongue: Tongue) -> dict[str, str]:
        plural = self.seen.is_plural()
        return {
            "noun": self.noun(),
            "seen": self.seen,
            "place": self.place,
            "at": tongue.at.format(self.place) if self.place else "",
            "of": tongue.of.format(self.place) if self.place else "",
            "is": "are" if plural else "is",
            "has": "have" if plural else "has",
        }


class Slots(dict[str, str]):
    """Fills {slots} with the tongue's choices and the hospital's measures, the same ones whenever asked again."""

    SIZES: Mapping[str, tuple[int, int]] = {
        "size": (3, 12),
        "big": (11, 42),
        "larger": (8, 14),
        "node": (11, 24),
        "small_node": (4, 9),
        "ten": (10, 10),
        "aortic_width": (27, 36),
    }
    RATIOS: Mapping[str, tuple[str, ...]] = {"ctr": ("54", "56", "58", "61"), "ctr_normal": ("44", "46", "48", "49")}

    def __init__(self, rng: random.Random, manner: Manner) -> None:
        super().__init__()
        self.manner = manner
        self._rng = rng

    def __missing__(self, slot: str) -> str:
        if slot in self.SIZES:
            self[slot] = self._measure(self._rng.randint(*self.SIZES[slot]))
        elif slot in self.RATIOS:
            self[slot] = self._rng.choice(self.RATIOS[slot])
        else:
            habits, style = self.manner.habits, self.manner.style
            self[slot] = self._rng.choice(habits.slots.get(style, {}).get(slot) or self.manner.tongue.slots[slot])
        return self[slot]

    def _measure(self, millimetres: int) -> str:
        number, unit = (f"{millimetres}", "mm") if self.manner.habits.millimetres else (f"{millimetres / 10:.1f}", "cm")
        return f"{number} {unit}" if self.manner.style in self.manner.habits.spaced else number + unit


class Writer:
    """Writes one report's sentences and keeps what they state."""

    def __init__(self, rng: random.Random, manner: Manner) -> None:
        self.rng, self.manner, self.tongue, self.habits = rng, manner, manner.tongue, manner.habits
        self.statements: list[Statement] = []
        self._polite = manner.style is not Style.ENGLISH and rng.random() < manner.habits.polite
        self.compared = rng.random() < manner.habits.compared
        days_ago = rng.randint(20, 900)
        former = date.fromordinal(manner.today.toordinal() - days_ago)
        self._dates = {"date": former.strftime(manner.habits.date), "year": str(former.year - rng.randint(0, 6))}

    def template(self, kind: str) -> str:
        """One of the tongue's templates of that kind, a field of `Frames`; perhaps one of the later period's."""
        later: tuple[str, ...] = getattr(self.tongue.later, kind)
        common: tuple[str, ...] = getattr(self.tongue.frames, kind)
        return self.rng.choice(later if later and self.manner.later and self.rng.random() < LATER_FRAMES else common)

    def fill(self, template: str, mention: Mention | None = None, other: Mention | None = None, **rest: str) -> str:
        slots: dict[str, str] = Slots(self.rng, self.manner) if mention is None else mention.slots
        slots.update(self._dates)
        slots.update(rest)
        if mention is not None:
            slots.update(mention.fields(self.tongue))
        if other is not None:
            slots.update({f"x{name}": value for name, value in other.fields(self.tongue).items()})
        text = template.format_map(slots)
        return _capital(_tidy(text))

    def say(self, text: str, *there: Mention, absent: Sequence[Mention] = ()) -> str:
        """The sentence as it goes into the report; what it states is kept."""
        text = polite(text) if self._polite else text
        self.statements.append(
            Statement(text, {**{one.name: False for one in absent}, **{one.name: True for one in there}})
        )
        return text

    def plain(self, template: str) -> str:
        return self.say(self.fill(template))

    def present(self, mention: Mention) -> str:
        own = mention.wording.present
        ways = {
            "own": bool(own) and not mention.former,
            "present": not mention.former and mention.wording.listed,
            "partial": bool(mention.place) and mention.wording.listed,
            "suspected": mention.wording.doubtful,
            "changed": self.compared,
            "lessened": self.compared and mention.wording.resolves and mention.wording.listed,
            "confirmed": self.compared and mention.wording.listed,
        }
        mention.way = self._way(TOLD, ways)
        if mention.way == "own":
            template = self.rng.choice(own)
        elif mention.way == "changed" and mention.wording.changed:
            template = self.rng.choice(mention.wording.changed)
        elif mention.way == "present" and not mention.place:
            template = self.rng.choice(self.tongue.frames.present)  # the heart is nothing that software would mark
        else:
            template = self.template(mention.way)
        return self.say(self.fill(template, mention), mention)

    def absent(self, mention: Mention) -> str:
        wording = mention.wording
        ways = {
            "own": bool(wording.absent) and not mention.former,
            "absent": wording.listed and not mention.former,
            "unlikely": wording.doubtful and not mention.former,
            "gone": wording.resolves and self.compared,
            "unconfirmed": wording.listed and self.compared,
        }
        mention.way = self._way(DENIED, ways)
        if mention.way == "own":
            template = self.rng.choice(wording.absent)
        elif mention.way == "gone" and wording.gone:
            template = self.rng.choice(wording.gone)
        else:
            template = self.template(mention.way)
        return self.say(self.fill(template, mention), absent=[mention])

    def _way(self, weights: Mapping[str, int], fitting: Mapping[str, bool]) -> str:
        fit = [way for way in weights if fitting[way]]
        return self.rng.choices(fit, [weights[way] for way in fit])[0]

    def pair(self, mention: Mention, other: Mention) -> str:
        """One sentence that affirms `mention` and denies `other`."""
        changed = self.compared and other.wording.resolves and mention.wording.resolves and self.rng.random() < 0.6
        if not changed and mention.wording.region is not Region.LUNG:
            return self.together([mention], [other])  # nobody writes "a hiatal hernia without cardiomegaly"
        mention.way, other.way = ("changed", "gone") if changed else ("present", "absent")
        template = self.template("pair_changed" if changed else "pair")
        return self.say(self.fill(template, mention, other), mention, absent=[other])

    def together(self, there: Sequence[Mention], absent: Sequence[Mention]) -> str:
        """One sentence on several findings that are there, several that are not, or both."""
        for one in there:
            one.way = "present"
        for one in absent:
            one.way = "absent"
        kind = "mixed_list" if there and absent else "present_list" if there else "absent_list"
        phrases = [self.tongue.item.format_map(one.fields(self.tongue)).strip() for one in there]
        names = [f"{one.noun()}" for one in absent]
        text = self.fill(
            self.template(kind),
            list=Noun(_joined(phrases, self.rng.choice(self.tongue.joiner))),
            nouns=Noun(_joined(names, self.rng.choice(self.tongue.joiner_absent))),
            nouns_and=Noun(_joined(names, self.rng.choice(self.tongue.joiner))),
            are="are" if len(there) > 1 or any(one.seen.is_plural() for one in there) else "is",
            nouns_are="are" if len(absent) > 1 else "is",
        )
        return self.say(text, *there, absent=absent)

    def checklist(self, mentions: Sequence[Mention]) -> str:
        yes, no, between = self.tongue.check
        items = []
        for one in mentions:
            one.way = "present" if one.label else "absent"
            items.append((yes if one.label else no).format(f"{one.noun()}"))
        text = _capital(between.join(items)) + "."
        return self.say(
            text, *(one for one in mentions if one.label), absent=[one for one in mentions if not one.label]
        )


def state(rng: random.Random, manner: Manner, name: str, *, there: bool) -> Statement:
    """One plain sentence that says that a finding is there, or is not."""
    writer = Writer(rng, manner)
    wording = manner.tongue.findings[name]
    mention = Mention(rng, name, wording, there, Slots(rng, manner))
    if wording.listed:
        template = writer.template("present" if there else "absent")
    else:
        template = rng.choice(wording.present if there else wording.absent)
    return Statement(writer.fill(template, mention), {name: there})


def _tidy(text: str) -> str:
    """Without what a finding that has no place leaves behind: "X, ." and "X, , Y", "( X"."""
    text = re.sub(r"\s+([.,;)])", r"\1", text.strip())
    text = re.sub(r",+(?=[.;,)]|$)", "", text)
    return re.sub(r"\(\s+", "(", _SPACES.sub(" ", text)).strip(", ")


def _joined(phrases: Sequence[str], joiner: str) -> str:
    return joiner.join(filter(None, (", ".join(phrases[:-1]), phrases[-1]))) if phrases else ""


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
