"""Thresholds follow the data where there is enough of it, and stay near the middle where there is not."""

import numpy as np
import pytest
from numpy.typing import NDArray

from models.calibration import thresholds
from models.errors import ModelError


def sigmoid(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(1 / (1 + np.exp(-logits)))


def reports(
    count: int, shift: float, seed: int = 0, rate: float = 0.3
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Logits 2 above and 2 below a `shift`, with noise: the best threshold is near sigmoid(shift)."""
    random = np.random.default_rng(seed)
    truth = random.random((count, 1)) < rate
    return sigmoid(np.where(truth, 2.0, -2.0) + shift + random.normal(size=(count, 1))), truth


def test_without_any_positive_it_is_the_middle() -> None:
    assert thresholds(np.full((60, 2), 0.01), np.zeros((60, 2))) == pytest.approx([0.5, 0.5], abs=0.15)


def test_with_no_report_at_all_it_is_the_middle() -> None:
    assert thresholds(np.zeros((0, 3)), []) == thresholds(np.zeros((0, 3)), np.zeros((0, 3))) == [0.5] * 3


@pytest.mark.parametrize("shift", [-1.0, 1.0])
def test_many_reports_move_it_towards_the_best(shift: float) -> None:
    [threshold] = thresholds(*reports(5000, shift))
    assert threshold == pytest.approx(sigmoid(np.array(shift)), abs=0.12)


def test_one_odd_positive_moves_little() -> None:
    probabilities, truth = (np.tile(part, (1, 5)) for part in reports(60, 0.0))
    probabilities[:, 0] = 0.02
    truth[:, 0] = False
    without = thresholds(probabilities, truth)[0]
    truth[0, 0] = True  # a missed finding at 0.02 must not pull its threshold there
    assert thresholds(probabilities, truth)[0] == pytest.approx(without, abs=0.1)


@pytest.mark.parametrize("seed", range(5))
def test_never_wild(seed: int) -> None:
    random = np.random.default_rng(seed)
    found = thresholds(random.random((60, 18)), random.random((60, 18)) < 0.1)
    assert all(0.2 <= threshold <= 0.8 for threshold in found)


def test_shapes_must_agree() -> None:
    with pytest.raises(ModelError, match="do not fit"):
        thresholds(np.zeros((3, 2)), np.zeros((2, 2)))
