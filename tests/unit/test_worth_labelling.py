"""What is worth labelling next: the doubtful, of every finding, no two alike; and always the same."""

from collections import Counter

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.worth_labelling import Choice, NotChosen, choose, shortlist

WORDS = ("nodule", "effusion", "lobe", "heart", "size", "normal", "aorta", "lymph", "bronchi", "scar", "apex", "rib")


def reports(count: int, seed: int = 0) -> list[str]:
    """Texts of different words in different order; none like another."""
    rng = np.random.default_rng(seed)
    return [f"Report{number} " + " ".join(f"{word}{rng.integers(9)}" for word in WORDS) for number in range(count)]


def said(*rows: tuple[float, ...]) -> NDArray[np.float64]:
    return np.array(rows)


def test_the_doubtful_come_before_the_sure() -> None:
    found = choose(probabilities=said((0.99,), (0.52,), (0.01,), (0.6,)), thresholds=[0.5], texts=reports(4), count=2)
    assert found == [Choice(1, 0), Choice(3, 0)]


def test_doubt_is_measured_from_the_finding_s_own_threshold() -> None:
    given = said((0.5,), (0.2,), (0.8,))
    assert choose(probabilities=given, thresholds=[0.2], texts=reports(3), count=1) == [Choice(1, 0)]
    assert choose(probabilities=given, thresholds=[0.8], texts=reports(3), count=1) == [Choice(2, 0)]


def test_of_a_rare_finding_the_likeliest_reports_are_asked_for() -> None:
    given = said((0.001,), (0.04,), (0.002,), (0.01,))
    assert [one.report for one in choose(probabilities=given, thresholds=[0.5], texts=reports(4), count=2)] == [1, 3]


def test_every_finding_gets_its_share_the_rarest_first() -> None:
    rng = np.random.default_rng(1)
    # The first finding is common and always in doubt; without turns it would take all.
    given = np.column_stack([rng.uniform(0.45, 0.55, 60), rng.uniform(0, 0.02, 60), rng.uniform(0, 0.2, 60)])
    found = choose(probabilities=given, thresholds=[0.5] * 3, texts=reports(60), count=12)
    assert Counter(one.label for one in found) == {0: 4, 1: 4, 2: 4}
    assert [one.label for one in found[:3]] == [1, 2, 0]


def test_no_report_is_asked_for_twice() -> None:
    given = np.full((20, 4), 0.5)
    found = choose(probabilities=given, thresholds=[0.5] * 4, texts=reports(20), count=50)
    assert sorted(one.report for one in found) == list(range(20))


def test_a_near_copy_of_a_chosen_report_is_passed_over() -> None:
    texts = reports(3)
    texts[1] = texts[0].replace("Report0", "Report9")
    given = said((0.5,), (0.5,), (0.3,))
    assert [one.report for one in choose(probabilities=given, thresholds=[0.5], texts=texts, count=3)] == [0, 2]
    without = choose(probabilities=given, thresholds=[0.5], texts=texts, count=3, near_copy=2.0)
    assert [one.report for one in without] == [0, 1, 2]


def test_a_near_copy_of_a_report_already_labelled_is_passed_over() -> None:
    texts = reports(3)
    given = said((0.5,), (0.4,), (0.3,))
    found = choose(probabilities=given, thresholds=[0.5], texts=texts, count=3, known=[texts[0] + " again"])
    assert [one.report for one in found] == [1, 2]


def test_korean_texts_and_texts_of_signs_alone_are_compared_too() -> None:
    texts = ["양측 폐에 결절이 보입니다.", "양측 폐에 결절이 보입니다 .", "흉수는 없음.", "---"]
    found = choose(probabilities=np.full((4, 1), 0.5), thresholds=[0.5], texts=texts, count=4)
    assert [one.report for one in found] == [0, 2, 3]
    assert choose(probabilities=said((0.5,)), thresholds=[0.5], texts=["-"], count=1) == [Choice(0, 0)]


def test_the_same_input_gives_the_same_choice() -> None:
    rng = np.random.default_rng(3)
    given, texts = rng.uniform(size=(80, 5)), reports(80)
    once = choose(probabilities=given, thresholds=[0.5] * 5, texts=texts, count=30)
    assert once == choose(probabilities=given, thresholds=[0.5] * 5, texts=texts, count=30)
    # Fewer asked for are the first of the more.
    assert once[:10] == choose(probabilities=given, thresholds=[0.5] * 5, texts=texts, count=10)


def test_certainty_itself_is_no_error() -> None:
    found = choose(probabilities=said((1.0,), (0.0,), (0.7,)), thresholds=[0.5], texts=reports(3), count=1)
    assert found == [Choice(2, 0)]


def test_nothing_to_choose_from_gives_nothing() -> None:
    assert choose(probabilities=np.empty((0, 2)), thresholds=[0.5, 0.5], texts=[], count=5) == []
    assert choose(probabilities=said((0.5,)), thresholds=[0.5], texts=["A"], count=0) == []


@pytest.mark.parametrize(("thresholds", "texts"), [([0.5], ["A"]), ([0.5, 0.5], ["A", "B"]), ([], ["A"])])
def test_what_does_not_belong_together_is_refused(thresholds: list[float], texts: list[str]) -> None:
    with pytest.raises(NotChosen):
        choose(probabilities=said((0.5, 0.5)), thresholds=thresholds, texts=texts, count=1)


# --- which texts have to be read at all


def test_whatever_is_chosen_was_on_the_shortlist() -> None:
    rng = np.random.default_rng(5)
    given, texts = rng.uniform(size=(300, 6)), reports(300)
    listed = shortlist(probabilities=given, thresholds=[0.4] * 6, count=20)
    assert len(listed) <= 6 * 20 < 300
    chosen = choose(probabilities=given, thresholds=[0.4] * 6, texts=texts, count=20)
    assert {one.report for one in chosen} <= set(listed)


def test_a_shortlist_of_few_reports_is_all_of_them() -> None:
    assert shortlist(probabilities=np.full((3, 2), 0.5), thresholds=[0.5, 0.5], count=10) == [0, 1, 2]
