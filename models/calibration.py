"""From which probability on a label counts as found: thresholds from the few reports kept for calibration."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from models.errors import ModelError

# Outside these no threshold is believed, whatever a few dozen reports say.
_LOWEST, _HIGHEST = 0.2, 0.8
# How many positive reports the common curve is worth in each label's own curve, …
_COMMON_POSITIVES = 20.0
# … and how many the assumption is worth in the common curve that 0.5 is right.
_ASSUMED_POSITIVES = 20.0
# A report's logit could as well have been this much higher or lower: smooths the steps of F1.
_BANDWIDTH = 0.75


def thresholds(probabilities: ArrayLike, truth: ArrayLike) -> list[float]:
    """A threshold per label for `probabilities` (reports, labels) given `truth` of 0 and 1, between 0.2 and
    0.8.

    Each label's threshold maximizes an F1 whose counts are smoothed in logit space and shrunk towards the
    counts of all labels together, these in turn towards 0.5 (empirical Bayes): with few positives a label
    gets the common threshold, with none at all 0.5, and its own only as its positives outweigh
    `_COMMON_POSITIVES`; without a report to go by each is 0.5. Raises ModelError if the shapes differ.
    """
    scores, actual = np.asarray(probabilities, dtype=float), np.asarray(truth).astype(bool)
    if scores.ndim == 2 and not scores.size and not actual.size:
        return [0.5] * scores.shape[1]
    if scores.ndim != 2 or scores.shape != actual.shape:
        raise ModelError(f"probabilities {scores.shape} and truth {actual.shape} do not fit together")
    grid = np.linspace(_logit(_LOWEST), _logit(_HIGHEST), 121)
    # found[g, r, l]: how surely report r is above grid point g for label l, in (0, 1).
    found = _sigmoid((_logit(scores)[None] - grid[:, None, None]) / _BANDWIDTH)
    hits = (found * actual).sum(1)  # (grid, labels)
    false = (found * ~actual).sum(1)
    positives = actual.sum(0).astype(float)  # (labels,)

    # What is believed before any report is seen: logits spread around ±1, best told apart at 0.5.
    assumed_hits = _sigmoid(1.0 - grid)[:, None]
    assumed_false = _sigmoid(-1.0 - grid)[:, None]
    total = positives.sum() + _ASSUMED_POSITIVES
    common_hits = (hits.sum(1, keepdims=True) + _ASSUMED_POSITIVES * assumed_hits) / total
    common_false = (false.sum(1, keepdims=True) + _ASSUMED_POSITIVES * assumed_false) / total

    blended_hits = hits + _COMMON_POSITIVES * common_hits
    blended_false = false + _COMMON_POSITIVES * common_false
    f1 = 2 * blended_hits / (blended_hits + blended_false + positives + _COMMON_POSITIVES)
    return [float(value) for value in _sigmoid(grid[f1.argmax(0)])]


def _logit(probability: ArrayLike) -> NDArray[np.float64]:
    # Clipped: one report may be extremely sure, but not infinitely.
    inside = np.clip(np.asarray(probability, dtype=float), 1e-6, 1 - 1e-6)
    return np.asarray(np.log(inside / (1 - inside)))


def _sigmoid(value: ArrayLike) -> NDArray[np.float64]:
    return np.asarray(1 / (1 + np.exp(-np.asarray(value, dtype=float))))
