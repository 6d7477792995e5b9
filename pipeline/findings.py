"""What a model said, written back: classifications, findings and heatmaps."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import exists, select
from sqlalchemy.dialects.postgresql import array, insert
from sqlalchemy.orm import Session

from pipeline.database import copy_rows
from pipeline.labelling import ServingModel
from pipeline.tables import Classification, Job, JobState, Report


@dataclass(frozen=True, slots=True)
class Found:
    """A positive label with its heatmap; character offsets into the stored text, one element per word."""

    label_id: int
    probability: float
    sentence_start: int
    sentence_end: int
    starts: tuple[int, ...]
    ends: tuple[int, ...]
    weights: tuple[float, ...]
    residual: float


@dataclass(frozen=True, slots=True)
class Labelled:
    """All that a model said of one report version; probabilities by label position."""

    report_id: int
    probabilities: tuple[float, ...]
    findings: tuple[Found, ...]


def texts(session: Session, report_ids: Sequence[int], *, model_version_id: int | None) -> dict[int, str]:
    """Texts of those reports that still want this model's labels: current, not withdrawn, neither read by it yet
    nor given up.

    A promotion that was rolled back leaves jobs of reports that the model which serves again has dealt with.
    """
    has_label = exists().where(
        Classification.report_id == Report.id, Classification.model_version_id == model_version_id
    )
    is_given_up = exists().where(
        Job.state.in_([JobState.DEAD, JobState.DROPPED]),
        Job.report_ids.op("@>")(array([Report.id])),
        Job.model_version_id == model_version_id,
    )
    rows = session.execute(
        select(Report.id, Report.text).where(
            Report.id.in_(report_ids),
            Report.is_current,
            Report.withdrawn_at.is_(None),
            Report.text.is_not(None),
            ~has_label,
            ~is_given_up,
        )
    ).all()
    return {report_id: text for report_id, text in rows if text is not None}


def save(session: Session, labelled: Sequence[Labelled], *, model: ServingModel) -> list[int]:
    """Write labels and heatmaps; the ids written. What was withdrawn meanwhile is dropped.

    The reports stay locked until the caller commits, so a withdrawal comes wholly before or after.
    """
    standing = set(
        session.scalars(
            select(Report.id)
            .where(Report.id.in_([one.report_id for one in labelled]), Report.withdrawn_at.is_(None))
            .order_by(Report.id)  # everyone locks reports in this order
            .with_for_update(read=True)
        )
    )
    kept = [one for one in labelled if one.report_id in standing]
    if not kept:
        return []
    rows = [
        {"report_id": one.report_id, "model_version_id": model.id, "probabilities": list(one.probabilities)}
        for one in kept
    ]
    # A report in two jobs, say after a lost lease, has its label already; the first one stands.
    inserted = session.execute(
        insert(Classification)
        .values(rows)
        .on_conflict_do_nothing(index_elements=["report_id", "model_version_id"])
        .returning(Classification.report_id, Classification.id)
    )
    written = {row.report_id: row.id for row in inserted}
    copy_rows(session, "finding", FINDING_COLUMNS, _finding_rows(kept, written))
    return sorted(written)


FINDING_COLUMNS = (
    "classification_id", "label_id", "probability", "sentence_start", "sentence_end", "starts", "ends", "weights",
    "residual",
)  # fmt: skip


def _finding_rows(kept: Sequence[Labelled], written: dict[int, int]) -> list[tuple[object, ...]]:
    return [
        (
            written[one.report_id],
            found.label_id,
            found.probability,
            found.sentence_start,
            found.sentence_end,
            found.starts,
            found.ends,
            found.weights,
            found.residual,
        )
        for one in kept
        if one.report_id in written
        for found in one.findings
    ]
