"""Whether a difference is more than luck: estimates with intervals, and two models on the very same items.

An item is what was drawn from the world: a report, a pair of sentences. A `Measure` says what a score is when every
item counts as often as it is told, so that all resamples of a bootstrap are a few matrix products, and a difference of
two measures is judged on the same resamples (the paired bootstrap; Efron, 1979).
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from models.errors import ModelError

# Counts (resamples, items) to scores (resamples,). A resample that lost what is measured has no score: NaN.
Measure = Callable[[NDArray[np.float64]], NDArray[np.float64]]


class Estimate(NamedTuple):
    """A score, and the 95 % interval of the bootstrap over items."""

    value: float
    low: float
    high: float


def estimate(measure: Measure, items: int, *, resamples: int = 2_000, seed: int = 0) -> Estimate:
    """The score of all `items`, each counted once, and its interval (percentiles)."""
    value = measure(np.ones((1, items)))[0]
    counts = np.random.default_rng(seed).multinomial(items, np.full(items, 1 / items), size=resamples)
    low, high = np.nanpercentile(measure(counts.astype(float)), (2.5, 97.5))
    return Estimate(float(value), float(low), float(high))


def difference(ours: Measure, theirs: Measure) -> Measure:
    """How much more `ours` scores on the same items."""
    return lambda counts: ours(counts) - theirs(counts)


def mean(measures: Sequence[Measure]) -> Measure:
    """The mean of several on the same items, as of one model trained with several seeds."""
    return lambda counts: np.mean([measure(counts) for measure in measures], axis=0)


def macro_f1(found: ArrayLike, truth: ArrayLike) -> Measure:
    """The mean F1 of the labels with a positive, of what was `found` and what is true: both (reports, labels), 0 or 1.

    Raises ModelError if the shapes differ.
    """
    said, actual = np.asarray(found).astype(float), np.asarray(truth).astype(float)
    if said.shape != actual.shape or said.ndim != 2:
        raise ModelError(f"what was found {said.shape} and what is true {actual.shape} do not fit together")
    hits = said * actual

    def measure(counts: NDArray[np.float64]) -> NDArray[np.float64]:
        positives = counts @ actual
        f1 = 2 * (counts @ hits) / np.maximum(counts @ said + positives, 1)
        scored = positives > 0
        with np.errstate(invalid="ignore"):  # a tiny set may lose every positive
            return np.asarray((f1 * scored).sum(1) / scored.sum(1))

    return measure


def pearson(given: ArrayLike, truth: ArrayLike) -> Measure:
    """Pearson's r of scores `given` with those that people gave, both (pairs,). Raises ModelError if shapes differ."""
    x, y = np.asarray(given, dtype=float), np.asarray(truth, dtype=float)
    if x.shape != y.shape or x.ndim != 1:
        raise ModelError(f"{x.shape} scores and {y.shape} judgements do not fit together")
    x, y = x - x.mean(), y - y.mean()  # far from zero the moments below would lose their digits

    def measure(counts: NDArray[np.float64]) -> NDArray[np.float64]:
        weights = counts / counts.sum(1, keepdims=True)
        mean_x, mean_y = weights @ x, weights @ y
        covariance = weights @ (x * y) - mean_x * mean_y
        variances = (weights @ (x * x) - mean_x**2) * (weights @ (y * y) - mean_y**2)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(np.where(variances > 0, covariance / np.sqrt(variances), np.nan))

    return measure
