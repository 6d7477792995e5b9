"""A CSV of a hospital's own findings: a line per finding, with its names, its column in SQL and its codes."""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from stdnum import verhoeff

from pipeline import csv_tables
from pipeline.annotation_files import RESERVED_NAMES
from pipeline.errors import NightreadError

# In the order in which `labels export` writes them; only the first is needed.
COLUMNS = ("name", "korean_name", "column_name", "snomed_ct", "radlex")
# Columns that report_labels has before the labels' own.
RESERVED_COLUMNS = frozenset(
    {"report_id", "site", "source_system", "source_id", "version", "accession", "patient", "study_at", "received_at"}
    | {"language", "flagged", "model_version", "labelled_at", "stale"}
)
COLUMN_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")


class UnusableLabels(NightreadError):
    """The file cannot be used as it is; the message names the line and the way out."""


@dataclass(frozen=True, slots=True)
class NamedLabel:
    """One finding: English name, and what else is known of it. Without a column name one is made of the name."""

    name: str
    korean_name: str | None = None
    column_name: str | None = None
    snomed_ct: str | None = None
    radlex: str | None = None


@dataclass(frozen=True)
class LabelSetFile:
    """Findings in the file's order. What a column that is missing would hold is not known, rather than nothing."""

    labels: tuple[NamedLabel, ...]
    columns: frozenset[str]


def read(file: Path) -> LabelSetFile:
    """Read a CSV with the columns name, korean_name, column_name, snomed_ct, radlex. Raises `UnusableLabels`."""
    header, lines = csv_tables.read(file, UnusableLabels)
    unknown = [name for name in header if name not in COLUMNS]
    if unknown or "name" not in header:
        raise UnusableLabels(
            f"{file} has the columns {', '.join(header)}; it needs name, and may have {', '.join(COLUMNS[1:])}"
        )
    labels: list[NamedLabel] = []
    line_of: dict[tuple[str, str], int] = {}
    for number, line in lines:
        label = _label(f"{file}: line {number}", line)
        # Names that differ in case alone would be one to people; columns are lower case anyway.
        for column, value in (("name", label.name.casefold()), ("column_name", label.column_name)):
            before = line_of.setdefault((column, value), number) if value else number
            if before != number:
                raise UnusableLabels(f"{file}: lines {before} and {number} have the same {column}; each needs its own")
        labels.append(label)
    return LabelSetFile(tuple(labels), frozenset(header))


def _label(place: str, line: Mapping[str, str]) -> NamedLabel:
    values = {name: unicodedata.normalize("NFC", value).strip() for name, value in line.items()}
    label = NamedLabel(values.pop("name"), **{name: value or None for name, value in values.items()})
    if not label.name:
        raise UnusableLabels(f"{place} has no name; every finding needs its English name")
    if label.name.lower() in RESERVED_NAMES:
        raise UnusableLabels(
            f"{place}: a finding cannot be called {label.name!r}, which in files of annotations is another column"
        )
    if label.column_name and not COLUMN_NAME.fullmatch(label.column_name):
        raise UnusableLabels(
            f"{place}: column_name {label.column_name!r} is no column; use a-z, 0-9 and _, a letter first, up to 63"
        )
    if label.column_name in RESERVED_COLUMNS:
        raise UnusableLabels(f"{place}: report_labels has a column {label.column_name!r} already; choose another")
    if label.snomed_ct:
        _check_snomed_ct(place, label.snomed_ct)
    if label.radlex and not re.fullmatch(r"RID[1-9]\d*", label.radlex):
        raise UnusableLabels(f"{place}: {label.radlex!r} is no RadLex id; these look like RID34539")
    return label


def _check_snomed_ct(place: str, code: str) -> None:
    """As SNOMED CT's Release File Specifications define an SCTID: the last digit is Verhoeff's check digit, and the two
    before it say what it identifies.
    """
    if not re.fullmatch(r"[1-9]\d{5,17}", code):
        raise UnusableLabels(f"{place}: {code!r} is no SNOMED CT id; these have 6 to 18 digits and nothing else")
    if not verhoeff.is_valid(code):
        raise UnusableLabels(f"{place}: SNOMED CT id {code} is mistyped: its check digit does not fit")
    if code[-3:-1] not in {"00", "10"}:
        raise UnusableLabels(f"{place}: {code} is the SNOMED CT id of a description or relationship, not of a concept")
