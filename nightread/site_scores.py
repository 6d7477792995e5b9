"""A model's figures hospital by hospital: at those that it learnt from, and at those it has never seen."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models import metrics
from pipeline import sites
from pipeline.sites import Where


@dataclass(frozen=True)
class SiteScore:
    """The figures at one site; None where no report has a finding, for then there is nothing to score."""

    site: str
    where: Where | None
    reports: int
    figures: metrics.Evaluation | None

    @property
    def not_judged(self) -> str | None:
        """Why there are no figures."""
        if self.figures is not None:
            return None
        return f"none of {self.reports} reports has a finding" if self.reports else "no report is kept for judging"

    @property
    def scored_labels(self) -> int:
        """How many labels the macro F1 is the mean of: sites differ in which findings occur at all."""
        return sum(one.f1 is not None for one in self.figures.labels) if self.figures else 0


def score(
    probabilities: NDArray[np.float64],
    truth: NDArray[np.int8],
    thresholds: Sequence[float],
    *,
    of: Sequence[str],
    every: Collection[str],
    learnt_from: Collection[str],
) -> list[SiteScore]:
    """Scores per site of `probabilities` (reports, labels), `of` naming each report's site; internal ones first.

    `every` names the sites to tell of, also those without a report.
    """
    rows = np.array(of, dtype=object)
    found = []
    for site in sorted(every, key=lambda name: (name not in learnt_from, name)):
        here = rows == site
        judged = bool(truth[here].any())
        figures = metrics.evaluate(probabilities[here], truth[here], thresholds) if judged else None
        found.append(SiteScore(site, sites.where(site, learnt_from=learnt_from), int(here.sum()), figures))
    return found


def as_metrics(scores: Sequence[SiteScore], internal: metrics.Evaluation | None) -> dict[str, Any]:
    """What a version keeps of them: `gate` is the figure at all sites that it learnt from, taken together."""
    gate = {"gate": {"macro_f1": internal.macro_f1, "reports": internal.reports}} if internal else {}
    return {**gate, "sites": {one.site: _metrics(one) for one in scores}}


def _metrics(one: SiteScore) -> dict[str, Any]:
    about = {"where": one.where, "reports": one.reports}
    if one.figures is None:
        return {**about, "not_judged": one.not_judged}
    return {
        **about,
        "labels": one.scored_labels,
        "macro_f1": one.figures.macro_f1,
        "macro_f1_interval": list(one.figures.macro_f1_interval),
    }
