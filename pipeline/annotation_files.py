"""A CSV of labelled reports: which columns are what, which split each report falls into, what cannot be used."""

import dataclasses
import hashlib
import re
import unicodedata
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline import csv_tables
from pipeline.errors import NightreadError
from pipeline.tables import Split

ID_COLUMNS = ("id", "source_id", "report_id", "accessionno", "accession")
TEXT_COLUMNS = ("report_text", "text", "report")
SITE_COLUMN, SPLIT_COLUMN, ANNOTATOR_COLUMN = "site", "split", "annotator"
PATIENT_COLUMNS = ("patient", "patient_id")
# What `annotations export` writes beside the texts for the people who read them.
HELPER_COLUMNS = ("language", "asked_for", "probability")
RESERVED_NAMES = frozenset(
    {*ID_COLUMNS, *TEXT_COLUMNS, *PATIENT_COLUMNS, *HELPER_COLUMNS, SITE_COLUMN, SPLIT_COLUMN, ANNOTATOR_COLUMN}
)
DEFAULT_SITE = "unknown"
DEFAULT_ANNOTATOR = "unknown"
VALUES = {"0": 0, "1": 1, "0.0": 0, "1.0": 1, "true": 1, "false": 0}
# A column that is nearly all 0 and 1 was meant as a label; its other values are mistakes, not another kind of data.
MEANT_AS_LABEL = 0.9


class UnusableAnnotations(NightreadError):
    """The file cannot be used as it is; the message names place and way out."""


@dataclass(frozen=True, slots=True)
class Annotated:
    """One labelled report; labels are 0 or 1 in the order of the file's label names."""

    source_id: str
    site: str
    text: str
    text_hash: str
    labels: tuple[int, ...]
    split: Split
    annotator: str = DEFAULT_ANNOTATOR


@dataclass(frozen=True)
class AnnotationFile:
    """A file of annotations in file order; a text occurs once per site and annotator.

    `unread` counts reports without a single label: not yet read by whoever was asked.
    """

    labels: tuple[str, ...]
    rows: tuple[Annotated, ...]
    ignored_columns: tuple[str, ...]
    unread: int = 0

    def require_labels(self, labels: Collection[str], *, of: str) -> None:
        """Raises `UnusableAnnotations` unless these labels, `of` a model or a label set, are the file's."""
        if differing := set(self.labels) ^ set(labels):
            raise UnusableAnnotations(
                f"{of} has {len(labels)} labels, the annotations have {len(self.labels)}; "
                f"only one of the two has: {', '.join(sorted(differing))}"
            )

    def in_order(self, labels: Sequence[str]) -> list[Annotated]:
        """The rows with their labels in another order of the same names."""
        places = [self.labels.index(name) for name in labels]
        return [dataclasses.replace(one, labels=tuple(one.labels[place] for place in places)) for one in self.rows]


def text_hash(text: str) -> str:
    """SHA-256, in hex, of the text without its accidents: Unicode form, letter case, white space."""
    plain = re.sub(r"\s+", " ", unicodedata.normalize("NFC", text)).strip().casefold()
    return hashlib.sha256(plain.encode()).hexdigest()


def split_of(key: str) -> Split:
    """The split that a patient's or a text's hash falls into: 80 % train, 10 % calibration, 10 % gate."""
    share = int(hashlib.sha256(f"split\x1f{key}".encode()).hexdigest()[:8], 16) % 100
    if share < 80:
        return Split.TRAIN
    return Split.CALIBRATION if share < 90 else Split.GATE


def read(
    file: Path,
    *,
    id_column: str | None = None,
    text_column: str | None = None,
    annotator: str | None = None,
    known: Sequence[Sequence[str]] = (),
) -> AnnotationFile:
    """Read a CSV of labelled reports; every 0/1 column without another meaning is a label.

    `annotator` read all of them, unless a column names who did. If the file has a column for every label of one of
    the sets `known`, those are labels whatever they hold, so that a gap in them is an error, not another kind of
    data; only a report with no label at all is left out, as unread. A text that occurs twice at a site counts once
    for each annotator. Raises `UnusableAnnotations` naming line and column.
    """
    header, lines = csv_tables.read(file, UnusableAnnotations)
    columns = _Columns.find(file, header, id_column, text_column)
    if annotator is not None and columns.annotator is not None:
        raise UnusableAnnotations(
            f"{file} names its annotators in the column {columns.annotator!r}; leave out --annotator"
        )
    certain = max((names for names in known if set(names) <= set(header)), key=len, default=())
    filled = [(number, line) for number, line in lines if not certain or any(line[name].strip() for name in certain)]
    if not filled:
        raise UnusableAnnotations(f"{file}: no report has a label yet; fill in 0 or 1 for every finding")
    labels, ignored = _label_columns(file, header, filled, columns, certain)
    rows: dict[tuple[str, str, str], tuple[int, Annotated]] = {}
    for number, line in filled:
        row = _annotated(file, number, line, columns, labels, (annotator or "").strip() or DEFAULT_ANNOTATOR)
        line_before, before = rows.setdefault((row.site, row.text_hash, row.annotator), (number, row))
        if before.labels != row.labels:
            raise UnusableAnnotations(
                f"{file}: lines {line_before} and {number} hold the same text with different labels; keep one"
            )
    return AnnotationFile(
        labels=tuple(labels),
        rows=tuple(row for _, row in rows.values()),
        ignored_columns=tuple(ignored),
        unread=len(lines) - len(filled),
    )


@dataclass(frozen=True)
class _Columns:
    text: str
    id: str | None
    site: str | None
    split: str | None
    patient: str | None
    annotator: str | None

    @classmethod
    def find(cls, file: Path, header: Sequence[str], id_column: str | None, text_column: str | None) -> "_Columns":
        lower = {name.lower(): name for name in header}

        def first(names: Sequence[str]) -> str | None:
            return next((lower[name] for name in names if name in lower), None)

        for asked in (id_column, text_column):
            if asked is not None and asked not in header:
                # Not quoted: without a header the first line is a report.
                raise UnusableAnnotations(f"none of the {len(header)} columns that {file} names is {asked!r}")
        text = text_column or first(TEXT_COLUMNS)
        if text is None:
            raise UnusableAnnotations(
                f"{file} has no column {' or '.join(TEXT_COLUMNS)}; name the one with the texts with --text-column"
            )
        return cls(
            text=text,
            id=id_column or first(ID_COLUMNS),
            site=lower.get(SITE_COLUMN),
            split=lower.get(SPLIT_COLUMN),
            patient=first(PATIENT_COLUMNS),
            annotator=lower.get(ANNOTATOR_COLUMN),
        )

    def is_label(self, name: str) -> bool:
        """Whether a column may be a label: one with a meaning of its own is none, even if it holds 0 and 1."""
        named = (self.text, self.id, self.site, self.split, self.patient, self.annotator)
        return name not in named and name.lower() not in {*ID_COLUMNS, *HELPER_COLUMNS}


def _label_columns(
    file: Path,
    header: Sequence[str],
    lines: list[tuple[int, dict[str, str]]],
    columns: _Columns,
    certain: Collection[str],
) -> tuple[list[str], list[str]]:
    """Columns that are labels, and those that are nothing; both in the file's order."""
    labels, ignored = [], []
    for name in header:
        if name not in certain and not columns.is_label(name):
            continue
        wrong = [(number, row[name].strip()) for number, row in lines if row[name].strip().lower() not in VALUES]
        if not wrong:
            labels.append(name)
        elif name in certain or len(wrong) <= (1 - MEANT_AS_LABEL) * len(lines):
            number, value = wrong[0]
            what = "is neither 0 nor 1" if value else "is empty; every finding of a report needs 0 or 1"
            raise UnusableAnnotations(f"{file}: line {number}, column {name!r} {what}")
        else:
            ignored.append(name)
    if not labels:
        raise UnusableAnnotations(f"{file} has no 0/1 column; every label needs one")
    return labels, ignored


def _annotated(
    file: Path, number: int, line: dict[str, str], columns: _Columns, labels: Sequence[str], annotator: str
) -> Annotated:
    text = line[columns.text]
    if not text.strip():
        raise UnusableAnnotations(f"{file}: line {number} has no text in column {columns.text!r}")
    if "\x00" in text:
        raise UnusableAnnotations(f"{file}: line {number} holds a NUL character; remove it")
    named = line[columns.split].strip().lower() if columns.split else ""
    if named and named not in set(Split):
        raise UnusableAnnotations(
            f"{file}: line {number} has split {named!r}; use train, calibration or gate, or leave it empty"
        )
    if columns.annotator and not (annotator := line[columns.annotator].strip()):
        raise UnusableAnnotations(f"{file}: line {number} names no annotator in column {columns.annotator!r}")
    hashed = text_hash(text)
    patient = line[columns.patient].strip() if columns.patient else ""
    return Annotated(
        source_id=line[columns.id].strip() if columns.id else str(number),
        site=(line[columns.site].strip() if columns.site else "") or DEFAULT_SITE,
        text=text,
        text_hash=hashed,
        labels=tuple(VALUES[line[name].strip().lower()] for name in labels),
        split=Split(named) if named else split_of(patient or hashed),
        annotator=annotator,
    )
