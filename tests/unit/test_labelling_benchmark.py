"""What `benchmarks/labelling.py` decides: the sample of the slow side, its interval, and the figures with aims."""

import numpy as np
import pytest
from fitted_head import as_many_as_there_are
from labelling import A, B, D, Figures, ratios
from usual_parts import draw, interval


def test_the_sample_has_as_many_short_reports_as_long_ones() -> None:
    lengths = [1_000 - at for at in range(800)]
    drawn = draw(lengths, 32, seed=1)
    assert drawn.shape == (8, 4)
    assert len(set(drawn.flat)) == 32
    for stratum, chosen in enumerate(drawn):  # the shortest stand last
        assert all(800 - (stratum + 1) * 100 <= at < 800 - stratum * 100 for at in chosen)


def test_a_tiny_sample_still_has_short_and_long() -> None:
    short, long = draw(range(40), 4, seed=0)
    assert max(short) < 20 <= min(long)


def test_the_interval_holds_the_mean_and_knows_no_spread_between_strata() -> None:
    assert interval(np.array([[1.0, 1.0], [9.0, 9.0]])) == (5.0, 5.0)
    low, high = interval(np.array([[1.0, 3.0], [5.0, 11.0]]))
    assert low < 5 < high


def test_thresholds_find_as_much_as_there_is() -> None:
    probabilities = np.array([[0.1, 0.9], [0.2, 0.8], [0.3, 0.7], [0.4, 0.1]])
    truth = np.array([[0, 1], [0, 1], [0, 0], [1, 0]])
    found = probabilities >= as_many_as_there_are(probabilities, truth)
    assert found.sum(0).tolist() == [1, 2]


def test_the_figures_are_rates_and_shares_of_one_run() -> None:
    cold = {A: [4.0, 10.0], B: [2.0, 4.0], D: [3.0, 8.0]}
    figures = Figures(points=[10, 40], cold=cold, warm=cold, explained=3.0, sample=np.array([[20.0, 30.0]]))
    assert ratios(figures, -1, cold) == pytest.approx(
        {
            "speedup_vs_pipeline": 25 / (10 / 40),
            "labels_vs_bare_forward": 8 / 4,
            "heatmap_cost": (10 - 4) / 8,
        }
    )
