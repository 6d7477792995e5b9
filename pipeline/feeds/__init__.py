"""Where reports come from: one reader per feed kind. A new format is a new file here and a line in
`READERS`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from pipeline.feeds.fhir_ndjson import FhirNdjson
from pipeline.feeds.record import Reader, Wants
from pipeline.names import FeedKind


class OpenFeed(Protocol):
    def __call__(self, folder: Path, cursor: Mapping[str, Any], *, wants: Wants, max_text_bytes: int) -> Reader: ...


READERS: Mapping[str, OpenFeed] = {
    FeedKind.FHIR_NDJSON: FhirNdjson,
}
