"""Paired bootstrap: figures, their intervals, and the difference of two models on the same items."""

import numpy as np
import pytest
from scipy.stats import pearsonr
from sklearn.metrics import f1_score

from models import comparison
from models.errors import ModelError

RNG = np.random.default_rng(0)
TRUTH = RNG.random((60, 4)) < 0.3
FOUND = TRUTH ^ (RNG.random((60, 4)) < 0.1)
SCORES = RNG.normal(size=80)
JUDGED = SCORES + RNG.normal(size=80)


def test_macro_f1_is_the_mean_of_the_labels_f1():
    value = comparison.estimate(comparison.macro_f1(FOUND, TRUTH), 60).value
    assert value == pytest.approx(f1_score(TRUTH, FOUND, average="macro"))


def test_counting_a_report_twice_is_having_it_twice():
    measure = comparison.macro_f1(FOUND, TRUTH)
    counts = np.ones((1, 60))
    counts[0, 7], counts[0, 8] = 2, 0
    rows = [*range(8), 7, *range(9, 60)]
    assert measure(counts)[0] == pytest.approx(f1_score(TRUTH[rows], FOUND[rows], average="macro"))


def test_a_label_without_a_positive_stays_out():
    truth, found = TRUTH.copy(), FOUND.copy()
    truth[:, 3] = False
    found[:, 3] = True
    value = comparison.estimate(comparison.macro_f1(found, truth), 60).value
    assert value == pytest.approx(f1_score(TRUTH[:, :3], FOUND[:, :3], average="macro"))


def test_a_resample_without_any_positive_has_no_score():
    measure = comparison.macro_f1(FOUND[:2], np.array([[1, 0, 0, 0], [0, 0, 0, 0]]))
    assert np.isnan(measure(np.array([[0.0, 2.0]]))[0])


def test_pearson_is_scipys_and_its_interval_holds_it():
    found = comparison.estimate(comparison.pearson(SCORES, JUDGED), 80)
    assert found.value == pytest.approx(pearsonr(SCORES, JUDGED).statistic)
    assert found.low < found.value < found.high
    theirs = pearsonr(SCORES, JUDGED).confidence_interval()
    assert found.low == pytest.approx(theirs.low, abs=0.08)
    assert found.high == pytest.approx(theirs.high, abs=0.08)


def test_pearson_keeps_its_digits_far_from_zero():
    found = comparison.estimate(comparison.pearson(SCORES + 1e6, JUDGED), 80)
    assert found.value == pytest.approx(pearsonr(SCORES, JUDGED).statistic, abs=1e-6)


def test_the_worse_model_is_worse_with_a_narrower_interval_than_either_alone():
    worse = FOUND ^ (RNG.random(FOUND.shape) < 0.15)
    ours, theirs = comparison.macro_f1(worse, TRUTH), comparison.macro_f1(FOUND, TRUTH)
    paired = comparison.estimate(comparison.difference(ours, theirs), 60)
    assert paired.high < 0
    assert paired.value == pytest.approx(-comparison.estimate(comparison.difference(theirs, ours), 60).value)


def test_a_model_does_not_differ_from_itself():
    measure = comparison.macro_f1(FOUND, TRUTH)
    assert comparison.estimate(comparison.difference(measure, measure), 60) == (0, 0, 0)


def test_the_mean_over_seeds():
    other = TRUTH ^ (RNG.random((60, 4)) < 0.2)
    one, two = comparison.macro_f1(FOUND, TRUTH), comparison.macro_f1(other, TRUTH)
    both = comparison.estimate(comparison.mean([one, two]), 60).value
    assert both == pytest.approx((comparison.estimate(one, 60).value + comparison.estimate(two, 60).value) / 2)


def test_what_does_not_fit_together_is_refused():
    with pytest.raises(ModelError, match="do not fit"):
        comparison.macro_f1(FOUND[:-1], TRUTH)
    with pytest.raises(ModelError, match="do not fit"):
        comparison.pearson(SCORES[:-1], JUDGED)
