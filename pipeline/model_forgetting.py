"""What refreshes did to what was learnt before: the views `model_scores` and `model_forgetting`, by metric."""

from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from pipeline.names import Metric


@dataclass(frozen=True)
class Score:
    """R[i][j]. `learnt` is whether j counts as learnt by then."""

    score: float
    low: float | None
    high: float | None
    items: int
    learnt: bool


@dataclass(frozen=True)
class After:
    """What a refresh came to: its scores by suite, and their summary. `refresh_number` is i.

    Summaries are None where nothing had been learnt, or nothing before.
    """

    refresh_number: int
    refresh: int
    model_version: int
    scores: dict[str, Score]
    average: float | None
    backward_transfer: float | None
    forgetting: float | None


@dataclass(frozen=True)
class Matrix:
    """A metric on all its suites: a row per refresh, the model before the first of them included."""

    metric: Metric
    suites: tuple[str, ...]
    rows: tuple[After, ...]

    @property
    def lower_is_better(self) -> bool:
        return self.metric is Metric.BITS_PER_BYTE

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


_SCORES = text("SELECT * FROM model_scores ORDER BY metric, refresh_number, suite")
_SUMMARIES = text("SELECT * FROM model_forgetting")


def read(session: Session) -> list[Matrix]:
    """A matrix per metric that was measured; suites in the order in which they were learnt."""
    summaries = {(row.metric, row.refresh_number): row for row in session.execute(_SUMMARIES)}
    scores = session.execute(_SCORES).all()
    found = []
    for metric in sorted({row.metric for row in scores}):
        of_metric = [row for row in scores if row.metric == metric]
        never = max(row.refresh_number for row in of_metric) + 1
        learnt_at = {row.suite: never if row.learnt_at is None else row.learnt_at for row in of_metric}
        numbers = sorted({row.refresh_number for row in of_metric})
        found.append(
            Matrix(
                metric=Metric(metric),
                suites=tuple(sorted(learnt_at, key=lambda suite: (learnt_at[suite], suite))),
                rows=tuple(
                    _after([row for row in of_metric if row.refresh_number == number], summaries.get((metric, number)))
                    for number in numbers
                ),
            )
        )
    return found


def _after(scores: list[Any], summary: Any) -> After:
    return After(
        refresh_number=scores[0].refresh_number,
        refresh=scores[0].refresh,
        model_version=scores[0].model_version,
        scores={
            row.suite: Score(
                score=row.score,
                low=row.low,
                high=row.high,
                items=row.items,
                learnt=row.learnt_at is not None and row.refresh_number >= row.learnt_at,
            )
            for row in scores
        },
        average=summary.average if summary is not None else None,
        backward_transfer=summary.backward_transfer if summary is not None else None,
        forgetting=summary.forgetting if summary is not None else None,
    )
