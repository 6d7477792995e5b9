"""A folder of Parquet files: types of every kind, files that are whole or wait, damage that costs itself only."""

import json
import os
import time
from datetime import UTC, date, datetime
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pytest
from feed_files import ids, write
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet
from tables_on_disk import EVERY_COLUMN, feed, opened, read, reasons, table

from pipeline.feeds.record import (
    Reason,
    Record,
    Unreadable,
)


def test_a_table_with_types_of_every_kind(tmp_path: Path) -> None:
    table(
        tmp_path,
        "day/a.parquet",
        {
            "id": pa.array([1, 2, None], pa.int64()),
            "text": pa.array(["우측 흉수.\r\n", "Clear.", "x"]).dictionary_encode(),
            "updated": pa.array([datetime(2026, 1, 2, 3)] * 3, pa.timestamp("ns")),
            "study": pa.array([date(2026, 1, 2), None, None], pa.date32()),
            "issued": pa.array([datetime(2026, 1, 2, tzinfo=UTC)] * 3, pa.timestamp("ms", tz="Asia/Seoul")),
            "acc": pa.array([17.0, None, 18.5]),
            "subject": pa.array(["P1", "P2", "P3"], pa.large_string()),
            "gone": pa.array([False, True, None]),
            "code": pa.array([b"24627-2"] * 3, pa.binary()),
            "mod": pa.array(["CT", None, "CT"], pa.string_view()),
            "other": pa.array([[1], [2], [3]]),
        },
    )
    items, cursor = read(feed(tmp_path, "parquet", EVERY_COLUMN))
    assert items[0] == Record(
        place="day/a.parquet:row 1",
        source_id="1",
        updated_at=datetime(2026, 1, 1, 18, tzinfo=UTC),
        withdrawn=False,
        text="우측 흉수.\n",
        accession="17",
        patient="P1",
        study_at=datetime(2026, 1, 1, 15, tzinfo=UTC),
        issued_at=datetime(2026, 1, 2, tzinfo=UTC),
        code="24627-2",
        modality="CT",
    )
    assert isinstance(items[1], Record)
    assert (items[1].withdrawn, items[1].text, items[1].study_at, items[1].accession) == (True, None, None, None)
    assert reasons(items) == [("day/a.parquet:row 3", Reason.MISSING_ID)]
    assert read(feed(tmp_path, "parquet", EVERY_COLUMN), cursor) == ([], cursor)


def test_times_beyond_the_calendar_and_bytes_that_are_no_text(tmp_path: Path) -> None:
    strings = pa.Array.from_buffers(pa.string(), 2, pa.array([b"a\xff", b"fine"]).buffers())
    far = pa.array([0, 2**62], pa.int64()).cast(pa.timestamp("us"))
    table(tmp_path, "a.parquet", {"id": ["r1", "r2"], "text": strings, "study": far})
    items, _ = read(feed(tmp_path, "parquet", {"study_at": "study"}))
    assert items == [
        Unreadable("a.parquet:row 1", Reason.INVALID_UTF_8, "r1"),
        Unreadable("a.parquet:row 2", Reason.BAD_TIME, "r2"),
    ]


def test_a_table_without_a_column_or_with_another_kind_of_it(tmp_path: Path) -> None:
    table(tmp_path, "a.parquet", {"id": ["r1"], "report": ["x"]})
    table(tmp_path, "b.parquet", {"id": ["r1"], "text": [["x"]]})
    table(tmp_path, "c.parquet", {"id": ["r1"], "text": [7]})
    items, cursor = read(feed(tmp_path, "parquet"))
    assert reasons(items) == [
        ("a.parquet", "missing-column:text"),
        ("b.parquet", "wrong-type:text"),
        ("c.parquet", "wrong-type:text"),
    ]
    assert read(feed(tmp_path, "parquet"), cursor)[0] == []
    mended = feed(tmp_path, "parquet", {"text": "report"})
    assert ids(read(mended, cursor)[0]) == ["r1"]


def test_row_groups_and_stopping_anywhere(tmp_path: Path) -> None:
    count = 1_000
    table(tmp_path, "a.parquet", {"id": list(range(count)), "text": ["x"] * count}, row_group_size=300)
    whole, _ = read(feed(tmp_path, "parquet"))
    assert ids(whole) == [str(n) for n in range(count)]
    for stop in (1, 127, 128, 129, 299, 300, 301, 650, 999):
        reader = opened(feed(tmp_path, "parquet"))
        items = list(islice(reader, stop))
        rest, _ = read(feed(tmp_path, "parquet"), json.loads(json.dumps(reader.cursor())))
        assert items + rest == whole


def test_a_parquet_file_is_whole_or_waits(tmp_path: Path) -> None:
    path = table(tmp_path, "a.parquet", {"id": ["r1"], "text": ["x"]})
    whole = path.read_bytes()
    for half in (b"", whole[: len(whole) // 2], whole[:-1]):
        write(tmp_path, "a.parquet", half, age=0)
        items, cursor = read(feed(tmp_path, "parquet"))
        assert items == []
        assert reasons(read(feed(tmp_path, "parquet"), cursor)[0]) == [("a.parquet", Reason.BROKEN_PARQUET)]
    os.utime(path, (time.time() - 60,) * 2)
    items, cursor = read(feed(tmp_path, "parquet"))
    assert reasons(items) == [("a.parquet", Reason.BROKEN_PARQUET)]
    assert read(feed(tmp_path, "parquet"), cursor)[0] == []
    write(tmp_path, "a.parquet", whole)
    assert ids(read(feed(tmp_path, "parquet"), cursor)[0]) == ["r1"]


def test_a_broken_row_group_costs_itself_only(tmp_path: Path) -> None:
    texts_of = [f"text {n} " * 50 for n in range(300)]
    path = table(
        tmp_path, "a.parquet", {"id": list(range(300)), "text": texts_of}, row_group_size=100, use_dictionary=False
    )
    raw = bytearray(path.read_bytes())
    column = parquet.ParquetFile(path).metadata.row_group(1).column(1)
    start = column.data_page_offset
    raw[start : start + column.total_compressed_size] = os.urandom(column.total_compressed_size)
    write(tmp_path, "a.parquet", bytes(raw))
    items, cursor = read(feed(tmp_path, "parquet"))
    assert ids(items) == [str(n) for n in range(300) if not 100 <= n < 200]
    assert reasons(items) == [("a.parquet:row 101", Reason.BROKEN_PARQUET)]
    assert read(feed(tmp_path, "parquet"), cursor)[0] == []


def test_a_replaced_table_is_read_again_and_a_touched_one_is_not(tmp_path: Path) -> None:
    path = table(tmp_path, "a.parquet", {"id": ["r1"], "text": ["x"]})
    _, cursor = read(feed(tmp_path, "parquet"))
    path.chmod(0o600)
    items, cursor = read(feed(tmp_path, "parquet"), cursor)
    assert items == []
    table(tmp_path, "a.parquet", {"id": ["r1", "r2"], "text": ["x", "y"]}, age=30)
    assert ids(read(feed(tmp_path, "parquet"), cursor)[0]) == ["r1", "r2"]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_damaged_table_never_raises(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    folder = tmp_path_factory.mktemp("feed")
    path = table(folder, "a.parquet", {"id": ["r1", "r2"], "text": ["x", "y"]})
    raw = bytearray(path.read_bytes())
    for at in data.draw(st.lists(st.integers(0, len(raw) - 1), min_size=1, max_size=4)):
        raw[at] = data.draw(st.integers(0, 255))
    write(folder, "a.parquet", bytes(raw))
    items, cursor = read(feed(folder, "parquet"))
    assert read(feed(folder, "parquet"), cursor)[0] == []
    for item in items:
        assert isinstance(item, Record | Unreadable)
