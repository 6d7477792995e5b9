"""Which reports people are asked to label next: those that teach the model most, or a sample drawn at random."""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy import ColumnExpressionArgument, select
from sqlalchemy.orm import Session

from pipeline import worth_labelling
from pipeline.annotation_files import split_of, text_hash
from pipeline.errors import NightreadError
from pipeline.tables import Annotation, Classification, ModelVersion, Report, Split

# Texts held in memory at a time while all of a site are looked through.
CHUNK = 1000


class NothingToAsk(NightreadError):
    """No report can be handed out."""


@dataclass(frozen=True, slots=True)
class Request:
    """A report for people to label, and why: the label position, from 0, in doubt and its probability."""

    report_id: int
    source_id: str
    site: str
    patient: str | None
    language: str
    text: str
    asked_for: int | None = None
    probability: float | None = None


def worthwhile(
    session: Session, *, version: ModelVersion, site: str, count: int, language: str | None = None
) -> list[Request]:
    """Up to `count` reports of a site that a model version has read and would learn most from, the best first.

    Only reports that fall into the split train: chosen ones are no fair sample, so no model shall be judged by them.
    Raises `NothingToAsk`.
    """
    annotated = _annotated(session, version.label_set_id)
    read = (
        select(Report.id, Report.patient, Report.text, Classification.probabilities)
        .join(Classification, Classification.report_id == Report.id)
        .where(Classification.model_version_id == version.id, *_current(site, language))
        .order_by(Report.id)
    )
    said: dict[int, list[float]] = {}
    for row in session.execute(read.execution_options(yield_per=CHUNK)):
        hashed = text_hash(row.text)
        if hashed not in annotated and split_of(row.patient or hashed) == Split.TRAIN:
            said[row.id] = row.probabilities
    if not said:
        raise NothingToAsk(
            f"model {version.id} has read no report of site {site!r} that is not annotated yet and could be trained "
            "on; let it label some first, or ask for reports --random"
        )
    ids = list(said)
    listed = worth_labelling.shortlist(probabilities=list(said.values()), thresholds=version.thresholds, count=count)
    requests = _requests(session, [ids[at] for at in listed])
    choices = worth_labelling.choose(
        probabilities=[said[one.report_id] for one in requests],
        thresholds=version.thresholds,
        texts=[one.text for one in requests],
        count=count,
        known=list(session.scalars(select(Annotation.text).where(Annotation.label_set_id == version.label_set_id))),
    )
    chosen = ((requests[choice.report], choice.label) for choice in choices)
    return [replace(one, asked_for=label, probability=said[one.report_id][label]) for one, label in chosen]


def at_random(
    session: Session, *, label_set_id: int, site: str, count: int, language: str | None = None
) -> list[Request]:
    """Up to `count` reports of a site, drawn by the hash of their texts: fair, and the same if asked again.

    Raises `NothingToAsk`.
    """
    annotated = _annotated(session, label_set_id)
    wanted = select(Report.id, Report.text).where(*_current(site, language)).order_by(Report.id)
    rows = session.execute(wanted.execution_options(yield_per=CHUNK))
    by_hash = {hashed: row.id for row in rows if (hashed := text_hash(row.text)) not in annotated}
    if not by_hash:
        raise NothingToAsk(f"there is no report of site {site!r} that is not annotated yet")
    return _requests(session, [by_hash[hashed] for hashed in heapq.nsmallest(count, by_hash)])


def _annotated(session: Session, label_set_id: int) -> set[str]:
    return set(session.scalars(select(Annotation.text_hash).where(Annotation.label_set_id == label_set_id)))


def _current(site: str, language: str | None) -> Sequence[ColumnExpressionArgument[bool]]:
    """What a report must meet to be handed out."""
    any_language = (Report.site == site, Report.is_current, Report.withdrawn_at.is_(None), Report.text.is_not(None))
    return any_language if language is None else (*any_language, Report.language == language)


def _requests(session: Session, report_ids: Sequence[int]) -> list[Request]:
    """The reports in the order given, less those that were withdrawn meanwhile."""
    rows = session.execute(
        select(Report.id, Report.source_id, Report.site, Report.patient, Report.language, Report.text).where(
            Report.id.in_(report_ids), Report.withdrawn_at.is_(None)
        )
    )
    found = {row[0]: Request(*row[:5], text=row[5]) for row in rows if row[5] is not None}
    return [found[report_id] for report_id in report_ids if report_id in found]
