"""CSV and Parquet feeds as tests lay them out and read them."""

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
from pyarrow import parquet

from pipeline import feeds
from pipeline.feeds.record import (
    Item,
    Reader,
    Record,
    Skipped,
    Unreadable,
)
from pipeline.settings import FeedSettings

REAL = Path(__file__).parents[3] / "shared" / "data" / "chest-ct-reports" / "reports.csv"
SEOUL = ZoneInfo("Asia/Seoul")
LIMIT = 1_000_000
EVERY_COLUMN = {
    "updated_at": "updated",
    "withdrawn": "gone",
    "accession": "acc",
    "patient": "subject",
    "study_at": "study",
    "issued_at": "issued",
    "code": "code",
    "modality": "mod",
}

Json = dict[str, Any]


def feed(folder: Path, kind: str = "csv", columns: dict[str, str] | None = None, **changes: Any) -> FeedSettings:
    return FeedSettings.model_validate(
        {"kind": kind, "path": folder, "site": "seoul", "columns": columns or {}, **changes}
    )


def opened(one: FeedSettings, cursor: Json | None = None, *, max_text_bytes: int = LIMIT) -> Reader:
    return feeds.reader(one, cursor or {}, max_text_bytes=max_text_bytes, zone=one.zone(SEOUL))


def read(one: FeedSettings, cursor: Json | None = None, *, max_text_bytes: int = LIMIT) -> tuple[list[Item], Json]:
    reader = opened(one, cursor, max_text_bytes=max_text_bytes)
    items = list(reader)
    return items, json.loads(json.dumps(reader.cursor()))


def table(folder: Path, name: str, columns: dict[str, Any], *, age: float = 60, **how: Any) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pa.table(columns), path, **how)
    os.utime(path, (time.time() - age,) * 2)
    return path


def texts(items: Sequence[Item]) -> dict[str, str | None]:
    return {item.source_id: item.text for item in items if isinstance(item, Record)}


def reasons(items: Sequence[Item]) -> list[tuple[str, str]]:
    return [(item.place, item.reason) for item in items if isinstance(item, Unreadable | Skipped)]
