"""CSV and Parquet feeds: rows of named columns become records, every row is accounted for, a folder is read on."""

import csv
import gzip
import io
import json
import os
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from pipeline import feeds
from pipeline.feeds.csv_rows import MOST_LINES, rows
from pipeline.feeds.growing_lines import Line
from pipeline.feeds.record import (
    FeedFolderMissing,
    Item,
    PlaceGone,
    Reader,
    Reason,
    Record,
    Skipped,
    SkipReason,
    Unreadable,
    Wants,
)
from pipeline.feeds.table_row import Cell, Meaning, read_row
from pipeline.feeds.table_time import moment
from pipeline.settings import Columns, FeedSettings, InvalidSettings

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


def write(folder: Path, name: str, content: str | bytes, *, age: float = 60) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    os.utime(path, (time.time() - age,) * 2)
    return path


def append(path: Path, content: str | bytes, *, age: float = 60) -> None:
    with path.open("ab") as file:
        file.write(content.encode() if isinstance(content, str) else content)
    os.utime(path, (time.time() - age,) * 2)


def table(folder: Path, name: str, columns: dict[str, Any], *, age: float = 60, **how: Any) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pa.table(columns), path, **how)
    os.utime(path, (time.time() - age,) * 2)
    return path


def ids(items: Sequence[Item]) -> list[str]:
    return [item.source_id for item in items if isinstance(item, Record)]


def texts(items: Sequence[Item]) -> dict[str, str | None]:
    return {item.source_id: item.text for item in items if isinstance(item, Record)}


def reasons(items: Sequence[Item]) -> list[tuple[str, str]]:
    return [(item.place, item.reason) for item in items if isinstance(item, Unreadable | Skipped)]


# --- one row


def meaning(**changes: Any) -> Meaning:
    columns = Columns.model_validate(EVERY_COLUMN)
    return Meaning(**{"columns": columns, "wants": Wants(), "max_text_bytes": LIMIT, "zone": SEOUL, **changes})


def row(meant: Meaning | None = None, /, **cells: Cell) -> Item:
    return read_row("a.csv:2", {"source_id": "r1", "text": "No effusion.", **cells}, meant or meaning())


def reason(meant: Meaning | None = None, /, **cells: Cell) -> str:
    item = row(meant, **cells)
    assert isinstance(item, Unreadable | Skipped), item
    return item.reason


def test_a_row_as_a_record() -> None:
    item = row(
        source_id=" CT-1 ",
        text="우측 흉수.\r\nNo nodule. ",
        updated_at="2026-01-02 03:04:05",
        accession="A-17",
        patient="P9",
        study_at=datetime(2026, 1, 1, 9),
        issued_at="2026-01-02T00:00:00Z",
        code="24627-2",
        modality="CT",
        withdrawn="N",
    )
    assert item == Record(
        place="a.csv:2",
        source_id="CT-1",
        updated_at=datetime(2026, 1, 1, 18, 4, 5, tzinfo=UTC),
        withdrawn=False,
        text="우측 흉수.\nNo nodule. ",
        accession="A-17",
        patient="P9",
        study_at=datetime(2026, 1, 1, tzinfo=UTC),
        issued_at=datetime(2026, 1, 2, tzinfo=UTC),
        code="24627-2",
        modality="CT",
    )


def test_what_is_empty_is_unknown() -> None:
    item = row(updated_at="", accession=" ", patient=None, study_at="", issued_at=None, code="", modality="")
    assert isinstance(item, Record)
    assert (item.updated_at, item.accession, item.patient, item.study_at, item.code) == (None,) * 5


def test_issued_stands_in_for_updated() -> None:
    item = row(issued_at="20260102")
    assert isinstance(item, Record)
    assert item.updated_at == item.issued_at == datetime(2026, 1, 1, 15, tzinfo=UTC)


@pytest.mark.parametrize(
    ("cell", "source_id"),
    [(17, "17"), (17.0, "17"), (Decimal("17.00"), "17"), (Decimal("1.5"), "1.5"), ("0017", "0017"), (True, "true")],
)
def test_numbers_are_ids_too(cell: Cell, source_id: str) -> None:
    item = row(source_id=cell)
    assert isinstance(item, Record)
    assert item.source_id == source_id


@pytest.mark.parametrize("cell", ["true", "TRUE", "T", "1", "yes", "Y", "deleted", "Deleted ", True, 1, 1.0])
def test_withdrawn(cell: Cell) -> None:
    item = row(withdrawn=cell, text="what it said before")
    assert isinstance(item, Record)
    assert item.withdrawn
    assert item.text is None


@pytest.mark.parametrize("cell", ["false", "F", "0", "no", "N", "", None, "final", False, 0, 0.0, float("nan")])
def test_not_withdrawn(cell: Cell) -> None:
    item = row(withdrawn=cell)
    assert isinstance(item, Record)
    assert not item.withdrawn


@pytest.mark.parametrize(
    ("cells", "why"),
    [
        ({"source_id": ""}, Reason.MISSING_ID),
        ({"source_id": None}, Reason.MISSING_ID),
        ({"source_id": float("nan")}, Reason.MISSING_ID),
        ({"source_id": "x" * 201}, Reason.BAD_ID),
        ({"source_id": "a\nb"}, Reason.BAD_ID),
        ({"source_id": "a\udcffb"}, Reason.INVALID_UTF_8),
        ({"withdrawn": "perhaps"}, Reason.BAD_STATUS),
        ({"text": ""}, Reason.EMPTY_TEXT),
        ({"text": " \r\n\t"}, Reason.EMPTY_TEXT),
        ({"text": None}, Reason.EMPTY_TEXT),
        ({"text": 7}, Reason.WRONG_TYPE),
        ({"text": "a\0b"}, Reason.NUL_BYTE),
        ({"text": "a\ud800b"}, Reason.LONE_SURROGATE),
        ({"text": "a\udcffb"}, Reason.INVALID_UTF_8),
        ({"text": "가" * (LIMIT // 3 + 1)}, Reason.OVERSIZED_TEXT),
        ({"patient": "1" * 201}, Reason.OVERSIZED_FIELD),
        ({"accession": "a\0"}, Reason.NUL_BYTE),
        ({"updated_at": "yesterday"}, Reason.BAD_TIME),
        ({"study_at": "02/01/2026"}, Reason.BAD_TIME),
        ({"issued_at": datetime.min}, Reason.BAD_TIME),
    ],
)
def test_what_cannot_be_read_says_why(cells: dict[str, Cell], why: Reason) -> None:
    assert reason(**cells) == why


def test_an_unreadable_row_keeps_its_id_and_time() -> None:
    updated_at = datetime(2026, 1, 2, tzinfo=UTC)
    assert row(text="", updated_at=updated_at) == Unreadable("a.csv:2", Reason.EMPTY_TEXT, "r1", updated_at)


def test_wants() -> None:
    chest_ct = meaning(wants=Wants(frozenset({"24627-2"}), frozenset({"CT"})))
    assert isinstance(row(chest_ct, code="24627-2", modality="CT"), Record)
    assert reason(chest_ct, code="30799-1", modality="CT") == SkipReason.OTHER_CODE
    assert reason(chest_ct, modality="CT") == SkipReason.OTHER_CODE
    assert reason(chest_ct, code="24627-2", modality="ct") == SkipReason.OTHER_MODALITY
    assert reason(chest_ct, code="30799-1", text="\0", updated_at="?") == SkipReason.OTHER_CODE
    assert reason(chest_ct, code="30799-1", withdrawn="1") == SkipReason.OTHER_CODE
    assert isinstance(row(chest_ct, withdrawn="1"), Record)


@pytest.mark.parametrize(
    ("written", "in_seoul"),
    [
        ("2026-01-02", "2026-01-02T00:00"),
        ("2026/1/2", "2026-01-02T00:00"),
        ("2026. 1. 2.", "2026-01-02T00:00"),
        ("20260102", "2026-01-02T00:00"),
        ("2026-01-02 03:04", "2026-01-02T03:04"),
        ("2026/01/02 3:04:05", "2026-01-02T03:04:05"),
        ("2026-01-02T03:04:05.123456789", "2026-01-02T03:04:05.123456"),
        ("20260102030405", "2026-01-02T03:04:05"),
        ("202601020304", "2026-01-02T03:04"),
        ("20260102T030405", "2026-01-02T03:04:05"),
        ("2026-01-02 오후 3:04:05", "2026-01-02T15:04:05"),
        ("2026-01-02 오전 12:04", "2026-01-02T00:04"),
        ("2026-01-02T03:04:05Z", "2026-01-02T12:04:05"),
        ("2026-01-02 03:04:05 UTC", "2026-01-02T12:04:05"),
        ("2026-01-02 03:04:05+02:00", "2026-01-02T10:04:05"),
        ("20260102030405.5-0500", "2026-01-02T17:04:05.5"),
    ],
)
def test_times_in_the_feeds_zone(written: str, in_seoul: str) -> None:
    at = moment(written, SEOUL)
    assert at == datetime.fromisoformat(in_seoul).replace(tzinfo=SEOUL)
    assert at is not None
    assert at.tzinfo is UTC


@pytest.mark.parametrize(
    "written",
    ["", "?", "2026", "202601", "2026-13-01", "2026-02-30", "0000-00-00", "01/02/2026", "2026-W01-1", "2026-01-02 3",
     "2026-01-02 24:01", "9999-12-31T23:00-12:00", "0001-01-01", "45000", "２０２６-01-02", "2026-01-02 03:04 KST"],
)  # fmt: skip
def test_what_is_no_time(written: str) -> None:
    assert moment(written, SEOUL) is None


def test_daylight_saving_moves_the_same_hour() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    assert moment("2026-01-02 12:00", berlin) == datetime(2026, 1, 2, 11, tzinfo=UTC)
    assert moment("2026-07-02 12:00", berlin) == datetime(2026, 7, 2, 10, tzinfo=UTC)


# --- CSV: what a file may look like


def test_columns_in_any_order_quotes_line_breaks_and_a_byte_order_mark(tmp_path: Path) -> None:
    content = '\ufeff"note", text ,id\r\n1,"우측 흉수, ""소량"".\r\nNo nodule.",r1\r\n\r\n2,Clear.,r2\r\n,,\r\n'
    write(tmp_path, "a.csv", content)
    items, cursor = read(feed(tmp_path))
    assert texts(items) == {"r1": '우측 흉수, "소량".\nNo nodule.', "r2": "Clear."}
    assert [item.place for item in items] == ["a.csv:2", "a.csv:5"]
    assert read(feed(tmp_path), cursor) == ([], cursor)


@pytest.mark.parametrize("encoding", ["cp949", "euc-kr", "utf-8", "utf-8-sig"])
def test_encodings(tmp_path: Path, encoding: str) -> None:
    write(tmp_path, "a.csv", "id|text\nr1|우하엽에 결절|\nr2|흉수 없음\n".replace("결절|", "결절").encode(encoding))
    items, _ = read(feed(tmp_path, encoding=encoding, delimiter="|"))
    assert texts(items) == {"r1": "우하엽에 결절", "r2": "흉수 없음"}


def test_euc_kr_is_read_as_its_superset(tmp_path: Path) -> None:
    write(tmp_path, "a.csv", "id,text\nr1,뷁\n".encode("cp949"))
    assert texts(read(feed(tmp_path, encoding="euc-kr"))[0]) == {"r1": "뷁"}


def test_bytes_that_are_no_text_cost_their_row_only(tmp_path: Path) -> None:
    write(tmp_path, "a.csv", b'id,text,other\nr1,"a\xff",\nr2,fine,\xff\nr\xff3,x,\nr4,fine,\n')
    items, _ = read(feed(tmp_path))
    assert ids(items) == ["r2", "r4"]
    assert [getattr(item, "source_id", None) for item in items] == ["r1", "r2", None, "r4"]
    assert reasons(items) == [("a.csv:2", Reason.INVALID_UTF_8), ("a.csv:4", Reason.INVALID_UTF_8)]
    items, _ = read(feed(tmp_path, encoding="cp949"))
    assert reasons(items)[0] == ("a.csv:2", Reason.INVALID_CHARSET)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-7", "iso2022_kr", "rot13", "cp037"])
def test_an_encoding_whose_lines_cannot_be_told_is_refused(tmp_path: Path, encoding: str) -> None:
    with pytest.raises(InvalidSettings, match=rf"{encoding}; export it as utf-8"):
        opened(feed(tmp_path, encoding=encoding))


def test_codes_without_a_column_for_them_are_refused(tmp_path: Path) -> None:
    for kind in ("csv", "parquet"):
        with pytest.raises(InvalidSettings, match=r"names no column for them; add columns\.code"):
            opened(feed(tmp_path, kind, codes=["24627-2"]))
        with pytest.raises(InvalidSettings, match=r"columns\.modality"):
            opened(feed(tmp_path, kind, modalities=["CT"]))


def test_which_files_are_read(tmp_path: Path) -> None:
    for name in ("b.csv", "2026/01/a.CSV", ".hidden.csv", ".tmp/c.csv", "d.csv.part", "e.txt"):
        write(tmp_path, name, f"id,text\n{name},x\n")
    write(tmp_path, "c.csv.gz", gzip.compress(b"id,text\nc.csv.gz,x\n"))
    assert ids(read(feed(tmp_path))[0]) == ["b.csv", "c.csv.gz", "2026/01/a.CSV"]


def test_a_missing_folder_says_so(tmp_path: Path) -> None:
    for kind in ("csv", "parquet"):
        with pytest.raises(FeedFolderMissing, match=r"gone.*`path`"):
            opened(feed(tmp_path / "gone", kind))


# --- CSV: what is broken


def test_a_file_without_a_column_is_one_row_until_it_or_the_settings_change(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", "id,report\nr1,first\nr2,second\n")
    write(tmp_path, "b.csv", "id,text\nb1,fine\n")
    items, cursor = read(feed(tmp_path))
    assert reasons(items) == [("a.csv", "missing-column:text")]
    assert ids(items) == ["b1"]
    assert read(feed(tmp_path), cursor) == ([], cursor)
    assert ids(read(feed(tmp_path, columns={"text": "report"}), cursor)[0]) == ["r1", "r2"]
    append(path, "r3,third\n")
    assert reasons(read(feed(tmp_path), cursor)[0]) == [("a.csv", "missing-column:text")]
    write(tmp_path, "new", "id,text\nr1,first\n").replace(path)
    assert ids(read(feed(tmp_path), cursor)[0]) == ["r1"]


def test_a_file_that_turns_out_to_lack_a_column_goes_on_where_it_was(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", "id,text,seen\nr1,first,2026-01-02\n")
    _, cursor = read(feed(tmp_path))
    append(path, "r2,second,2026-01-03\n")
    items, cursor = read(feed(tmp_path, columns={"study_at": "study"}), cursor)
    assert reasons(items) == [("a.csv", "missing-column:study")]
    assert ids(read(feed(tmp_path, columns={"study_at": "seen"}), cursor)[0]) == ["r2"]


def test_a_column_that_occurs_twice_is_not_guessed_at(tmp_path: Path) -> None:
    write(tmp_path, "a.csv", "id,text,text\nr1,a,b\n")
    assert reasons(read(feed(tmp_path))[0]) == [("a.csv", "double-column:text")]


def test_a_header_alone_and_an_empty_file_are_no_trouble(tmp_path: Path) -> None:
    write(tmp_path, "a.csv", "id,text\n")
    write(tmp_path, "b.csv", "")
    write(tmp_path, "c.csv", "\n\n")
    items, cursor = read(feed(tmp_path))
    assert items == []
    append(tmp_path / "b.csv", "id,text\nr1,later\n")
    assert ids(read(feed(tmp_path), cursor)[0]) == ["r1"]


def test_rows_of_the_wrong_length(tmp_path: Path) -> None:
    write(tmp_path, "a.csv", "id,text\nr1,fine\nr2,one, two\nr3\nr4,fine\n")
    items, _ = read(feed(tmp_path))
    assert ids(items) == ["r1", "r4"]
    assert reasons(items) == [("a.csv:3", "wrong-number-of-fields"), ("a.csv:4", "wrong-number-of-fields")]


def test_a_quote_too_many_costs_its_own_report(tmp_path: Path) -> None:
    content = 'id,text\nr1,"fine"\nr2,"never closed\nr3,"fine"\nr4,"a 3" nodule"\nr5,"fine,\ntoo"\n'
    write(tmp_path, "a.csv", content)
    items, cursor = read(feed(tmp_path))
    assert texts(items) == {"r1": "fine", "r3": "fine", "r5": "fine,\ntoo"}
    assert reasons(items) == [("a.csv:3", Reason.BROKEN_CSV), ("a.csv:5", Reason.BROKEN_CSV)]
    assert read(feed(tmp_path), cursor)[0] == []


def test_the_middle_of_a_broken_report_never_becomes_an_id(tmp_path: Path) -> None:
    broken = 'r2,"seen in ""CT"" and "MR":\nno effusion, no pneumothorax\nboth lungs, clear"\n'
    path = write(tmp_path, "a.csv", "id,text\nr1,fine\n" + broken)
    items, cursor = read(feed(tmp_path))
    assert ids(items) == ["r1"]
    assert reasons(items) == [(f"a.csv:{number}", Reason.BROKEN_CSV) for number in (3, 4, 5)]
    append(path, "and a word, more\nr 3,an id of two words comes too soon\nr4,fine\nr 5,fine\n")
    items, _ = read(feed(tmp_path), cursor)  # the cursor knows that it stands in the middle of something
    assert ids(items) == ["r4", "r 5"]
    assert len(reasons(items)) == 2


def test_long_fields_and_rows_are_bounded(tmp_path: Path) -> None:
    write(tmp_path, "a.csv", f'id,text\nr1,{"x" * 300_000}\nr2,"{"x" * 17_000_000}"\nr3,fine\n')
    items, _ = read(feed(tmp_path), max_text_bytes=200_000)
    assert ids(items) == ["r3"]
    assert reasons(items) == [("a.csv:2", Reason.OVERSIZED_TEXT), ("a.csv:3", Reason.OVERSIZED_LINE)]


def test_a_quote_that_swallows_lines_without_end_gives_them_back(tmp_path: Path) -> None:
    write(tmp_path, "a.csv", 'id,text\nr1,"open\n' + "".join(f"x{n},text\n" for n in range(MOST_LINES)))
    items, _ = read(feed(tmp_path))
    assert reasons(items) == [("a.csv:2", Reason.OVERSIZED_LINE)]
    assert len(ids(items)) == MOST_LINES


def test_a_quote_that_stays_open_to_the_end_of_a_quiet_file_costs_its_own_report(tmp_path: Path) -> None:
    content = 'id,text\n1,"Chest CT of an inch mark\n' + "".join(f"{n},No effusion.\n" for n in range(2, 1_001))
    path = write(tmp_path, "a.csv", content, age=0)
    growing, cursor = read(feed(tmp_path))
    assert growing == []  # the quote may still be closed
    append(path, "1001,No effusion.\n", age=0)
    assert read(feed(tmp_path), cursor)[0] == []
    os.utime(path, (time.time() - 60,) * 2)
    items, cursor = read(feed(tmp_path), cursor)
    assert reasons(items) == [("a.csv:2", Reason.BROKEN_CSV)]
    assert ids(items) == [str(n) for n in range(2, 1_002)]
    assert read(feed(tmp_path), cursor)[0] == []
    append(path, "1002,No effusion.\n", age=0)
    assert ids(read(feed(tmp_path), cursor)[0]) == ["1002"]
    assert [opened(feed(tmp_path)).again(f"a.csv:{line}") for line in (2, 3, 1_002)] == [*items[:2], items[-1]]


def test_a_file_that_cannot_be_opened_is_one_row(tmp_path: Path) -> None:
    for kind in ("csv", "parquet"):
        (tmp_path / f"a.{kind}").symlink_to(tmp_path / f"a.{kind}")
        items, cursor = read(feed(tmp_path, kind))
        assert reasons(items) == [(f"a.{kind}", Reason.UNREADABLE_FILE)]
        assert read(feed(tmp_path, kind), cursor)[0] == []


def test_the_cursor_holds_no_text(tmp_path: Path) -> None:
    write(tmp_path, "a.csv", 'id,text\nr1,marker-word\nr2,"marker-word')
    write(tmp_path, "b.csv", "marker-word,no header\nr1,marker-word\n")
    items, cursor = read(feed(tmp_path))
    assert "marker" not in json.dumps(cursor)
    assert "marker" not in str([item for item in items if isinstance(item, Unreadable)])


# --- CSV: growing


def test_appended_rows_are_read_from_where_it_stopped(tmp_path: Path) -> None:
    for name, packed in (("a.csv", bytes), ("b.csv.gz", gzip.compress)):
        write(tmp_path, name, packed(b"text,id\nfirst,r1\n"))
    _, cursor = read(feed(tmp_path))
    append(tmp_path / "a.csv", b"second,r2\n")
    append(tmp_path / "b.csv.gz", gzip.compress(b"second,r2\n"))
    items, cursor = read(feed(tmp_path), cursor)
    assert [(item.place, item.source_id) for item in items if isinstance(item, Record)] == [
        ("a.csv:3", "r2"),
        ("b.csv.gz:3", "r2"),
    ]
    assert read(feed(tmp_path), cursor)[0] == []


def test_a_replaced_file_is_read_again_with_its_own_header(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", "id,text\nr1,first\n")
    _, cursor = read(feed(tmp_path))
    write(tmp_path, "new", "text,id\nfirst,r1\nsecond,r2\n").replace(path)
    assert texts(read(feed(tmp_path), cursor)[0]) == {"r1": "first", "r2": "second"}


def test_a_last_row_without_line_end_waits_until_the_file_is_quiet(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", "id,text\nr1,first\nr2,No eff", age=0)
    items, cursor = read(feed(tmp_path))
    assert ids(items) == ["r1"]
    assert texts(read(feed(tmp_path), cursor)[0]) == {"r2": "No eff"}  # quiet since the last look
    append(path, "usion", age=0)
    items, cursor = read(feed(tmp_path), cursor)
    assert items == []
    append(path, ".\nr3,third\n", age=0)
    assert texts(read(feed(tmp_path), cursor)[0]) == {"r2": "No effusion.", "r3": "third"}


def test_a_quote_that_stays_open_is_said_once_and_read_again_when_it_grows(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", 'id,text\nr1,"one,\n', age=0)
    assert read(feed(tmp_path))[0] == []
    os.utime(path, (time.time() - 60,) * 2)
    items, cursor = read(feed(tmp_path))
    assert reasons(items) == [("a.csv:2", Reason.BROKEN_CSV)]
    assert read(feed(tmp_path), cursor)[0] == []
    append(path, 'two"\n')
    assert texts(read(feed(tmp_path), cursor)[0]) == {"r1": "one,\ntwo"}


def test_a_row_that_is_finished_after_a_rest_can_be_read_again_whole(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", 'id,text\nr1,"one,\ntwo\nthree')
    items, cursor = read(feed(tmp_path))
    assert reasons(items)[0] == ("a.csv:2", Reason.BROKEN_CSV)
    assert ids(items) == []
    append(path, '"\nr2,fine\n')
    assert texts(read(feed(tmp_path), cursor)[0]) == {"r2": "fine"}
    again = opened(feed(tmp_path)).again("a.csv:2")
    assert isinstance(again, Record)
    assert again.text == "one,\ntwo\nthree"


def test_a_truncated_gzip_gives_what_it_holds_and_is_retried_when_it_changes(tmp_path: Path) -> None:
    packed = gzip.compress(
        b"id,text\n" + b"".join(b"r%d,%s\n" % (n, os.urandom(2_000).hex().encode()) for n in range(20))
    )
    path = write(tmp_path, "a.csv.gz", packed[: len(packed) // 2])
    items, cursor = read(feed(tmp_path))
    some = len(ids(items))
    assert 5 < some < 15
    assert items[-1] == Unreadable(f"a.csv.gz:{some + 2}", Reason.BROKEN_GZIP)
    assert read(feed(tmp_path), cursor)[0] == []
    append(path, packed[len(packed) // 2 :])
    assert ids(read(feed(tmp_path), cursor)[0]) == [f"r{n}" for n in range(some, 20)]


def test_stopping_anywhere_and_going_on_gives_every_item_once(tmp_path: Path) -> None:
    write(tmp_path, "a.csv", 'id,text\nr1,"a\nb"\nr2,broken,\nno one\n\nr3,"x"y"\nr4,d\n')
    write(tmp_path, "b.csv.gz", gzip.compress(b"text,id\nz,r5\n"))
    whole, _ = read(feed(tmp_path))
    items: list[Item] = []
    cursor: Json = {}
    while True:
        reader = opened(feed(tmp_path), cursor)
        first = next(iter(reader), None)
        cursor = json.loads(json.dumps(reader.cursor()))
        if first is None:
            break
        items.append(first)
    assert items == whole
    assert len(items) == 6


def big_csv(encoding: str, count: int) -> tuple[bytes, dict[str, str]]:
    """A file with everything at once, and the texts that it holds."""
    wanted = {
        f"r{n}": f'{n}: 우측 폐에 "{n % 40} mm" 결절, 흉수 없음.\n{"No change, " * (n % 7)}끝.'
        if n % 3
        else f"양측 폐 정상 {n}"
        for n in range(count)
    }
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(["번호", "판독", "비고"])
    writer.writerows([source_id, text.replace("\n", "\r\n"), "-"] for source_id, text in wanted.items())
    return out.getvalue().encode(encoding), wanted


@pytest.mark.parametrize("encoding", ["utf-8", "cp949"])
def test_twenty_thousand_rows_in_pieces_are_the_same_as_in_one_go(tmp_path: Path, encoding: str) -> None:
    content, wanted = big_csv(encoding, 20_000)
    one = feed(tmp_path, columns={"source_id": "번호", "text": "판독"}, encoding=encoding)
    path = write(tmp_path, "a.csv", b"", age=0)
    kinds: Counter[str] = Counter()
    seen: dict[str, str | None] = {}
    cursor: Json = {}
    cuts = sorted({*cut_positions(content, 40), len(content)})
    for start, end in zip([0, *cuts], cuts, strict=False):
        kinds[kind_of_cut(content, end)] += 1
        append(path, content[start:end], age=0)
        items, cursor = read(one, cursor)
        assert reasons(items) == []
        assert not seen.keys() & texts(items).keys()
        seen |= texts(items)
    assert seen == wanted
    assert {"quotes", "line end", "letter", "row"} <= kinds.keys()


def cut_positions(content: bytes, each: int) -> Iterator[int]:
    """`each` cuts of every kind, spread over the file."""
    stride = len(content) // each
    for start in range(stride // 2, len(content) - stride, stride):
        yield content.index(b'"', start) + 5  # within quotes, perhaps within a letter
        yield content.index(b"\r\n", start) + 1  # within a line end
        yield next(at for at in range(start, len(content)) if content[at] > 0x7F) + 1  # within a letter
        yield content.index(b'""', start) + 1  # within a doubled quote
        yield content.index(b",-\r\n", start) + 4  # between rows


def kind_of_cut(content: bytes, at: int) -> str:
    if content[at - 1 : at + 1] == b"\r\n":
        return "line end"
    if content[:at].count(b'"') % 2:
        return "quotes" if content[at - 1] < 0x80 else "letter"
    return "row" if content[at - 2 : at] == b"\r\n" else "elsewhere"


cells = st.text(st.sampled_from('a,"\n가\r ;'), max_size=6)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(cells, min_size=1, max_size=6),
    st.lists(st.integers(1, 25), max_size=12),
    st.sampled_from(["utf-8", "cp949"]),
)
def test_a_file_that_grows_by_any_steps_gives_every_report_once(
    tmp_path_factory: pytest.TempPathFactory, written: list[str], steps: list[int], encoding: str
) -> None:
    folder = tmp_path_factory.mktemp("feed")
    out = io.StringIO(newline="")
    writer = csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    writer.writerow(["id", "text"])
    writer.writerows([f"r{n}", f"x{text}"] for n, text in enumerate(written))
    content = out.getvalue().encode(encoding)
    path = write(folder, "a.csv", b"", age=0)
    one = feed(folder, encoding=encoding)
    cursor: Json = {}
    seen: list[Item] = []
    position = 0
    for step in [*steps, len(content)]:
        if position < len(content):
            append(path, content[position : position + step], age=0)
            position += step
            items, cursor = read(one, cursor)
            seen += items
    assert seen == read(one)[0]
    expected = [f"x{text}".replace("\r\n", "\n").replace("\r", "\n") for text in written]
    assert [item.text for item in seen if isinstance(item, Record)] == expected


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(st.sampled_from('ab,"\r\0 가\udcff'), max_size=10), max_size=8), st.booleans(), st.booleans())
def test_every_line_is_in_exactly_one_row(
    tmp_path_factory: pytest.TempPathFactory, content: list[str], ended: bool, quiet: bool
) -> None:
    joined = "\n".join(["id,text", *content]).encode("utf-8", "surrogateescape") + b"\n" * ended
    given_lines = [Line(n, raw, ended=True) for n, raw in enumerate(joined.split(b"\n"), 1)]
    found = list(rows(iter(given_lines), encoding="utf-8", delimiter=",", max_row_bytes=1_000, quiet=lambda: quiet))
    assert [row.number for row in found] == [1 + sum(row.lines for row in found[:n]) for n in range(len(found))]
    assert sum(row.lines for row in found) == len(given_lines)
    folder = tmp_path_factory.mktemp("feed")
    write(folder, "a.csv", joined)
    items, cursor = read(feed(folder), max_text_bytes=8)
    assert read(feed(folder), cursor, max_text_bytes=8)[0] == []
    reader = opened(feed(folder), max_text_bytes=8)
    assert [reader.again(item.place) for item in items] == items


def test_memory_stays_flat(tmp_path: Path) -> None:
    with (tmp_path / "a.csv").open("wb") as file:
        file.write(b"id,text\n" + b"".join(b'r%d,"%s"\n' % (n, b"word " * 200) for n in range(8_000)))
    tracemalloc.start()
    count = sum(1 for _ in opened(feed(tmp_path)))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 8_000
    assert peak < 4 << 20


# --- Parquet


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
    """The other format has its tests in test_fhir_ndjson.py; this is what the three have in common."""
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
