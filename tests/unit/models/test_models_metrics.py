"""Scores are scikit-learn's, intervals are bootstrap percentiles, and what cannot be known is None."""

import numpy as np
import pytest
from sklearn.metrics import f1_score, precision_score, recall_score

from models.errors import ModelError
from models.metrics import evaluate

RANDOM = np.random.default_rng(0)
TRUTH = RANDOM.random((200, 4)) < (0.5, 0.3, 0.1, 0.05)
PROBABILITIES = np.clip(TRUTH * 0.4 + RANDOM.random((200, 4)) * 0.6, 0, 1)
THRESHOLDS = (0.5, 0.45, 0.4, 0.55)


def test_scores_are_those_of_scikit_learn() -> None:
    evaluation = evaluate(PROBABILITIES, TRUTH, THRESHOLDS)
    said = PROBABILITIES >= THRESHOLDS
    assert evaluation.macro_f1 == pytest.approx(f1_score(TRUTH, said, average="macro"))
    for label, score in enumerate(evaluation.labels):
        assert score.f1 == pytest.approx(f1_score(TRUTH[:, label], said[:, label]))
        assert score.precision == pytest.approx(precision_score(TRUTH[:, label], said[:, label]))
        assert score.recall == pytest.approx(recall_score(TRUTH[:, label], said[:, label]))
        assert (score.positives, score.predicted) == (TRUTH[:, label].sum(), said[:, label].sum())
    assert evaluation.reports == 200


def test_the_interval_holds_the_score_and_narrows_with_more_reports() -> None:
    few = evaluate(PROBABILITIES[:50], TRUTH[:50], THRESHOLDS)
    many = evaluate(np.tile(PROBABILITIES, (10, 1)), np.tile(TRUTH, (10, 1)), THRESHOLDS)
    for evaluation in (few, many):
        assert evaluation.macro_f1_interval.low < evaluation.macro_f1 < evaluation.macro_f1_interval.high
    assert np.ptp(many.macro_f1_interval) < np.ptp(few.macro_f1_interval)


def test_the_same_seed_gives_the_same_interval() -> None:
    assert evaluate(PROBABILITIES, TRUTH, THRESHOLDS) == evaluate(PROBABILITIES, TRUTH, THRESHOLDS)
    assert evaluate(PROBABILITIES, TRUTH, THRESHOLDS) != evaluate(PROBABILITIES, TRUTH, THRESHOLDS, seed=1)


def test_a_label_without_positives_stays_out_of_the_mean_and_shows_its_false_positives() -> None:
    truth = np.array([[1, 0], [0, 0], [1, 0]])
    evaluation = evaluate([[0.9, 0.9], [0.1, 0.1], [0.9, 0.1]], truth, (0.5, 0.5))
    assert evaluation.macro_f1 == 1.0
    absent = evaluation.labels[1]
    assert (absent.positives, absent.predicted, absent.precision) == (0, 1, 0.0)
    assert (absent.recall, absent.f1, absent.f1_interval) == (None, None, None)


def test_a_label_never_predicted_has_no_precision_and_scores_zero() -> None:
    score = evaluate([[0.1], [0.2]], [[1], [0]], [0.5]).labels[0]
    assert (score.precision, score.recall, score.f1) == (None, 0.0, 0.0)


def test_one_report_is_enough_not_to_crash() -> None:
    assert evaluate([[0.9]], [[1]], [0.5]).macro_f1_interval == (1.0, 1.0)


def test_what_does_not_fit_together_is_refused() -> None:
    with pytest.raises(ModelError, match="do not fit"):
        evaluate(PROBABILITIES, TRUTH, (0.5,))
    with pytest.raises(ModelError, match="annotate positives"):
        evaluate(PROBABILITIES, np.zeros_like(TRUTH), THRESHOLDS)
