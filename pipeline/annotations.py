"""Annotations as they are kept: every annotator's reading, and what the readings of a report come to."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import bindparam, func, select, update
from sqlalchemy.orm import Session

from pipeline import label_sets
from pipeline.agreement import Reading, consensus
from pipeline.annotation_files import DEFAULT_ANNOTATOR, Annotated, AnnotationFile
from pipeline.database import insert_by_copy
from pipeline.tables import Annotation, AnnotationReading, FittedOn, LabelSet, Split

# A reading's annotation and annotator, and its labels with whether it decides.
_Who = tuple[int, str]
_Said = tuple[tuple[int, ...], bool]


@dataclass(frozen=True)
class Kept:
    """What an import came to. `annotations` are its reports in the order given, each once."""

    annotations: list[Annotation]
    new_reports: int
    new_readings: int
    changed_readings: int
    splits_kept: int
    disputed: int


@dataclass(frozen=True, slots=True)
class ReadReport:
    """An annotated report without its text: who said what of it, and what that comes to."""

    site: str
    source_id: str
    labels: tuple[int, ...]
    readings: tuple[Reading, ...]


@dataclass(frozen=True, slots=True)
class Annotators:
    """How much of a label set is annotated at a site, by split, and by whom: reports per annotator."""

    label_set: str
    site: str
    splits: dict[Split, int]
    annotators: dict[str, int]


def keep(session: Session, rows: Sequence[Annotated], *, label_set_id: int, decides: bool = False) -> Kept:
    """Store readings with labels by label position; their reports become annotations, or already are.

    An annotation keeps the split that it was given first, or gate reports would leak into training. An annotator who
    is imported again replaces what they said before. Labels without a name and the same labels with one are one
    reading, the named one, or importing a file again under its reader's name would give that reader two votes.
    """
    _one_at_a_time(session, label_set_id)
    first: dict[tuple[str, str], Annotated] = {}
    for row in rows:
        first.setdefault((row.site, row.text_hash), row)
    stored = insert_by_copy(
        session,
        "annotation",
        ("label_set_id", "site", "source_id", "text_hash", "text", "labels", "split"),
        (
            (label_set_id, one.site, one.source_id, one.text_hash, one.text, one.labels, one.split)
            for one in first.values()
        ),
        # Changes nothing, but gives back rows that were there before as well. Those it had to lock, which sets xmax.
        conflict="ON CONFLICT (label_set_id, site, text_hash) DO UPDATE SET source_id = annotation.source_id",
        returning="id, site, text_hash, split, xmax = 0 AS is_new",
    )
    ids = {(row.site, row.text_hash): row.id for row in stored}
    before = {
        (annotation, one.annotator): (one.labels, one.decides)
        for annotation, there in _readings(session, ids.values()).items()
        for one in there
    }
    readings = without_doubles(
        before, {(ids[one.site, one.text_hash], one.annotator): (one.labels, decides) for one in rows}
    )
    _name(session, now_named(before, readings))
    insert_by_copy(
        session,
        "annotation_reading",
        ("annotation_id", "annotator", "labels", "decides"),
        ((annotation, annotator, *said) for (annotation, annotator), said in readings.items()),
        conflict="ON CONFLICT (annotation_id, annotator) "
        "DO UPDATE SET labels = excluded.labels, decides = excluded.decides",
        returning="annotation_id",
    )
    disputed = _settle(session, ids.values())
    known = {one.id: one for one in session.scalars(select(Annotation).where(Annotation.id.in_(ids.values())))}
    return Kept(
        annotations=[known[ids[key]] for key in first],
        new_reports=sum(row.is_new for row in stored),
        new_readings=len(readings.keys() - before.keys()),
        changed_readings=sum(key in before and before[key] != said for key, said in readings.items()),
        splits_kept=sum(row.split != first[row.site, row.text_hash].split for row in stored),
        disputed=disputed,
    )


def without_doubles(before: Mapping[_Who, _Said], readings: Mapping[_Who, _Said]) -> dict[_Who, _Said]:
    """Readings to be kept: not those without a name that say of a report what somebody by name says of it."""
    by_name = {
        (annotation, said)
        for (annotation, annotator), said in {**before, **readings}.items()
        if annotator != DEFAULT_ANNOTATOR
    }
    return {
        (annotation, annotator): said
        for (annotation, annotator), said in readings.items()
        if annotator != DEFAULT_ANNOTATOR or (annotation, said) not in by_name
    }


def now_named(before: Mapping[_Who, _Said], readings: Mapping[_Who, _Said]) -> dict[int, str]:
    """Whose readings those without a name are, by annotation: the first by name who says the same and is new to it."""
    found: dict[int, str] = {}
    for (annotation, annotator), said in sorted(readings.items()):
        if before.get((annotation, DEFAULT_ANNOTATOR)) == said and (annotation, annotator) not in before:
            found.setdefault(annotation, annotator)
    return found


def _one_at_a_time(session: Session, label_set_id: int) -> None:
    """Wait for whoever imports annotations of this label set: each locks reports in the order of their own file.

    Sorting them would do as well, but then an import's annotations would be numbered by the hash of their text.
    """
    session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(f"annotations\x1f{label_set_id}", 0))))


def _name(session: Session, named: Mapping[int, str]) -> None:
    """Give readings without a name, by annotation, the name of whose they are; they keep their place in the order."""
    if not named:
        return
    session.connection().execute(
        update(AnnotationReading)
        .where(AnnotationReading.annotation_id == bindparam("of"), AnnotationReading.annotator == DEFAULT_ANNOTATOR)
        .values(annotator=bindparam("name")),
        [{"of": annotation, "name": name} for annotation, name in named.items()],
    )


def _settle(session: Session, annotation_ids: Collection[int]) -> int:
    """Let these annotations say what their readings come to; the number that is disputed."""
    found = {
        annotation_id: consensus(readings) for annotation_id, readings in _readings(session, annotation_ids).items()
    }
    standing = dict(session.execute(select(Annotation.id, Annotation.labels).where(Annotation.id.in_(found))).all())
    changed = [
        {"id": annotation_id, "labels": list(one.labels)}
        for annotation_id, one in found.items()
        if tuple(standing[annotation_id]) != one.labels
    ]
    if changed:
        session.execute(update(Annotation), changed)
    return sum(bool(one.disputed) for one in found.values())


def _readings(session: Session, annotation_ids: Collection[int]) -> dict[int, list[Reading]]:
    """The readings of each annotation: who was imported first comes first, of those imported together by name."""
    one = AnnotationReading
    rows = session.execute(
        select(one.annotation_id, one.annotator, one.labels, one.decides)
        .where(one.annotation_id.in_(annotation_ids))
        .order_by(one.annotation_id, one.imported_at, one.annotator)
    )
    found: dict[int, list[Reading]] = defaultdict(list)
    for annotation_id, annotator, labels, decides in rows:
        found[annotation_id].append(Reading(annotator, tuple(labels), decides))
    return found


def stored(session: Session, label_set_id: int, split: Split | None = None) -> list[Annotation]:
    """A label set's annotations, or those of one split, in the order of their import."""
    wanted = select(Annotation).where(Annotation.label_set_id == label_set_id).order_by(Annotation.id)
    return list(session.scalars(wanted if split is None else wanted.where(Annotation.split == split)))


def as_file(session: Session, label_set_id: int, split: Split) -> AnnotationFile:
    """The annotations of one split, as a file would give them."""
    return AnnotationFile(
        labels=tuple(label_sets.names(session, label_set_id)),
        rows=tuple(
            Annotated(one.source_id, one.site, one.text, one.text_hash, tuple(one.labels), split)
            for one in stored(session, label_set_id, split)
        ),
        ignored_columns=(),
    )


def read_reports(session: Session, label_set_id: int, *, site: str | None = None) -> list[ReadReport]:
    """A label set's annotations with all their readings and without their texts."""
    wanted = select(Annotation.id, Annotation.site, Annotation.source_id, Annotation.labels)
    wanted = wanted.where(Annotation.label_set_id == label_set_id).order_by(Annotation.id)
    rows = session.execute(wanted if site is None else wanted.where(Annotation.site == site)).all()
    readings = _readings(session, [row.id for row in rows])
    return [ReadReport(row.site, row.source_id, tuple(row.labels), tuple(readings.get(row.id, ()))) for row in rows]


def annotated_set(session: Session, name: str | None) -> LabelSet:
    """The label set of that name, or the only one that anybody has annotated. Raises `UnknownLabelSet`."""
    if name is not None:
        return label_sets.named(session, name)
    found = list(
        session.scalars(
            select(LabelSet).where(LabelSet.id.in_(select(Annotation.label_set_id))).order_by(LabelSet.name)
        )
    )
    if not found:
        raise label_sets.UnknownLabelSet("there are no annotations yet; run `nightread annotations import FILE`")
    if len(found) > 1:
        raise label_sets.UnknownLabelSet(
            f"annotations belong to {len(found)} label sets; say --label-set {' or '.join(one.name for one in found)}"
        )
    return found[0]


def counts(session: Session) -> list[Annotators]:
    """Where annotations are, by label set and site."""
    found: dict[tuple[str, str], Annotators] = {}
    by_split = (
        select(LabelSet.name, Annotation.site, Annotation.split, func.count())
        .join(LabelSet, LabelSet.id == Annotation.label_set_id)
        .group_by(LabelSet.name, Annotation.site, Annotation.split)
        .order_by(LabelSet.name, Annotation.site)
    )
    for label_set, site, split, reports in session.execute(by_split):
        one = found.setdefault((label_set, site), Annotators(label_set, site, dict.fromkeys(Split, 0), {}))
        one.splits[Split(split)] = reports
    by_annotator = (
        select(LabelSet.name, Annotation.site, AnnotationReading.annotator, func.count())
        .join(Annotation, Annotation.id == AnnotationReading.annotation_id)
        .join(LabelSet, LabelSet.id == Annotation.label_set_id)
        .group_by(LabelSet.name, Annotation.site, AnnotationReading.annotator)
        .order_by(AnnotationReading.annotator)
    )
    for label_set, site, annotator, reports in session.execute(by_annotator):
        found[label_set, site].annotators[annotator] = reports
    return list(found.values())


def fitted_hashes(session: Session, version_id: int) -> set[str]:
    """Hashes of the texts that a model version was fitted or calibrated on."""
    return set(
        session.scalars(
            select(Annotation.text_hash)
            .join(FittedOn, FittedOn.annotation_id == Annotation.id)
            .where(FittedOn.model_version_id == version_id)
        )
    )


def fitted_sites(session: Session, version_id: int, split: Split | None = None) -> set[str]:
    """Sites whose annotations a model version was fitted or calibrated on, or those of one split alone."""
    wanted = select(Annotation.site).join(FittedOn, FittedOn.annotation_id == Annotation.id).distinct()
    wanted = wanted.where(FittedOn.model_version_id == version_id)
    return set(session.scalars(wanted if split is None else wanted.where(Annotation.split == split)))


def truth(rows: Sequence[Annotation | Annotated]) -> NDArray[np.int8]:
    """Their labels (annotations, labels) of 0 and 1, in the order of their label set."""
    return np.array([one.labels for one in rows], dtype=np.int8)
