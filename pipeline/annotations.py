"""Labels given by people: reading them from CSV, splitting them once and for all, keeping them."""

import csv
import hashlib
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from pipeline.database import insert_by_copy
from pipeline.errors import NightreadError
from pipeline.tables import Annotation, FittedOn, Split

ID_COLUMNS = ("id", "report_id", "source_id", "accessionno", "accession")
TEXT_COLUMNS = ("report_text", "text", "report")
SITE_COLUMN, SPLIT_COLUMN = "site", "split"
PATIENT_COLUMNS = ("patient", "patient_id")
DEFAULT_SITE = "unknown"
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


@dataclass(frozen=True)
class AnnotationFile:
    """A file of annotations: unique texts per site, in file order."""

    labels: tuple[str, ...]
    rows: tuple[Annotated, ...]
    ignored_columns: tuple[str, ...]


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


def read(file: Path, *, id_column: str | None = None, text_column: str | None = None) -> AnnotationFile:
    """Read a CSV of labelled reports; every 0/1 column that is not id, text, site, split or patient is a label.

    A text that occurs twice at a site counts once. Raises `UnusableAnnotations` naming line and column.
    """
    header, lines = _lines(file)
    columns = _Columns.find(file, header, id_column, text_column)
    labels, ignored = _label_columns(file, header, lines, columns)
    rows: dict[tuple[str, str], tuple[int, Annotated]] = {}
    for number, line in lines:
        row = _annotated(file, number, line, columns, labels)
        line_before, before = rows.setdefault((row.site, row.text_hash), (number, row))
        if before.labels != row.labels:
            raise UnusableAnnotations(
                f"{file}: lines {line_before} and {number} hold the same text with different labels; keep one"
            )
    return AnnotationFile(
        labels=tuple(labels), rows=tuple(row for _, row in rows.values()), ignored_columns=tuple(ignored)
    )


@dataclass(frozen=True)
class _Columns:
    text: str
    id: str | None
    site: str | None
    split: str | None
    patient: str | None

    @classmethod
    def find(cls, file: Path, header: Sequence[str], id_column: str | None, text_column: str | None) -> "_Columns":
        lower = {name.lower(): name for name in header}

        def first(names: Sequence[str]) -> str | None:
            return next((lower[name] for name in names if name in lower), None)

        for asked in (id_column, text_column):
            if asked is not None and asked not in header:
                raise UnusableAnnotations(f"{file} has no column {asked!r}; it has: {', '.join(header)}")
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
        )

    def named(self) -> set[str]:
        return {name for name in (self.text, self.id, self.site, self.split, self.patient) if name is not None}


def _lines(file: Path) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    csv.field_size_limit(2**27)  # reports are longer than the csv module's default of 128 KiB allows
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream, strict=True)
            lines = [(reader.line_num, row) for row in reader]
            header = list(reader.fieldnames or ())
    except OSError as error:
        raise UnusableAnnotations(f"{file} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise UnusableAnnotations(f"{file} is not UTF-8 (byte {error.start}); convert it first") from None
    except csv.Error as error:
        raise UnusableAnnotations(f"{file} is no valid CSV: {error}") from None
    if not lines:
        raise UnusableAnnotations(f"{file} holds no rows; it needs a header line and one line per report")
    twice = next((name for name in header if header.count(name) > 1), None)
    if twice is not None:
        raise UnusableAnnotations(f"{file} has two columns named {twice!r}; rename or remove one")
    for number, row in lines:
        if None in row or None in row.values():
            raise UnusableAnnotations(f"{file}: line {number} does not have the header's {len(header)} columns")
    return header, lines


def _label_columns(
    file: Path, header: Sequence[str], lines: list[tuple[int, dict[str, str]]], columns: _Columns
) -> tuple[list[str], list[str]]:
    labels, ignored = [], []
    for name in header:
        if name in columns.named():
            continue
        wrong = [number for number, row in lines if row[name].strip().lower() not in VALUES]
        if not wrong:
            labels.append(name)
        elif len(wrong) <= (1 - MEANT_AS_LABEL) * len(lines):
            raise UnusableAnnotations(f"{file}: line {wrong[0]}, column {name!r} is neither 0 nor 1")
        else:
            ignored.append(name)
    if not labels:
        raise UnusableAnnotations(f"{file} has no 0/1 column; every label needs one")
    return labels, ignored


def _annotated(file: Path, number: int, line: dict[str, str], columns: _Columns, labels: Sequence[str]) -> Annotated:
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
    hashed = text_hash(text)
    patient = line[columns.patient].strip() if columns.patient else ""
    return Annotated(
        source_id=line[columns.id].strip() if columns.id else str(number),
        site=(line[columns.site].strip() if columns.site else "") or DEFAULT_SITE,
        text=text,
        text_hash=hashed,
        labels=tuple(VALUES[line[name].strip().lower()] for name in labels),
        split=Split(named) if named else split_of(patient or hashed),
    )


def keep(session: Session, rows: Sequence[Annotated], *, label_set_id: int) -> list[Annotation]:
    """Store annotations, in the order given; one already known keeps the split it was given first."""
    # A text may have been corrected in its labels; its split stays, or gate reports would leak into training.
    stored = insert_by_copy(
        session,
        "annotation",
        ("label_set_id", "site", "source_id", "text_hash", "text", "labels", "split"),
        ((label_set_id, one.site, one.source_id, one.text_hash, one.text, one.labels, one.split) for one in rows),
        conflict="ON CONFLICT (label_set_id, site, text_hash) DO UPDATE SET labels = excluded.labels",
        returning="id, site, text_hash",
    )
    ids = {(row.site, row.text_hash): row.id for row in stored}
    known = {
        annotation.id: annotation
        for annotation in session.scalars(select(Annotation).where(Annotation.id.in_(ids.values())))
    }
    return [known[ids[one.site, one.text_hash]] for one in rows]


def fitted_hashes(session: Session, version_id: int) -> set[str]:
    """Hashes of the texts that a model version was fitted or calibrated on."""
    return set(
        session.scalars(
            select(Annotation.text_hash)
            .join(FittedOn, FittedOn.annotation_id == Annotation.id)
            .where(FittedOn.model_version_id == version_id)
        )
    )
