"""One row of named columns becomes a record, or says why it cannot."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from tables_on_disk import EVERY_COLUMN, LIMIT, SEOUL

from pipeline.feeds.record import (
    Item,
    Reason,
    Record,
    Skipped,
    SkipReason,
    Unreadable,
    Wants,
)
from pipeline.feeds.table_row import Cell, Meaning, read_row
from pipeline.feeds.table_time import moment
from pipeline.settings import Columns


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
