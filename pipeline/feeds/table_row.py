"""One row of a table with named columns as a record: pure, whatever file it comes from.

Decisions, with their reasons:

* **Ids and codes** lose the white space around them (columns of fixed width are padded); the text loses
  nothing. Numbers are ids too, without the ".0" that they get where a column has gaps.
* **Times.** An empty one is unknown. One that cannot be read quarantines the record: which version is newer
  hangs on it. `issued_at` stands in for `updated_at`, as it does in FHIR.
* **Withdrawn.** Words that say so and words that say the opposite are known; any other quarantines the
  record, because it decides whether a report may be used at all.
* **Wants.** A code is compared as the column writes it. A withdrawal without a code still withdraws: it may
  be one of ours, and withdrawing what we never had harms nothing.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from pipeline.feeds import report_text
from pipeline.feeds.fields import Unusable, short, source_id_of
from pipeline.feeds.record import Item, Reason, Record, Skipped, SkipReason, Unreadable, Wants
from pipeline.feeds.table_time import moment
from pipeline.settings import Columns

# Bytes that are no text in the table's encoding come as lone surrogates (Python's "surrogateescape").
Cell = str | int | float | Decimal | bool | datetime | None

_ESCAPED = re.compile("[\udc80-\udcff]")

WITHDRAWN = frozenset({"true", "t", "1", "yes", "y", "deleted"})
STANDS = frozenset({"", "false", "f", "0", "no", "n", "active", "final", "inserted", "updated"})


class TableRefused(Exception):
    """The columns of a table are not what the settings name; carries the reason."""

    def __init__(self, reason: Reason, column: str) -> None:
        self.reason = f"{reason}:{column}"
        super().__init__(self.reason)


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a feed's settings say about the rows of its tables. `undecodable`: the reason for bytes that are no text."""

    columns: Columns
    wants: Wants
    max_text_bytes: int
    zone: ZoneInfo
    undecodable: Reason = Reason.INVALID_UTF_8

    def positions(self, header: Sequence[str]) -> dict[str, int]:
        """Where each field of a record stands in a table with these columns. Raises `TableRefused`."""
        found = {}
        for field, column in self.columns:
            if column is None:
                continue
            if column not in header:
                raise TableRefused(Reason.MISSING_COLUMN, column)
            if header.count(column) > 1:
                raise TableRefused(Reason.DOUBLE_COLUMN, column)
            found[field] = header.index(column)
        return found


def read_row(place: str, cells: Mapping[str, Cell], meaning: Meaning) -> Item:
    """Exactly one item for one row, its cells by the names of `Columns`; never raises."""
    source_id: str | None = None
    updated_at: datetime | None = None
    wants = meaning.wants
    try:
        source_id = source_id_of(_word(cells, "source_id", meaning))
        withdrawn = _withdrawn(cells, meaning)
        code = short(_word(cells, "code", meaning))
        modality = short(_word(cells, "modality", meaning))
        if wants.codes and code not in wants.codes and not (withdrawn and code is None):
            return Skipped(place, SkipReason.OTHER_CODE)
        if wants.modalities and modality not in wants.modalities and not (withdrawn and modality is None):
            return Skipped(place, SkipReason.OTHER_MODALITY)
        updated_at = issued_at = _time(cells, "issued_at", meaning)
        updated_at = _time(cells, "updated_at", meaning) or issued_at
        return Record(
            place=place,
            source_id=source_id,
            updated_at=updated_at,
            withdrawn=withdrawn,
            text=None if withdrawn else _text(cells, meaning),
            accession=short(_word(cells, "accession", meaning)),
            patient=short(_word(cells, "patient", meaning)),
            study_at=_time(cells, "study_at", meaning),
            issued_at=issued_at,
            code=code,
            modality=modality,
        )
    except Unusable as stop:
        return Unreadable(place, stop.reason, source_id, updated_at)


def _word(cells: Mapping[str, Cell], field: str, meaning: Meaning) -> str | None:
    """A short cell as it is stored; None when it is empty."""
    match cells.get(field):
        case None:
            return None
        case bool(value):
            return str(value).lower()
        case float() | Decimal() as value:
            if value != value:  # NaN, a gap  # noqa: PLR0124
                return None
            return str(int(value)) if value % 1 == 0 else str(value)
        case datetime() as value:
            return value.isoformat()
        case value:
            return _decoded(str(value), meaning).strip() or None


def _decoded(value: str, meaning: Meaning) -> str:
    if _ESCAPED.search(value):
        raise Unusable(meaning.undecodable)
    return value


def _withdrawn(cells: Mapping[str, Cell], meaning: Meaning) -> bool:
    word = (_word(cells, "withdrawn", meaning) or "").lower()
    if word not in WITHDRAWN | STANDS:
        raise Unusable(Reason.BAD_STATUS)
    return word in WITHDRAWN


def _time(cells: Mapping[str, Cell], field: str, meaning: Meaning) -> datetime | None:
    match cells.get(field):
        case datetime() as value:
            try:
                return (value if value.tzinfo else value.replace(tzinfo=meaning.zone)).astimezone(UTC)
            except OverflowError:
                raise Unusable(Reason.BAD_TIME) from None
        case _:
            word = _word(cells, field, meaning)
            at = moment(word, meaning.zone) if word else None
            if word and at is None:
                raise Unusable(Reason.BAD_TIME)
            return at


def _text(cells: Mapping[str, Cell], meaning: Meaning) -> str:
    value = cells.get("text")
    if value is None:
        raise Unusable(Reason.EMPTY_TEXT)
    if not isinstance(value, str):
        raise Unusable(Reason.WRONG_TYPE)
    return report_text.stored(_decoded(value, meaning), max_text_bytes=meaning.max_text_bytes)
