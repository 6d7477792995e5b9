"""Made-up reports: deterministic, two hospitals, two periods, clean texts, and no bag of words."""

import re
import subprocess
import sys
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import product

import numpy as np
import pytest

from nightread.made_up import FINDINGS, Hospital, MadeUpReport, Period, Style, reports
from nightread.made_up.hospitals import HABITS
from nightread.made_up.reports import prevalence
from pipeline.identifying import kinds
from pipeline.language import language

EVERYWHERE = list(product(Hospital, Period))


@pytest.fixture(scope="module")
def many() -> dict[tuple[Hospital, Period], list[MadeUpReport]]:
    return {(site, period): list(reports(700, seed=7, site=site, period=period)) for site, period in EVERYWHERE}


def test_the_same_seed_gives_the_same_reports_in_every_process() -> None:
    code = "from nightread.made_up import reports; print([r.text for r in reports(5, seed=3)])"
    there = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert there.strip() == str([report.text for report in reports(5, seed=3)])


def test_a_report_is_independent_of_how_many_are_asked_for() -> None:
    some = list(reports(20, seed=7))
    assert list(reports(3, seed=7, first=5)) == some[4:7]
    assert [r.text for r in reports(20, seed=8)] != [r.text for r in some]
    assert [r.text for r in reports(20, seed=7, site=Hospital.WEST)] != [r.text for r in some]
    assert [r.text for r in reports(20, seed=7, period=Period.LATER)] != [r.text for r in some]


def test_hardly_a_report_is_written_twice(many: dict[tuple[Hospital, Period], list[MadeUpReport]]) -> None:
    texts = Counter(report.text for some in many.values() for report in some)
    assert len(texts) > 0.999 * sum(texts.values())


def test_only_the_two_hospitals_exist() -> None:
    with pytest.raises(ValueError, match="made-up-hospital-north"):
        next(reports(1, seed=1, site="made-up-hospital-north"))


@pytest.mark.parametrize(("site", "period"), EVERYWHERE)
def test_a_report_says_whence_and_of_when_it_is(site: Hospital, period: Period) -> None:
    first = datetime(2022 if period is Period.EARLIER else 2025, 1, 1, tzinfo=UTC)
    # Also where so many are made that a period's days begin again.
    for report in (*reports(40, seed=1, site=site, period=period), *reports(9, seed=1, period=period, first=54_350)):
        assert report.site == (site if report.number < 50 else Hospital.EAST)
        assert report.period is period
        assert first <= report.study_at < first.replace(year=first.year + 3)


def test_everything_says_that_it_is_made_up(many: dict[tuple[Hospital, Period], list[MadeUpReport]]) -> None:
    for some in many.values():
        for report in some[:50]:
            for name in (report.source_id, report.accession.lower(), report.patient, report.site):
                assert name.startswith("made-up")
        assert 0.7 < len({report.patient for report in some}) / len(some) < 0.95
    for site in Hospital:
        both = [*many[site, Period.EARLIER], *many[site, Period.LATER]]
        assert len({report.source_id for report in both}) == len({report.accession for report in both}) == len(both)
    east, west = ({one.patient for one in many[site, Period.EARLIER]} for site in Hospital)
    assert not east & west


@pytest.mark.parametrize(("site", "period"), EVERYWHERE)
def test_findings_and_styles_are_as_common_as_they_should_be(
    site: Hospital, period: Period, many: dict[tuple[Hospital, Period], list[MadeUpReport]]
) -> None:
    some = many[site, period]
    assert tuple(some[0].labels) == FINDINGS
    for name in FINDINGS:
        share = np.mean([report.labels[name] for report in some])
        assert abs(share - prevalence(name, site, period)) < 0.07
        assert 0.03 < share < 0.55
    for style, wanted in HABITS[site].styles.items():
        assert abs(np.mean([report.style is style for report in some]) - wanted) < 0.07
    assert any(not any(report.labels.values()) for report in some)


def test_the_later_period_has_another_mix_of_findings() -> None:
    for site in Hospital:
        risen = {n for n in FINDINGS if prevalence(n, site, Period.LATER) > 1.3 * prevalence(n, site, Period.EARLIER)}
        fallen = {n for n in FINDINGS if prevalence(n, site, Period.LATER) < 0.7 * prevalence(n, site, Period.EARLIER)}
        assert len(risen) >= 4
        assert len(fallen) >= 4


def test_styles_can_be_chosen() -> None:
    assert {report.style for report in reports(20, seed=1, styles={Style.KOREAN: 1})} == {Style.KOREAN}


def test_the_styles_are_the_languages_that_nightread_tells_apart(
    many: dict[tuple[Hospital, Period], list[MadeUpReport]],
) -> None:
    expected = {Style.ENGLISH: "en", Style.KOREAN: "ko", Style.MIXED: "mixed"}
    for some in many.values():
        assert np.mean([language(report.text) == expected[report.style] for report in some]) > 0.98


def test_times_go_on() -> None:
    for earlier, later in zip(reports(99, seed=1), reports(99, seed=1, first=2), strict=True):
        assert earlier.study_at < later.study_at
        assert timedelta(0) < later.issued_at - later.study_at < timedelta(days=1)


def test_texts_are_clean_and_of_a_report_s_length(many: dict[tuple[Hospital, Period], list[MadeUpReport]]) -> None:
    for some in many.values():
        for report in some[:400]:
            assert kinds(report.text) == ()
            assert not re.search(
                r"[{}]|  | [.,;)]|\( |[,;.?][.,;]|\n\n\n| \n|^\s|\s$", re.sub(r"(?<=[RL]t)\.", "", report.text)
            ), report.text
            assert 40 < len(report.text.split()) < 450


def test_the_hospitals_measure_and_date_each_in_their_way(
    many: dict[tuple[Hospital, Period], list[MadeUpReport]],
) -> None:
    for report in many[Hospital.EAST, Period.EARLIER]:
        assert not re.search(r"\d ?cm\b|\d{4}\.\d\d\.\d\d", report.text)
    for report in many[Hospital.WEST, Period.EARLIER]:
        assert not re.search(r"\d ?mm\b|\d{4}-\d\d-\d\d", report.text)


def test_a_bag_of_words_does_not_solve_it() -> None:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import f1_score

    made_up = [report for site in Hospital for report in reports(500, seed=11, site=site)]
    labels = np.array([[report.labels[name] for name in FINDINGS] for report in made_up])
    fit, held = np.arange(len(made_up)) % 3 > 0, np.arange(len(made_up)) % 3 == 0
    words = TfidfVectorizer(ngram_range=(1, 2), max_features=8_000, sublinear_tf=True)
    texts = np.array([report.text for report in made_up], dtype=object)
    fitted, held_out = words.fit_transform(texts[fit]), words.transform(texts[held])
    scores = []
    for column in range(len(FINDINGS)):
        model = LogisticRegression(C=10, class_weight="balanced", solver="liblinear")
        model.fit(fitted, labels[fit, column])
        scores.append(f1_score(labels[held, column], model.predict(held_out)))
    assert np.mean(scores) < 0.8


def test_it_is_fast() -> None:
    best = float("inf")
    for seed in range(3):
        started = time.process_time()
        assert sum(1 for _ in reports(1_000, seed=seed)) == 1_000
        best = min(best, time.process_time() - started)
    assert best < 3  # a thousand take half a second; leaves room for a busy machine
