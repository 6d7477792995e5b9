"""What made-up reports say is what their labels say.

Each report keeps its sentences with what they state; these must add up to the labels and to the text. What a kind of
sentence states is read again here by other means: cues of negation and their scope, as in NegEx (Chapman, 2001).
"""

import re
from dataclasses import fields
from itertools import product

import pytest

from nightread.made_up import FINDINGS, Hospital, Period, Style, reports
from nightread.made_up.hospitals import HABITS, Layout
from nightread.made_up.reports import TONGUES
from nightread.made_up.wording import Frames, Noun, Region

THERE, GONE = "AAA", "BBB"  # names that no other word contains

PRESENT = ("present", "partial", "suspected", "changed", "lessened", "confirmed", "present_list")
PRESENT += ("summary", "summary_suspected", "summary_changed")
ABSENT = ("absent", "unlikely", "gone", "unconfirmed", "absent_list", "summary_gone", "summary_absent")
BOTH = ("pair", "pair_changed", "mixed_list")
NOTHING = ("asked", "quoted", "advised")

# Where one clause ends and the scope of a negation with it.
CLAUSES = {
    Style.ENGLISH: (
        r"; |, but |, whereas |, while |(?<=unchanged) and |(?<=resolved) and | and (?=no )| (?=without )|\. "
    ),
    Style.KOREAN: r"(?<=나) |(?<=[않있없되]고) |(?= \S+ 없이 )|(?<=없이) |(?<=[있없]음), ",
    Style.MIXED: (
        r"(?<=나) |(?<=[있되지없]고) |(?= \S+ 없이 )|(?<=없이) |(?<=없어지고) |; |(?<=\([+-]\)), | (?=without )"
        r"|, (?=\S+의 )"
    ),
}
DENIED = {
    Style.ENGLISH: (
        r"\bno\b|\bnot\b|\babsent\b|without|resol[vu]|disappeared|removed|removal|unlikely|be excluded|is an artefact"
        r"|negative|false positive|rejected|regressed|(?:has|have)\.$|treated|now of normal|size is normal|below"
        r"|free of|homogeneous|fully expanded"
    ),
    Style.KOREAN: (
        r"없|않|소실|제거됨|가능성은 낮|배제할 수 있|인공물로|아닌|아님|음성|위양성|정상 크기임|정상임|충분함"
    ),
    Style.MIXED: (
        r"없|않|\(-\)|\bno\b|resolve|removal|remove|disappearance|not seen|unlikely|낮음|artifact >|exclude됨"
        r"|아닌|아님|negative|false positive|without|normal임|normal size임|충분함"
    ),
}
# Words of denial that deny nothing, or not what stands here.
STILL = {
    Style.ENGLISH: (
        r"(?:except for|apart from|other than) AAA",
        r"not changed|not resolved|AAA at has not\.$|cannot be excluded|no artefact|no interval change|no new AAA"
        r"|no AAA elsewhere|incomplete resolution|rather than an artefact|not been removed|not fully|not free"
        r"|inhomogeneous",
    ),
    Style.KOREAN: (
        r"AAA(?:을|를)? (?:외에|이외|제외하면)",
        r"변화 없|차이 없|소실되지 않|배제할 수 없|제거되지 않|인공물보다는|새로운 AAA[은는] 없"
        r"|그 외 부위에 AAA[은는] 없|균일하지 않|충분하지 않",
    ),
    Style.MIXED: (
        r"(?:except|otherwise) |AAA(?:을|를)? (?:외에|이외|제외하면)|AAA, PPP; otherwise",
        r"no change|no interval change|변화 없|resolve되지 않|remove되지 않|not resolved|exclude할 수 없"
        r"|AAA > artifact|no new AAA|no other AAA|그 외 AAA[은는] 없|homogeneous하지 않|충분하지 않",
    ),
}


def _reads(style: Style, sentence: str, name: str) -> bool:
    """Whether the sentence says that `name` is there."""
    sentence = sentence.replace(GONE if name == THERE else THERE, "ZZZ").replace(name, "AAA")
    exception, innocent = STILL[style]
    if re.search(exception, sentence, re.IGNORECASE):
        return True
    plain = re.sub(innocent, "AAA" if "at has not" in sentence else " ", sentence, flags=re.IGNORECASE)
    clauses = [clause for clause in re.split(CLAUSES[style], plain, flags=re.IGNORECASE) if "AAA" in clause] or [plain]
    return not any(re.search(DENIED[style], clause, re.IGNORECASE) for clause in clauses)


def _filled(style: Style, template: str, name: str = THERE) -> str:
    slots: dict[str, str] = {"place": "PPP", "date": "2022-02-02", "year": "2020"}
    for prefix, noun in (("", name), ("x", GONE)):
        slots |= {f"{prefix}noun": Noun(noun), f"{prefix}seen": Noun(noun), f"{prefix}is": "is", f"{prefix}has": "has"}
        slots |= {f"{prefix}at": TONGUES[style].at.format("at"), f"{prefix}of": TONGUES[style].of.format("at")}
    there, absent = Noun(f"{name}, CCC"), Noun(f"{name if name == GONE else 'BBB'}, DDD")
    slots |= {"are": "are", "nouns_are": "are", "list": there, "nouns": absent, "nouns_and": absent}
    return template.format_map(slots)


def _templates(style: Style, kinds: tuple[str, ...]) -> list[str]:
    both = (TONGUES[style].frames, TONGUES[style].later)
    return [template for kind in kinds for frames in both for template in getattr(frames, kind)]


def test_every_kind_of_sentence_is_looked_at() -> None:
    assert {one.name for one in fields(Frames)} == {*PRESENT, *ABSENT, *BOTH, *NOTHING}


@pytest.mark.parametrize("style", Style)
def test_sentences_that_affirm(style: Style) -> None:
    alone = [template for region in Region for template in TONGUES[style].alone[region]]
    for template in (*_templates(style, PRESENT), *alone, TONGUES[style].check[0].format("{noun}")):
        assert _reads(style, _filled(style, template), THERE), template


@pytest.mark.parametrize("style", Style)
def test_sentences_that_deny(style: Style) -> None:
    for template in (*_templates(style, ABSENT), TONGUES[style].check[1].format("{noun}")):
        if "{nouns" in template:
            assert not _reads(style, _filled(style, template, GONE), GONE), template
        else:
            assert not _reads(style, _filled(style, template), THERE), template


@pytest.mark.parametrize("style", Style)
def test_sentences_that_affirm_one_finding_and_deny_another(style: Style) -> None:
    for template in _templates(style, BOTH):
        sentence = _filled(style, template)
        assert _reads(style, sentence, THERE), template
        assert not _reads(style, sentence, GONE), template


@pytest.mark.parametrize("style", Style)
def test_the_findings_own_sentences(style: Style) -> None:
    for wording in TONGUES[style].findings.values():
        for template in (*wording.present, *wording.changed):
            assert _reads(style, template, THERE), template
        for template in (*wording.absent, *wording.gone):
            assert not _reads(style, template, THERE), template


@pytest.mark.parametrize("style", Style)
def test_what_is_seen_denies_nothing_by_itself(style: Style) -> None:
    for wording in TONGUES[style].findings.values():
        for phrase in (*wording.nouns, *wording.seen, *wording.later_nouns, *wording.later_seen):
            assert not re.search(DENIED[style], phrase, re.IGNORECASE), phrase


@pytest.mark.parametrize(("site", "period"), list(product(Hospital, Period)))
def test_the_sentences_of_a_report_add_up_to_its_labels_and_its_text(site: Hospital, period: Period) -> None:
    layouts = {
        style: re.compile("|".join(_pattern(layout) for layout in HABITS[site].layouts[style]), re.DOTALL)
        for style in Style
    }
    for report in reports(300, seed=5, site=site, period=period):
        affirmed = {name for one in report.statements for name, there in one.says.items() if there}
        assert affirmed == {name for name in FINDINGS if report.labels[name]}
        for one in report.statements:
            for name, there in one.says.items():
                assert there == bool(report.labels[name]), one.text
        rest = report.text
        for text in sorted((one.text for one in report.statements), key=len, reverse=True):
            assert text in rest, text
            rest = "".join(rest.rpartition(text)[::2])  # the last, for the indication may say the same
        assert layouts[report.style].fullmatch(rest), rest


def _pattern(layout: Layout) -> str:
    """What is left of a report without its sentences: its headings, the indication and the comparison."""
    opening = re.escape(layout.opening).replace(r"\{indication\}\.", ".{3,120}").replace(r"\{comparison\}", ".{2,120}")
    headings = "|".join(re.escape(heading.strip()) for heading in layout.regions.values()) or "(?!)"
    return rf"{opening}(?:{headings}|[\s-])*{re.escape(layout.conclusion.strip())}[\s\d.)#-]*"


@pytest.mark.parametrize("style", Style)
def test_each_finding_is_denied_by_name_about_as_often_as_it_is_affirmed(style: Style) -> None:
    some = [report for site in Hospital for report in reports(600, seed=9, site=site, styles={style: 1})]
    for name, wording in TONGUES[style].findings.items():
        nouns = re.compile("|".join(map(re.escape, map(format, map(Noun, wording.nouns)))), re.IGNORECASE)
        named = [report.labels[name] for report in some if nouns.search(report.text)]
        if wording.listed:
            assert len(named) > 100
            assert sum(named) / len(named) < 0.6, name


@pytest.mark.parametrize("style", Style)
def test_the_later_period_has_words_that_the_earlier_one_never_had(style: Style) -> None:
    def words(period: Period) -> set[str]:
        texts = (r.text for s in Hospital for r in reports(400, seed=2, site=s, period=period, styles={style: 1}))
        return {word for text in texts for word in re.findall(r"[A-Za-z가-힣][A-Za-z가-힣-]{2,}", text)}

    new = words(Period.LATER) - words(Period.EARLIER)
    assert len(new) > 40
    tongue = TONGUES[style]
    earlier = " ".join(
        template
        for wording in tongue.findings.values()
        for template in (*wording.nouns, *wording.seen, *wording.present, *wording.absent)
    )
    for wording in tongue.findings.values():
        assert wording.later_nouns
        assert wording.later_seen
        for noun in wording.later_nouns:
            assert not re.search(rf"(?<![\w-]){re.escape(format(Noun(noun)))}(?![\w-])", earlier, re.IGNORECASE)
