"""FHIR Bulk NDJSON as tests make it and read it: reports, deletions, lines, folders."""

import base64
import json
from pathlib import Path
from typing import Any

from pipeline.feeds.fhir_ndjson import FhirNdjson
from pipeline.feeds.record import Item, Unreadable, Wants

ANYTHING = Wants()
LIMIT = 1_000_000
LOINC = "http://loinc.org"
V2_0074 = "http://terminology.hl7.org/CodeSystem/v2-0074"
Json = dict[str, Any]


def form(text: str | bytes, kind: str = "text/plain") -> Json:
    raw = text.encode() if isinstance(text, str) else text
    return {"contentType": kind, "data": base64.b64encode(raw).decode()}


def report(source_id: str | None = "r1", text: str = "No pleural effusion.", **changes: Any) -> Json:
    resource = {
        "resourceType": "DiagnosticReport",
        "id": source_id,
        "meta": {"lastUpdated": "2024-03-01T02:00:00+09:00"},
        "status": "final",
        "category": [{"coding": [{"system": V2_0074, "code": "RAD"}, {"system": V2_0074, "code": "CT"}]}],
        "code": {"coding": [{"system": LOINC, "code": "24627-2"}]},
        "presentedForm": [form(text)],
        **changes,
    }
    return {name: value for name, value in resource.items() if value is not None}


def deletions(*source_ids: str) -> Json:
    requests = [{"method": "DELETE", "url": f"DiagnosticReport/{source_id}"} for source_id in source_ids]
    return {"resourceType": "Bundle", "entry": [{"request": request} for request in requests]}


def line(**changes: Any) -> bytes:
    return json.dumps(report(**changes), ensure_ascii=False).encode() + b"\n"


def read(
    folder: Path, cursor: Json | None = None, *, wants: Wants = ANYTHING, **limits: int
) -> tuple[list[Item], Json]:
    reader = FhirNdjson(folder, cursor or {}, wants=wants, **{"max_text_bytes": LIMIT, **limits})
    items = list(reader)
    return items, json.loads(json.dumps(reader.cursor()))


def reasons(items: list[Item]) -> list[str]:
    return [item.reason for item in items if isinstance(item, Unreadable)]
