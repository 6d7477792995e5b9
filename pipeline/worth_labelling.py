"""Which reports are worth a person's labels next: those the model is unsure of, for every finding, no two alike."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.errors import NightreadError

# Cosine of TF-IDF vectors from which on a second report teaches little that the first did not. Of 623 real reports
# one in ten has such a twin: mostly normal ones, written from the same template.
NEAR_COPY = 0.8


class NotChosen(NightreadError):
    """Probabilities, thresholds and texts do not belong together."""


class Choice(NamedTuple):
    """A report worth labelling, and the finding in whose turn it was chosen; both counted from 0."""

    report: int
    label: int


def choose(
    *,
    probabilities: ArrayLike,
    thresholds: ArrayLike,
    texts: Sequence[str],
    count: int,
    known: Sequence[str] = (),
    near_copy: float = NEAR_COPY,
) -> list[Choice]:
    """Up to `count` of the reports with `probabilities` (reports, labels), the most worthwhile first.

    The findings take turns, the rarest first. In its turn a finding takes the report whose probability is nearest
    to the finding's threshold, in logits (uncertainty sampling; Lewis and Gale, 1994). Of a rare finding those are
    the reports that may have it; of a common one the doubtful ones. A report much like one chosen before, or like
    one of the texts `known`, is passed over, so fewer than `count` may come back. The same input gives the same
    choice. Raises `NotChosen` if the shapes differ.
    """
    given, limits = np.asarray(probabilities, dtype=float), np.asarray(thresholds, dtype=float)
    if given.shape != (len(texts), limits.size):
        raise NotChosen(f"probabilities {given.shape}, {limits.size} thresholds, {len(texts)} texts do not fit")
    if not given.size:
        return []
    # A second that no other command should wait for.
    from sklearn.feature_extraction.text import TfidfVectorizer  # noqa: PLC0415
    from sklearn.metrics.pairwise import linear_kernel  # noqa: PLC0415

    # Signs are words too, so that no text is without any.
    vectors = TfidfVectorizer(sublinear_tf=True, token_pattern=r"\w+|[^\w\s]+").fit_transform([*texts, *known])
    doubt = _doubt(given, limits)

    def pass_over(place: int) -> None:
        """The report there, and whatever is much like it, is not chosen from here on."""
        doubt[linear_kernel(vectors[: len(texts)], vectors[place])[:, 0] >= near_copy] = np.inf

    for place in range(len(known)):
        pass_over(len(texts) + place)
    rarest_first = np.argsort(given.mean(axis=0), kind="stable")
    chosen: list[Choice] = []
    while len(chosen) < count and np.isfinite(doubt).any():
        label = int(rarest_first[len(chosen) % limits.size])
        report = int(doubt[:, label].argmin())  # of equals the first
        chosen.append(Choice(report, label))
        doubt[report] = np.inf
        pass_over(report)
    return chosen


def shortlist(*, probabilities: ArrayLike, thresholds: ArrayLike, count: int) -> list[int]:
    """Reports, in order, whose texts `choose` has to see: of (reports, labels) each label's `count` most doubtful.

    Among a hundred thousand reports these are the few that could have their turn, unless near copies crowd them out.
    """
    doubt = _doubt(np.asarray(probabilities, dtype=float), np.asarray(thresholds, dtype=float))
    return [int(report) for report in np.unique(np.argsort(doubt, axis=0, kind="stable")[:count])]


def _doubt(probabilities: NDArray[np.float64], thresholds: NDArray[np.float64]) -> NDArray[np.float64]:
    """(reports, labels): distance in logits from the threshold; 0 is the greatest doubt."""
    return np.abs(_logit(probabilities) - _logit(thresholds))


def _logit(probability: NDArray[np.float64]) -> NDArray[np.float64]:
    inside = np.clip(probability, 1e-6, 1 - 1e-6)
    return np.asarray(np.log(inside / (1 - inside)))
