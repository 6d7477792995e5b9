"""Drift as numbers: what is compared with what, and by how much it differs."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import drift
from pipeline.drift import Tally
from pipeline.labelling import ServingModel
from pipeline.names import Signal
from pipeline.settings import DriftSettings
from pipeline.worth_labelling import shortlist

LIMITS = DriftSettings(least_reports=100)
MODEL = ServingModel(
    id=1,
    artifact="tiny",
    artifact_sha256="0" * 64,
    labels=("Emphysema", "Lung nodule"),
    label_ids=(11, 12),
    thresholds=(0.5, 0.2),
)
COUNTS = st.integers(0, 10_000)

# --- population stability


def test_the_same_prevalence_is_stable() -> None:
    assert drift.population_stability(new=10, of_new=100, known=100, of_known=1000) == pytest.approx(0, abs=1e-3)
    assert drift.population_stability(new=7, of_new=50, known=7, of_known=50) == 0


def test_the_index_is_that_of_the_book() -> None:
    # (0.3 - 0.1) ln(0.3 / 0.1) + (0.7 - 0.9) ln(0.7 / 0.9); with these counts the halves vanish
    expected = 0.2 * math.log(3) - 0.2 * math.log(0.7 / 0.9)
    found = drift.population_stability(new=300_000, of_new=1_000_000, known=100_000, of_known=1_000_000)
    assert found == pytest.approx(expected, rel=1e-4)


def test_a_finding_never_seen_before_gives_a_number() -> None:
    found = drift.population_stability(new=100, of_new=100, known=0, of_known=1000)
    assert math.isfinite(found)
    assert found > LIMITS.prevalence  # type: ignore[operator]


@settings(deadline=None)
@given(COUNTS, COUNTS, COUNTS, COUNTS)
def test_it_is_never_negative_and_the_same_both_ways(new: int, more: int, known: int, others: int) -> None:
    there = drift.population_stability(new=new, of_new=new + more, known=known, of_known=known + others)
    back = drift.population_stability(new=known, of_new=known + others, known=new, of_known=new + more)
    assert math.isfinite(there)
    assert there >= -1e-12
    assert there == pytest.approx(back, abs=1e-9)


# --- the other signals


def test_pieces_per_word_rise_as_a_share_of_what_they_were() -> None:
    assert drift.rise(Signal.FERTILITY, value=1.65, reference=1.5) == pytest.approx(0.1)


@pytest.mark.parametrize("signal", [Signal.BITS_PER_BYTE, Signal.UNKNOWN_PIECES, Signal.UNCERTAIN_LABELS])
def test_the_others_rise_as_they_are(signal: Signal) -> None:
    assert drift.rise(signal, value=0.5, reference=0.2) == pytest.approx(0.3)
    assert drift.rise(signal, value=0.2, reference=0.5) == pytest.approx(-0.3), "a fall is no rise"


@pytest.mark.parametrize("signal", Signal)
def test_without_a_reference_nothing_has_drifted(signal: Signal) -> None:
    one = drift.reading(signal, site="east", value=9.0, reference=None, reports=100, limits=LIMITS)
    assert one.drift is None
    assert not one.exceeded


def test_words_that_were_no_words_before_cannot_rise() -> None:
    assert drift.rise(Signal.FERTILITY, value=1.5, reference=0.0) is None


def test_every_signal_has_the_threshold_of_its_own_setting() -> None:
    limits = DriftSettings(unknown_pieces=1, fertility=2, bits_per_byte=3, prevalence=4, uncertain_labels=None)
    found = [
        drift.reading(signal, site="east", value=0, reference=0, reports=100, limits=limits).threshold
        for signal in (
            Signal.UNKNOWN_PIECES,
            Signal.FERTILITY,
            Signal.BITS_PER_BYTE,
            Signal.PREVALENCE,
            Signal.UNCERTAIN_LABELS,
        )
    ]
    assert found == [1, 2, 3, 4, None]


# --- uncertain labels


def test_uncertain_is_what_lies_near_the_threshold_in_logits() -> None:
    assert drift.uncertain_between(0.5) == pytest.approx((0.2689, 0.7311), abs=1e-4)
    low, high = drift.uncertain_between(0.05)
    assert low < 0.05 < high < 0.13


@settings(deadline=None)
@given(st.floats(0, 1))
def test_there_is_room_on_both_sides_of_any_threshold(threshold: float) -> None:
    low, high = drift.uncertain_between(threshold)
    assert 0 < low < min(max(threshold, 1e-6), 1 - 1e-6) < high < 1


@settings(deadline=None)
@given(
    thresholds=st.lists(st.floats(0.01, 0.99), min_size=1, max_size=3),
    probabilities=st.lists(st.floats(0.001, 0.999), min_size=1, max_size=20, unique=True),
)
def test_the_uncertain_come_first_among_those_worth_labelling(
    thresholds: list[float], probabilities: list[float]
) -> None:
    """It is the same doubt that chooses what people are asked to label."""
    table = np.array([[one] * len(thresholds) for one in probabilities])
    for label, threshold in enumerate(thresholds):
        low, high = drift.uncertain_between(threshold)
        uncertain = {report for report, one in enumerate(probabilities) if low < one < high}
        if not uncertain:
            continue
        first = shortlist(probabilities=table[:, [label]], thresholds=[threshold], count=len(uncertain))
        assert set(first) == uncertain


# --- what is held against what


def test_a_site_is_held_against_itself() -> None:
    assert drift.reference_sites("east", {"east": 100, "west": 900}, least=100) == ("east",)


def test_a_new_hospital_is_held_against_all_that_is_known() -> None:
    assert drift.reference_sites("new", {"west": 60, "east": 60}, least=100) == ("east", "west")
    assert drift.reference_sites("east", {"east": 99, "west": 900}, least=100) == ("east", "west")


def test_where_hardly_anything_is_known_there_is_nothing_to_hold_against() -> None:
    assert drift.reference_sites("new", {"west": 60, "east": 39}, least=100) == ()
    assert drift.reference_sites("new", {}, least=100) == ()


# --- the labels of a site


def signals(new: dict[str, Tally], known: dict[str, Tally], **changes: Any) -> dict[tuple[str, str], Any]:
    found = drift.label_readings(new, known, model=MODEL, limits=LIMITS.model_copy(update=changes))
    return {(one.site, one.label or one.signal): one for one in found}


def test_prevalence_is_told_by_finding_and_doubt_by_site() -> None:
    found = signals({"east": Tally(200, (20, 100), 80)}, {"east": Tally(1000, (100, 100), 200)})
    assert set(found) == {("east", "uncertain-labels"), ("east", "Emphysema"), ("east", "Lung nodule")}
    emphysema, nodule = found["east", "Emphysema"], found["east", "Lung nodule"]
    assert (emphysema.value, emphysema.reference, emphysema.label_id, emphysema.reports) == (0.1, 0.1, 11, 200)
    assert not emphysema.exceeded
    assert (nodule.value, nodule.reference, nodule.label_id) == (0.5, 0.1, 12)
    assert nodule.exceeded
    uncertain = found["east", "uncertain-labels"]
    assert (uncertain.value, uncertain.reference) == (0.2, 0.1), "of all labels of all reports"
    assert uncertain.drift == pytest.approx(0.1)


def test_fewer_new_reports_prove_nothing() -> None:
    known = {"east": Tally(1000, (100, 100), 200)}
    assert signals({"east": Tally(99, (99, 99), 99)}, known) == {}
    assert signals({"east": Tally(100, (99, 99), 99)}, known) != {}


def test_reports_of_a_new_hospital_are_held_against_those_of_all_others() -> None:
    known = {"a": Tally(60, (6, 0), 12), "b": Tally(60, (0, 6), 12)}
    found = signals({"new": Tally(100, (5, 5), 20)}, known)
    assert found["new", "Emphysema"].reference == pytest.approx(0.05)
    assert found["new", "uncertain-labels"].reference == pytest.approx(0.1)


def test_where_nothing_is_known_prevalence_is_told_and_has_not_drifted() -> None:
    found = signals({"new": Tally(100, (5, 5), 20)}, {})
    assert found["new", "Emphysema"].value == 0.05
    assert {(one.reference, one.drift, one.exceeded) for one in found.values()} == {(None, None, False)}
