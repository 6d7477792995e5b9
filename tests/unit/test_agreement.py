"""Several readings of one report: what they come to, and how far two people agree."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.agreement import NotCompared, Reading, by_label, consensus, over_all, pairs


def reading(annotator: str, *labels: int, decides: bool = False) -> Reading:
    return Reading(annotator, labels, decides)


# --- what readings come to


def test_one_reading_stands() -> None:
    assert consensus([reading("kim", 0, 1)]).labels == (0, 1)
    assert consensus([reading("kim", 0, 1)]).disputed == ()


def test_the_majority_stands_for_each_finding_by_itself() -> None:
    found = consensus([reading("kim", 0, 1, 1), reading("lee", 1, 0, 1), reading("park", 1, 0, 0)])
    assert found.labels == (1, 0, 1)
    assert found.disputed == ()


def test_a_tie_is_settled_by_the_first_and_is_disputed() -> None:
    found = consensus([reading("kim", 0, 1, 1), reading("lee", 1, 0, 1)])
    assert found.labels == (0, 1, 1)
    assert found.disputed == (0, 1)
    assert consensus([reading("lee", 1, 0, 1), reading("kim", 0, 1, 1)]).labels == (1, 0, 1)


def test_whoever_decides_outvotes_everybody() -> None:
    others = [reading("kim", 1, 1), reading("lee", 1, 1), reading("park", 1, 1)]
    found = consensus([*others, reading("choi", 0, 1, decides=True)])
    assert found.labels == (0, 1)
    assert found.disputed == ()


def test_two_who_decide_may_differ_too() -> None:
    found = consensus([reading("kim", 1), reading("choi", 0, decides=True), reading("han", 1, decides=True)])
    assert (found.labels, found.disputed) == ((0,), (0,))


def test_readings_of_different_findings_are_refused() -> None:
    with pytest.raises(NotCompared):
        consensus([reading("kim", 0, 1), reading("lee", 1)])
    with pytest.raises(NotCompared):
        consensus([])


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=1, max_size=7))
def test_order_matters_only_in_disputes(votes: list[tuple[int, int]]) -> None:
    found = consensus([Reading(str(number), vote) for number, vote in enumerate(votes)])
    backwards = consensus([Reading(str(number), vote) for number, vote in enumerate(reversed(votes))])
    assert found.disputed == backwards.disputed
    settled = [position for position in range(2) if position not in found.disputed]
    assert [found.labels[at] for at in settled] == [backwards.labels[at] for at in settled]


# --- how far two agree


def test_agreement_and_kappa_as_cohen_has_them() -> None:
    # Cohen (1960) by hand: 20 both yes, 15 both no, 5 and 10 apart: observed 0.7, by chance 0.5.
    first = [[1]] * 20 + [[1]] * 5 + [[0]] * 10 + [[0]] * 15
    second = [[1]] * 20 + [[0]] * 5 + [[1]] * 10 + [[0]] * 15
    (found,) = by_label(first, second)
    assert (found.reports, found.first_positives, found.second_positives) == (50, 25, 30)
    assert found.agreed == pytest.approx(0.7)
    assert found.kappa == pytest.approx(0.4)


def test_agreeing_on_the_only_answer_ever_given_has_no_kappa() -> None:
    (never, always, once) = by_label([[0, 1, 0], [0, 1, 0]], [[0, 1, 0], [0, 1, 1]])
    assert (never.agreed, never.kappa) == (1.0, None)
    assert (always.agreed, always.kappa) == (1.0, None)
    assert (once.agreed, once.kappa) == (0.5, 0.0)


def test_over_all_counts_every_answer() -> None:
    found = over_all([[1, 0], [1, 0]], [[1, 0], [0, 0]])
    assert (found.reports, found.first_positives, found.second_positives) == (2, 2, 1)
    assert found.agreed == pytest.approx(0.75)
    assert found.kappa == pytest.approx(0.5)


def test_opposite_readings_agree_less_than_by_chance() -> None:
    (found,) = by_label([[0], [1]], [[1], [0]])
    assert found.kappa == pytest.approx(-1.0)


def test_labels_of_different_reports_are_refused() -> None:
    with pytest.raises(NotCompared):
        by_label([[0, 1]], [[0, 1], [1, 1]])
    with pytest.raises(NotCompared):
        over_all(np.empty((0, 3)), np.empty((0, 3)))


def test_every_two_annotators_are_compared_on_what_both_have_read() -> None:
    found = pairs(
        [
            [reading("kim", 1, 0), reading("lee", 1, 1)],
            [reading("lee", 0, 0), reading("kim", 0, 0)],
            [reading("kim", 1, 1), reading("park", 1, 0)],
            [reading("lee", 1, 1)],
        ]
    )
    assert [(one.first, one.second, one.over_all.reports) for one in found] == [("kim", "lee", 2), ("kim", "park", 1)]
    assert [(one.first_positives, one.second_positives) for one in found[0].labels] == [(1, 1), (0, 1)]
    assert found[0].over_all.agreed == pytest.approx(0.75)


def test_labels_without_a_name_are_compared_with_nobody() -> None:
    assert pairs([[Reading("unknown", (1,)), Reading("kim", (1,))]]) == []


def test_a_reading_that_decides_is_compared_with_nobody() -> None:
    assert pairs([[reading("kim", 1), reading("choi", 1, decides=True)]]) == []
