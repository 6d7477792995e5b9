"""Several people read the same reports: what their readings come to, and how far they agree."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.annotation_files import DEFAULT_ANNOTATOR
from pipeline.errors import NightreadError


class NotCompared(NightreadError):
    """Two annotators' labels do not belong to the same reports and findings."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What one annotator said of one report: 0 or 1 by label position."""

    annotator: str
    labels: tuple[int, ...]
    decides: bool = False


@dataclass(frozen=True, slots=True)
class Consensus:
    """What the readings of one report come to; `disputed` are the label positions, from 0, that had no majority."""

    labels: tuple[int, ...]
    disputed: tuple[int, ...]


def consensus(readings: Sequence[Reading]) -> Consensus:
    """Per finding the majority; a tie is settled by the first reading, and is a dispute until somebody decides.

    `readings` are in the order of their import. Where one of them decides, only those that do are counted.
    """
    voting = [one for one in readings if one.decides] or list(readings)
    if not voting or len({len(one.labels) for one in voting}) != 1:
        raise NotCompared("a consensus needs at least one reading, and all of them on the same findings")
    balance = 2 * np.sum([one.labels for one in voting], axis=0) - len(voting)
    first = np.array(voting[0].labels)
    return Consensus(
        labels=tuple(int(one) for one in np.where(balance == 0, first, balance > 0)),
        disputed=tuple(int(position) for position in np.flatnonzero(balance == 0)),
    )


@dataclass(frozen=True, slots=True)
class Agreement:
    """Two annotators on one finding, or on all of them: only reports that both have read.

    `kappa` is Cohen's; None where both only ever gave one and the same answer, because agreement by chance would
    then be certain.
    """

    reports: int
    first_positives: int
    second_positives: int
    agreed: float
    kappa: float | None


@dataclass(frozen=True, slots=True)
class Pair:
    """Two annotators by name, on every finding in order and on all of them together."""

    first: str
    second: str
    labels: tuple[Agreement, ...]
    over_all: Agreement


def pairs(reports: Iterable[Sequence[Reading]]) -> list[Pair]:
    """Every two annotators who have read a report in common, by name.

    Who decides has seen what the others said, so that reading is not compared with theirs; and of labels that
    came without a name nobody knows whether they are one person's, or somebody's who is there by name as well.
    """
    common: dict[tuple[str, str], list[tuple[Reading, Reading]]] = defaultdict(list)
    for readings in reports:
        own = sorted(
            (one for one in readings if not one.decides and one.annotator != DEFAULT_ANNOTATOR),
            key=lambda one: one.annotator,
        )
        for first, second in combinations(own, 2):
            common[first.annotator, second.annotator].append((first, second))
    found = []
    for (one, other), both in sorted(common.items()):
        first_labels, second_labels = [a.labels for a, _ in both], [b.labels for _, b in both]
        agreements = tuple(by_label(first_labels, second_labels))
        found.append(Pair(one, other, agreements, over_all(first_labels, second_labels)))
    return found


def by_label(first: ArrayLike, second: ArrayLike) -> list[Agreement]:
    """The agreement on every finding, from labels of 0 and 1 (reports, labels) of the same reports.

    Raises `NotCompared` if shapes differ or nothing was read by both.
    """
    one, other = _same_reports(first, second)
    return [_agreement(one[:, label], other[:, label], len(one)) for label in range(one.shape[1])]


def over_all(first: ArrayLike, second: ArrayLike) -> Agreement:
    """The agreement on all answers of (reports, labels) together; positives are counted over all findings."""
    one, other = _same_reports(first, second)
    return _agreement(one.ravel(), other.ravel(), len(one))


def _same_reports(first: ArrayLike, second: ArrayLike) -> tuple[NDArray[np.int8], NDArray[np.int8]]:
    one, other = np.asarray(first, dtype=np.int8), np.asarray(second, dtype=np.int8)
    if one.ndim != 2 or one.shape != other.shape or not one.size:
        raise NotCompared(f"labels {one.shape} and {other.shape} are not those of the same reports")
    return one, other


def _agreement(first: NDArray[np.int8], second: NDArray[np.int8], reports: int) -> Agreement:
    from sklearn.metrics import cohen_kappa_score  # noqa: PLC0415 - a second that no other command should wait for

    one_answer = len(np.union1d(first, second)) == 1
    return Agreement(
        reports=reports,
        first_positives=int(first.sum()),
        second_positives=int(second.sum()),
        agreed=float((first == second).mean()),
        kappa=None if one_answer else float(cohen_kappa_score(first, second)),
    )
