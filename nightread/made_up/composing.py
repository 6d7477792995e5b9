"""From labels to a report's text: what is said of each finding, in which order, in which layout.

The rule for uncertain words: what a report suspects ("suspected", "probable", "cannot be excluded", "의심",
"가능성 있음", "R/O" in findings or impression) is positive; what it thinks unlikely, calls an artefact, does not
confirm or says has resolved is negative. What was asked ("Fever, rule out pneumonia."), what a former report said, and
what to do if something should come state nothing.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nightread.made_up.hospitals import Layout
from nightread.made_up.wording import Region
from nightread.made_up.writing import Manner, Mention, Slots, Statement, Writer

ASKED = 0.6  # reports whose indication names a finding
QUOTED = 0.35  # reports with a former examination that repeat what it showed
ALONE = 0.3  # of regions with one finding
PAIRED = 0.3  # findings that are denied another in the same sentence, where there is one
TOGETHER = 0.25  # findings told in one sentence with others
SUMMARISED = 0.65
ANSWERED = 0.6
GONE_SUMMARISED = 0.4
ADVISED = 0.3
# What the impression says of a finding that the findings tell of in this way.
SUMMARY = {"suspected": "summary_suspected", "changed": "summary_changed", "lessened": "summary_changed"}


@dataclass(frozen=True, slots=True)
class Composed:
    text: str
    statements: tuple[Statement, ...]


def compose(rng: random.Random, manner: Manner, labels: Mapping[str, int]) -> Composed:
    """A report that states exactly the labels that are 1; everything else it denies or leaves unsaid."""
    writer = Writer(rng, manner)
    mentions = {
        name: Mention(rng, name, wording, bool(labels[name]), Slots(rng, manner))
        for name, wording in manner.tongue.findings.items()
    }
    asked = _asked(rng, list(mentions.values()))
    indication = _indication(writer, asked)
    comparison = _comparison(writer, list(mentions.values()))
    findings = {region: _region(writer, region, list(mentions.values()), asked) for region in manner.habits.order}
    incidental = (*manner.tongue.incidental, *(manner.tongue.later_incidental * 3 if manner.later else ()))
    findings[Region.DEVICE] += [writer.plain(one) for one in rng.sample(incidental, rng.choice((0, 1, 1, 2, 3)))]
    impression = _impression(writer, list(mentions.values()), asked)
    layout = rng.choice(manner.habits.layouts[manner.style])
    return Composed(_lay_out(layout, indication, comparison, findings, impression), tuple(writer.statements))


def _asked(rng: random.Random, mentions: Sequence[Mention]) -> Mention | None:
    """Who is asked after: more often what is not there than what is, or else asking would answer."""
    if rng.random() > ASKED:
        return None
    absent = [one for one in mentions if not one.label and one.wording.listed]
    there = [one for one in mentions if one.label and one.wording.listed]
    return rng.choice(there if there and rng.random() < 0.35 else absent)


def _indication(writer: Writer, asked: Mention | None) -> str:
    if asked is None:
        later = writer.tongue.later_indications if writer.manner.later and writer.rng.random() < 0.5 else ()
        return writer.fill(writer.rng.choice(later or writer.tongue.indications))
    template = writer.template("asked")
    if "{seen}" in template:
        if not writer.compared:  # nothing can be followed up that was never seen
            template = writer.tongue.frames.asked[0]
        asked.former = writer.compared
    return writer.fill(template, asked)


def _comparison(writer: Writer, mentions: Sequence[Mention]) -> str:
    if not writer.compared:
        return writer.rng.choice(writer.tongue.no_prior)
    if writer.rng.random() > QUOTED:
        return writer.fill(writer.rng.choice(writer.tongue.prior))
    # Only what can be told now of a former finding: what is still there, has gone, or is not confirmed.
    quoted = writer.rng.choice([one for one in mentions if one.wording.listed])
    quoted.former = True
    return writer.fill(writer.template("quoted"), quoted)


def _region(writer: Writer, region: Region, mentions: Sequence[Mention], asked: Mention | None) -> list[str]:
    rng, habits, tongue = writer.rng, writer.habits, writer.tongue
    here = [one for one in mentions if one.wording.region is region]
    rng.shuffle(here)
    there = [one for one in here if one.label]
    absent = [
        one for one in here if not one.label and (one.former or one is asked or rng.random() < habits.said_absent)
    ]
    sentences = [writer.plain(one) for one in rng.sample(tongue.normal[region], rng.randint(*habits.normal))]
    if len(there) == 1 and tongue.alone[region] and rng.random() < ALONE:
        one = there.pop()
        one.way = "present"
        sentences.append(writer.say(writer.fill(rng.choice(tongue.alone[region]), one), one))
    elif rng.random() < habits.checklist:
        ticked = [one for one in here if one.wording.listed and not one.former and (one in there or one in absent)][:5]
        if len(ticked) > 2:
            sentences.append(writer.checklist(ticked))
            there = [one for one in there if one not in ticked]
            absent = [one for one in absent if one not in ticked]
    while there:
        sentence, told, denied = _next_sentence(writer, there, absent)
        sentences.append(sentence)
        there = [one for one in there if one not in told]
        absent = [one for one in absent if one not in denied]
    listed = [one for one in absent if one.wording.listed and not one.former]
    if len(listed) > 1 and rng.random() < habits.listed:
        listed = listed[: rng.randint(2, 4)]
        sentences.append(writer.together((), listed))
        absent = [one for one in absent if one not in listed]
    sentences += [writer.absent(one) for one in absent]
    rng.shuffle(sentences)
    return sentences


def _next_sentence(
    writer: Writer, there: Sequence[Mention], absent: Sequence[Mention]
) -> tuple[str, Sequence[Mention], Sequence[Mention]]:
    """A sentence on one or more findings that are there; with those that it affirms and those that it denies."""
    rng = writer.rng
    new = [one for one in there if not one.former]
    deniable = [one for one in absent if one.wording.listed and not one.former]
    if len(new) > 1 and rng.random() < TOGETHER:
        told, denied = new[:3], deniable[: rng.choice((0, 0, 1, 2))]
        return writer.together(told, denied), told, denied
    one = there[-1]
    if absent and rng.random() < PAIRED and absent[-1] in deniable and not one.former:
        return writer.pair(one, absent[-1]), [one], [absent[-1]]
    return writer.present(one), [one], []


def _impression(writer: Writer, mentions: Sequence[Mention], asked: Mention | None) -> list[str]:
    rng = writer.rng
    there = [one for one in mentions if one.label]
    lines: list[str] = []
    for one in [one for one in there if rng.random() < SUMMARISED] or there[:1]:
        lines.append(writer.say(writer.fill(writer.template(SUMMARY.get(one.way, "summary")), one), one))
    for one in mentions:
        if one.label:
            continue
        if one.way == "gone" and rng.random() < GONE_SUMMARISED and not one.wording.gone:
            lines.append(writer.say(writer.fill(writer.template("summary_gone"), one), absent=[one]))
        elif one is asked and one.way != "gone" and rng.random() < ANSWERED:
            lines.append(writer.say(writer.fill(writer.template("summary_absent"), one), absent=[one]))
    if not there:
        lines.append(writer.say(rng.choice(writer.tongue.nothing)))
    rng.shuffle(lines)
    if rng.random() < ADVISED:
        advised = rng.choice([one for one in mentions if one.wording.listed])
        lines.append(writer.say(writer.fill(writer.template("advised"), advised)))
    return lines


def _lay_out(
    layout: Layout, indication: str, comparison: str, findings: Mapping[Region, list[str]], impression: Sequence[str]
) -> str:
    opening = layout.opening.format(indication=indication, comparison=comparison).replace("?.", "?")
    body = layout.between_regions.join(
        layout.regions.get(region, "") + layout.between_items.join(layout.item.format(one) for one in sentences)
        for region, sentences in findings.items()
        if sentences
    )
    lines = (layout.line.format(number=number, line=line) for number, line in enumerate(impression, 1))
    return opening + body + layout.conclusion + layout.between_lines.join(lines)
