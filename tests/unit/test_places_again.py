"""A place of any feed is read again; and the real reports, through CSV and Parquet."""

import csv
import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from feed_files import write
from tables_on_disk import REAL, feed, opened, read, reasons, table, texts

from pipeline.feeds.record import (
    PlaceGone,
    Reason,
    Record,
    Unreadable,
)
from pipeline.settings import FeedSettings

# --- a place, again


def test_every_place_can_be_read_again(tmp_path: Path) -> None:
    content = b'id,text,code\nr1,"a\nb",c\nr2,"x"y",c\nr3,d,other\nr4,,c\n'
    write(tmp_path, "a.csv", content)
    write(tmp_path, "sub/b:2.csv.gz", gzip.compress(content))
    table(tmp_path, "a.parquet", {"id": ["r1", "r2", "r3"], "text": ["x", "", "z"], "code": ["c", "c", "other"]})
    for kind, count in (("csv", 8), ("parquet", 3)):
        one = feed(tmp_path, kind, {"code": "code"}, codes=["c"])
        items, cursor = read(one)
        assert len(items) == count
        reader = opened(one, cursor)
        assert [reader.again(item.place) for item in items] == items
        assert json.loads(json.dumps(reader.cursor())) == cursor


@pytest.mark.parametrize(
    ("place", "says"),
    [
        ("a.csv", "whole file"),
        ("gone.csv:2", r"gone\.csv is no longer in"),
        ("../a.csv:2", "no longer in"),
        ("a.csv:1", "no report begins at"),
        ("a.csv:3", "no report begins at"),
        ("a.csv:99", "the next pull reads what the file holds now"),
        ("a.csv:row 1", "whole file"),
        ("a.parquet:row 0", "no report begins at"),
        ("a.parquet:row 2", "no report begins at"),
    ],
)
def test_a_place_that_is_gone_says_so(tmp_path: Path, place: str, says: str) -> None:
    write(tmp_path, "feed/a.csv", 'id,text\nr1,"a\nb"\n')
    write(tmp_path, "a.csv", "id,text\nsecret,outside of the feed\n")
    table(tmp_path, "feed/a.parquet", {"id": ["r1"], "text": ["x"]})
    kind = "parquet" if "parquet" in place else "csv"
    with pytest.raises(PlaceGone, match=says):
        opened(feed(tmp_path / "feed", kind)).again(place)


def test_what_a_mended_place_holds_now(tmp_path: Path) -> None:
    write(tmp_path, "a.csv", "id,text\nr1,\n")
    items, _ = read(feed(tmp_path))
    assert reasons(items) == [("a.csv:2", Reason.EMPTY_TEXT)]
    write(tmp_path, "a.csv", "id,text\nr1,No effusion.\n")
    again = opened(feed(tmp_path)).again("a.csv:2")
    assert isinstance(again, Record)
    assert again.text == "No effusion."
    write(tmp_path, "a.csv", "id,report\nr1,No effusion.\n")
    assert opened(feed(tmp_path)).again("a.csv:2") == Unreadable("a.csv:2", "missing-column:text")
    write(tmp_path, "a.csv", "id,text\nr1,No effusion.\nr2,Clear.\n")
    lacking = feed(tmp_path, columns={"patient": "subject"})  # the settings changed, and an earlier line is fine
    assert opened(lacking).again("a.csv:3") == Unreadable("a.csv:3", "missing-column:subject")
    write(tmp_path, "b.csv", 'id,text\nr1,"still being wri', age=0)
    assert opened(feed(tmp_path)).again("b.csv:2") == Unreadable("b.csv:2", Reason.BROKEN_CSV)


# --- real reports


@pytest.mark.skipif(not REAL.is_file(), reason="../shared/data is not here")
def test_real_reports(tmp_path: Path) -> None:
    with REAL.open(encoding="utf-8", newline="") as file:
        wanted = {row["AccessionNo"]: row["report_text"] for row in csv.DictReader(file)}
    columns = {"source_id": "AccessionNo", "text": "report_text"}
    write(tmp_path, "a.csv", REAL.read_bytes())
    table(tmp_path, "a.parquet", {"AccessionNo": list(wanted), "report_text": list(wanted.values())})
    for kind in ("csv", "parquet"):
        items, _ = read(feed(tmp_path, kind, columns))
        assert texts(items) == wanted
        assert len(items) == 793


@pytest.mark.parametrize("packed", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_a_place_of_ndjson_again(tmp_path: Path, packed: Callable[[bytes], bytes]) -> None:
    """The other format has its tests in test_fhir_growing.py; this is what the three have in common."""
    lines = [
        json.dumps({"resourceType": "DiagnosticReport", "id": "r1", "status": "final", "conclusion": "Clear."}),
        "{broken",
        json.dumps({"resourceType": "DiagnosticReport", "id": "r2", "status": "registered"}),
    ]
    requests = [{"method": "DELETE", "url": f"DiagnosticReport/{name}"} for name in ("r8", "r9")]
    bundle = json.dumps({"resourceType": "Bundle", "entry": [{"request": request} for request in requests]})
    suffix = ".gz" * (packed is gzip.compress)
    write(tmp_path, f"a.ndjson{suffix}", packed("\n".join([*lines, ""]).encode()))
    write(tmp_path, f"deleted/b.ndjson{suffix}", packed(f"{bundle}\n".encode()))
    one = FeedSettings(path=tmp_path, site="seoul")
    items, _ = read(one)
    assert len(items) == 5
    reader = opened(one)
    assert [reader.again(item.place) for item in items] == items
    for place, says in (
        (f"a.ndjson{suffix}:9", "nothing is at"),
        (f"a.ndjson{suffix}", "whole file"),
        (f"b.ndjson{suffix}:1", "no longer in"),
        (f"deleted/b.ndjson{suffix}:1", "Bundle of deletions"),
        (f"deleted/b.ndjson{suffix}:1 entry 3", "Bundle of deletions"),
    ):
        with pytest.raises(PlaceGone, match=says):
            reader.again(place)
