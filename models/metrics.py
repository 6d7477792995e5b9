"""How good a classifier is: precision, recall and F1 per label, macro F1, and how sure that is."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from models.errors import ModelError


class Interval(NamedTuple):
    """A 95 % interval: percentiles of the bootstrap over reports."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class LabelScore:
    """One label. `positives` counts reports that truly have it (the support), `predicted` those said to
    have it.

    Without a positive report recall and F1 mean nothing and are None, as is precision without a prediction.
    """

    positives: int
    predicted: int
    precision: float | None
    recall: float | None
    f1: float | None
    f1_interval: Interval | None


@dataclass(frozen=True, slots=True)
class Evaluation:
    """`macro_f1` is the mean F1 of the labels that have a positive report; `labels` holds all, in label
    order.
    """

    reports: int
    macro_f1: float
    macro_f1_interval: Interval
    labels: tuple[LabelScore, ...]


def evaluate(
    probabilities: ArrayLike,
    truth: ArrayLike,
    thresholds: ArrayLike,
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> Evaluation:
    """Scores `probabilities` (reports, labels) against `truth` of 0 and 1, positive from `thresholds`
    (labels,) on.

    A label without a positive report stays out of the macro F1, and its false positives show in
    `predicted`; in a resample it stays out likewise. Intervals are bootstrap percentiles over whole reports
    (Efron, 1979), because the labels of one report are not independent. Raises ModelError if shapes differ
    or no label has a positive.
    """
    scores, actual = np.asarray(probabilities, dtype=float), np.asarray(truth).astype(bool)
    limits = np.asarray(thresholds, dtype=float)
    if scores.ndim != 2 or scores.shape != actual.shape or limits.shape != scores.shape[1:]:
        raise ModelError(
            f"probabilities {scores.shape}, truth {actual.shape} and thresholds {limits.shape} do not fit together"
        )
    if not actual.any():
        raise ModelError("no annotated report has any finding, so there is nothing to score; annotate positives")
    said = scores >= limits
    hits, predicted, positives = actual & said, said, actual
    f1 = _f1(hits.sum(0), predicted.sum(0), positives.sum(0))
    # A resample is a count per report, so all resamples are three matrix products.
    reports = len(actual)
    counts = np.random.default_rng(seed).multinomial(reports, np.full(reports, 1 / reports), size=resamples)
    resampled = _f1(*(counts @ part.astype(np.int64) for part in (hits, predicted, positives)))
    scored = ~np.isnan(resampled).all(1)  # a tiny set may lose every positive in a resample
    return Evaluation(
        reports=reports,
        macro_f1=float(np.nanmean(f1)),
        macro_f1_interval=interval_of(np.nanmean(resampled[scored], axis=1)),
        labels=tuple(
            LabelScore(
                positives=int(positives[:, label].sum()),
                predicted=int(predicted[:, label].sum()),
                precision=_ratio(hits[:, label].sum(), predicted[:, label].sum()),
                recall=_ratio(hits[:, label].sum(), positives[:, label].sum()),
                f1=None if np.isnan(f1[label]) else float(f1[label]),
                f1_interval=None if np.isnan(f1[label]) else interval_of(resampled[:, label]),
            )
            for label in range(actual.shape[1])
        ),
    )


def _f1(hits: NDArray[np.int64], predicted: NDArray[np.int64], positives: NDArray[np.int64]) -> NDArray[np.float64]:
    """2 × hits / (predicted + positives); NaN where there is no positive."""
    return np.where(positives > 0, 2 * hits / np.maximum(predicted + positives, 1), np.nan)


def _ratio(part: int, whole: int) -> float | None:
    return float(part / whole) if whole else None


def interval_of(values: NDArray[np.float64]) -> Interval:
    """The interval of a score from its values in the resamples; those that have none (NaN) do not count."""
    low, high = np.nanpercentile(values, (2.5, 97.5))
    return Interval(float(low), float(high))
