"""What many tests begin with: records as a feed sends them, a feed to store them in, files to read them from."""

import base64
import json
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline import pulls, reports
from pipeline.feeds.record import Item, Record
from pipeline.labelling import LabelRules
from pipeline.settings import FeedSettings
from pipeline.tables import Feed

if TYPE_CHECKING:
    from under_test import HouseUnderTest

MONDAY = datetime(2024, 3, 4, 2, tzinfo=UTC)
RULES = LabelRules(reports=64, attempts=3)


def record(source_id: str = "r1", text: str | None = "No pleural effusion.", **changes: Any) -> Record:
    """A report as a feed states it on Monday; without text it is withdrawn."""
    stated: dict[str, Any] = {
        "place": f"a.ndjson:{source_id}",
        "updated_at": MONDAY,
        "withdrawn": text is None,
        "accession": f"A-{source_id}",
        "patient": "P1",
        "study_at": MONDAY,
        "issued_at": MONDAY,
        "code": "24627-2",
        "modality": "CT",
    }
    return Record(source_id=source_id, text=text, **(stated | changes))


def store(
    house: "HouseUnderTest",
    *items: Item,
    feed: str = "main",
    site: str = "seoul",
    cursor: dict[str, Any] | None = None,
    rules: LabelRules = RULES,
) -> Counter[str]:
    """Store one chunk of a feed, as a pull does."""
    with house.sessions.begin() as session:
        pulls.register(session, feed, FeedSettings(path=Path("/nowhere"), site=site))
        return reports.store(session, session.get_one(Feed, feed), list(items), cursor=cursor or {}, rules=rules)


def stored(house: "HouseUnderTest", texts: Sequence[str], *, rules: LabelRules = RULES) -> list[int]:
    """Reports r1, r2, … with these texts; their ids."""
    store(house, *(record(f"r{number}", text) for number, text in enumerate(texts, 1)), rules=rules)
    return [row.id for row in house.rows("SELECT id FROM report ORDER BY id")]


def fhir(source_id: str, text: str, **changes: Any) -> bytes:
    """A line of FHIR Bulk NDJSON."""
    resource = {
        "resourceType": "DiagnosticReport",
        "id": source_id,
        "meta": {"lastUpdated": "2024-03-04T02:00:00Z"},
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "24627-2"}]},
        "presentedForm": [{"contentType": "text/plain", "data": base64.b64encode(text.encode()).decode()}],
    }
    return json.dumps(resource | changes).encode() + b"\n"


def feed_folder(house: "HouseUnderTest", folder: Path, **feed: str) -> None:
    """Let the house's settings name one feed, `main`, in `folder`."""
    lines = [f'path = "{folder}"', 'site = "seoul"', *(f'{key} = "{value}"' for key, value in feed.items())]
    house.configure("\n".join(["[feeds.main]", *lines, ""]))
