"""What a reader yields: a report as it was sent, a place that could not be read, or a thing nobody asked
for.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from pipeline.errors import NightreadError


class FeedFolderMissing(NightreadError):
    """The folder that a feed should read is not there or may not be listed; it may come back."""


class PlaceGone(NightreadError):
    """A place that a quarantine row names holds no record that could be read again."""


class Reason(StrEnum):
    """Why a place in a feed could not be read; kept in the quarantine row."""

    BROKEN_JSON = "broken-json"
    BROKEN_CSV = "broken-csv"
    BROKEN_PARQUET = "broken-parquet"
    WRONG_NUMBER_OF_FIELDS = "wrong-number-of-fields"
    MISSING_COLUMN = "missing-column"
    DOUBLE_COLUMN = "double-column"
    WRONG_TYPE = "wrong-type"
    MISSING_ID = "missing-id"
    BAD_ID = "bad-id"
    BAD_STATUS = "bad-status"
    BAD_TIME = "bad-time"
    BAD_BASE64 = "bad-base64"
    UNSUPPORTED_CONTENT_TYPE = "unsupported-content-type"
    UNSUPPORTED_CHARSET = "unsupported-charset"
    INVALID_UTF_8 = "invalid-utf-8"
    INVALID_CHARSET = "invalid-charset"  # the bytes are not what the declared charset (EUC-KR, …) allows
    NUL_BYTE = "nul-byte"
    LONE_SURROGATE = "lone-surrogate"
    EMPTY_TEXT = "empty-text"
    OVERSIZED_TEXT = "oversized-text"
    OVERSIZED_LINE = "oversized-line"
    OVERSIZED_FIELD = "oversized-field"
    ATTACHMENT_BY_URL = "attachment-by-url"
    BROKEN_GZIP = "broken-gzip"
    UNREADABLE_FILE = "unreadable-file"


class SkipReason(StrEnum):
    """Why a readable thing is not taken; counted by reason, never stored."""

    OTHER_CODE = "other-code"
    OTHER_MODALITY = "other-modality"
    NO_REPORT_YET = "no-report-yet"


@dataclass(frozen=True, slots=True)
class Record:
    """One report as its source states it now. All times are aware and in UTC.

    `place` names file and line, never text. `text` is None exactly when `withdrawn`. `patient` is the
    source's own pseudonymous subject reference; `updated_at` is None when the source says nothing.
    """

    place: str
    source_id: str
    updated_at: datetime | None
    withdrawn: bool
    text: str | None
    accession: str | None
    patient: str | None
    study_at: datetime | None
    issued_at: datetime | None
    code: str | None
    modality: str | None


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A place that becomes a quarantine row. `source_id` is known when the damage left it readable.

    `reason` is a `Reason`, or one with the column it is about: "missing-column:report_text".
    """

    place: str
    reason: str
    source_id: str | None = None
    updated_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Skipped:
    """A readable thing that the feed did not ask for."""

    place: str
    reason: str


Item = Record | Unreadable | Skipped


@dataclass(frozen=True, slots=True)
class Wants:
    """What a feed asks for. An empty set asks for everything.

    `codes`: "24627-2" or "http://loinc.org|24627-2"; `modalities`: "CT", "RAD", "LP29684-5". Both
    case-sensitive, as code systems are.
    """

    codes: frozenset[str] = frozenset()
    modalities: frozenset[str] = frozenset()


class Reader(Protocol):
    """A feed, read once from where its cursor stands. Iterate, and take `cursor()` whenever a chunk is
    stored.

    `cursor()` is a fresh JSON-able dict that stands after the last item yielded, or after the end once
    iteration is over (which can differ: a half-written last line was seen and left). Reading again from any
    cursor repeats at most what came after it; nothing is passed over.

    `again` reads the one place that an item named, whatever the cursor says, as it is now. It raises
    `PlaceGone` where nothing is there to be read.
    """

    def __iter__(self) -> Iterator[Item]: ...

    def cursor(self) -> dict[str, Any]: ...

    def again(self, place: str) -> Item: ...
