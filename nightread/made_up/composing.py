"""From labels to a report's text: what is said of each finding, in which order, in which layout.

The rule for uncertain words: what a report suspects ("suspected", "probable", "likely", "의심", "가능성 있음",
"R/O" in findings or impression) is positive; what it thinks unlikely, calls an artefact or says has
resolved is negative. What was asked ("Fever, rule out pneumonia.") states nothing.

No word alone gives a label away: findings are negated by name, one sentence affirms one finding and denies
another ("consolidation in the RLL, without pleural effusion"), affirmations hold "without" and "no change",
and thyroid nodules, splenic calcifications and oesophageal wall thickening are none of the findings.
"""

import random
import re
from collections.abc import Iterator, Mapping, Sequence

from nightread.made_up.wording import Noun, Region, Tongue, Wording

SUSPECTED = 0.12
STABLE = 0.12
CONTRAST = 0.25
SAID_ABSENT = 0.72
LISTED_ABSENT = 0.45
GONE = 0.1
UNLIKELY = 0.1
SUMMARISED = 0.65

_SPACES = re.compile(" {2,}")
_SLOT = re.compile(r"\{(\w+)")


class _Slots(dict[str, str]):
    """Fills a template's {slots} with the tongue's choices, the same ones whenever asked again.

    A finding keeps its slots for the whole report, so that its impression names the lobe of its findings.
    {Slot} begins in upper case.
    """

    def __init__(self, rng: random.Random, tongue: Tongue) -> None:
        super().__init__()
        self._rng = rng
        self._tongue = tongue

    def __missing__(self, slot: str) -> str:
        lower = slot[0].lower() + slot[1:]
        if slot == lower:
            self[slot] = self._rng.choice(self._tongue.slots[slot])
            return self[slot]
        value = self[lower]
        return Noun(_capital(value)) if isinstance(value, Noun) else _capital(value)


class _Writer:
    """Writes one report's sentences."""

    def __init__(self, rng: random.Random, tongue: Tongue) -> None:
        self.tongue = tongue
        self._rng = rng
        self._slots: dict[str, _Slots] = {}

    def fill(self, templates: Sequence[str], wording: Wording | None = None, **nouns: str) -> str:
        """One of the templates, as a sentence; with the slots that `wording` has in this report."""
        slots = self._slots_of(wording)
        slots.update((name, Noun(noun)) for name, noun in nouns.items())
        template = self._rng.choice(templates)
        if wording is not None:
            slots["noun"] = Noun(self._rng.choice(wording.nouns))
            if "{where}" in template:
                slots["where"] = wording.where.format_map(slots)
        return _SPACES.sub(" ", template.format_map(slots)).strip().replace(" .", ".")

    def sentence(self, templates: Sequence[str], wording: Wording | None = None, **nouns: str) -> str:
        return _capital(self.fill(templates, wording, **nouns))

    def summary(self, wording: Wording) -> str:
        """What the impression says: nothing that the findings have not said."""
        known = self._slots_of(wording).keys()
        said = [one for one in wording.summary if {slot.lower() for slot in _SLOT.findall(one)} <= known]
        return self.sentence(said or wording.summary, wording)

    def _slots_of(self, wording: Wording | None) -> _Slots:
        if wording is None:
            return _Slots(self._rng, self.tongue)
        return self._slots.setdefault(wording.nouns[0], _Slots(self._rng, self.tongue))

    def present(self, wording: Wording, beside: Wording | None) -> str:
        """A sentence that affirms `wording`; it denies `beside` too, if there is one."""
        chance = self._rng.random()
        if wording.doubtful and chance < SUSPECTED:
            return self.sentence(self.tongue.suspected, wording)
        if wording.lasting and chance > 1 - STABLE:
            return self.sentence(self.tongue.stable, wording)
        sentence = self.sentence(wording.present, wording)
        if beside is None:
            return sentence
        for ending, half in self.tongue.contrasts:
            # "without A, but no B" is no English, and "A 없이 관찰되나 B 없음" no Korean
            if sentence.endswith(ending) and not re.search("without|없이", sentence):
                end = self.fill(self.tongue.contrast_ends, beside)
                return sentence.removesuffix(ending) + half + ("" if end.startswith(",") else " ") + end
        return f"{sentence} {self.absent(beside)}"

    def absent(self, wording: Wording) -> str:
        """A sentence that denies a finding, or says that it has gone or is unlikely."""
        chance = self._rng.random()
        if chance < GONE and (wording.gone or wording.doubtful):
            return self.sentence(wording.gone or self.tongue.gone, wording)
        if chance < GONE + UNLIKELY and wording.doubtful:
            return self.sentence(self.tongue.unlikely, wording)
        own = chance > 0.5 or not wording.listed
        return self.sentence(wording.absent if own and wording.absent else self.tongue.absent, wording)

    def none_of(self, wordings: Sequence[Wording]) -> str:
        """One sentence that denies several findings."""
        *first, last = (self._rng.choice(wording.nouns) for wording in wordings)
        joined = ", ".join(first) + self._rng.choice(self.tongue.last_joiner) + last
        return self.sentence(self.tongue.absent_list, nouns=joined)


def compose(rng: random.Random, tongue: Tongue, labels: Mapping[str, int]) -> str:
    """A report that states exactly the labels that are 1; everything else it denies or leaves unsaid."""
    writer = _Writer(rng, tongue)
    findings = [list(_region(rng, writer, region, labels)) for region in Region]
    findings[-1] += [writer.sentence([one]) for one in rng.sample(tongue.incidental, rng.choice((0, 0, 1, 1, 2)))]
    layout = rng.choice(tongue.layouts)
    return layout(rng.choice(tongue.indications), findings, _impression(rng, writer, labels))


def _region(rng: random.Random, writer: _Writer, region: Region, labels: Mapping[str, int]) -> Iterator[str]:
    tongue = writer.tongue
    here = [(wording, labels[name]) for name, wording in tongue.findings.items() if wording.region is region]
    rng.shuffle(here)
    denied = [wording for wording, label in here if not label and rng.random() < SAID_ABSENT]
    normal = tongue.normal[region]
    sentences = [writer.sentence([one]) for one in rng.sample(normal, rng.randint(0, min(2, len(normal))))]
    for wording, label in here:
        if label:
            beside = denied.pop() if denied and denied[-1].listed and rng.random() < CONTRAST else None
            sentences.append(writer.present(wording, beside))
    listed = [wording for wording in denied if wording.listed]
    if len(listed) > 1 and rng.random() < LISTED_ABSENT:
        together = listed[: rng.randint(2, 4)]
        sentences.append(writer.none_of(together))
        denied = [wording for wording in denied if wording not in together]
    sentences += [writer.absent(wording) for wording in denied]
    rng.shuffle(sentences)
    yield from sentences


def _impression(rng: random.Random, writer: _Writer, labels: Mapping[str, int]) -> list[str]:
    tongue = writer.tongue
    positive = [wording for name, wording in tongue.findings.items() if labels[name]]
    if not positive:
        return [rng.choice(tongue.nothing)]
    summarised = [wording for wording in positive if rng.random() < SUMMARISED] or positive[:1]
    lines = [writer.summary(wording) for wording in summarised]
    unsaid = [wording for name, wording in tongue.findings.items() if not labels[name] and wording.listed]
    if unsaid and rng.random() < 0.3:
        lines.append(writer.absent(rng.choice(unsaid)))
    return lines


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
