"""The made-up feed: every outcome of a night in it, and the nights after."""

import csv
import json
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from nightread.made_up import (
    FINDINGS,
    Change,
    Hospital,
    MadeUpReport,
    next_night,
    reports,
    write_annotations,
    write_fhir,
    write_night,
)
from pipeline.feeds.fhir_ndjson import FhirNdjson
from pipeline.feeds.record import Item, Record, Skipped, Unreadable, Wants
from pipeline.identifying import kinds

CHEST_CT = Wants(frozenset({"http://loinc.org|24627-2"}), frozenset({"CT"}))
REAL = Path(__file__).parents[3] / "shared" / "data" / "chest-ct-reports" / "reports.csv"


@pytest.fixture(scope="module")
def many() -> list[MadeUpReport]:
    return list(reports(200, seed=7))


def _read(folder: Path, cursor: dict[str, object] | None = None) -> tuple[list[Item], dict[str, object]]:
    reader = FhirNdjson(folder, cursor or {}, wants=CHEST_CT, max_text_bytes=1_000_000)
    return list(reader), reader.cursor()


@pytest.mark.parametrize("site", Hospital)
def test_the_feed_is_read_back_as_it_was_made(tmp_path: Path, site: Hospital) -> None:
    made = list(reports(25, seed=7, site=site))
    written = write_fhir(iter(made), tmp_path, per_file=10)
    assert [path.name for path in written.files] == [f"DiagnosticReport.00{n}.ndjson" for n in range(3)]
    items, _ = _read(tmp_path)
    assert len(items) == written.reports == 25
    for item, report in zip(items, made, strict=True):
        assert isinstance(item, Record)
        assert (item.source_id, item.text, item.accession) == (report.source_id, report.text, report.accession)
        assert (item.patient, item.code, item.modality) == (f"Patient/{report.patient}", "24627-2", "CT")
        assert (item.study_at, item.issued_at) == (report.study_at, report.issued_at)
        assert item.updated_at == report.updated_at


def test_the_folder_and_every_resource_say_that_they_are_made_up(tmp_path: Path) -> None:
    written = write_fhir(reports(5, seed=1), tmp_path, every_outcome=True)
    assert "made up" in (tmp_path / "README.md").read_text(encoding="utf-8")
    for path in written.files[:-1]:
        for line in path.read_text(encoding="utf-8").splitlines():
            if not line.endswith('[{"conte'):
                assert json.loads(line)["meta"]["tag"][0]["code"] == "HTEST"


def test_every_outcome_of_a_night(tmp_path: Path) -> None:
    written = write_fhir(reports(10, seed=1), tmp_path, every_outcome=True)
    items, _ = _read(tmp_path)
    plain = [item for item in items if isinstance(item, Record) and not item.withdrawn]
    identifying = [item for item in plain if kinds(item.text or "")]
    seen = Counter(item.source_id for item in plain)
    assert written.reports == len(seen) - len(identifying) == 10
    assert written.amended == sum(count > 1 for count in seen.values()) == 1
    withdrawn = {item.source_id for item in items if isinstance(item, Record) and item.withdrawn}
    assert written.withdrawn == len(withdrawn) == 2
    assert withdrawn < set(seen)
    assert written.skipped == sum(isinstance(item, Skipped) for item in items)
    assert written.quarantined == sum(isinstance(item, Unreadable) for item in items) + len(identifying)
    assert {item.reason for item in items if isinstance(item, Unreadable)} == {"attachment-by-url", "broken-json"}


def test_every_outcome_needs_three_reports(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="three reports"):
        write_fhir(reports(2, seed=1), tmp_path, every_outcome=True)


def test_writing_again_changes_nothing_that_a_feed_would_read_again(tmp_path: Path) -> None:
    def write() -> Iterator[tuple[Path, int]]:
        for path in write_fhir(reports(10, seed=1), tmp_path, every_outcome=True).files:
            yield path, path.stat().st_mtime_ns

    first = list(write())
    _, cursor = _read(tmp_path)
    assert list(write()) == first
    assert _read(tmp_path, cursor)[0] == []
    assert not list(tmp_path.rglob("*.part"))


def test_an_amendment_says_what_it_changes(many: list[MadeUpReport]) -> None:
    taken_back = 0
    for report in many:
        for change in Change:
            amended = report.amended(change)
            changed = {name for name in FINDINGS if amended.labels[name] != report.labels[name]}
            assert len(changed) == (change is not Change.ADDENDUM)
            assert amended == report.amended(change)
            assert amended.updated_at == report.updated_at + timedelta(days=1)
            assert (amended.source_id, amended.study_at) == (report.source_id, report.study_at)
            assert all(statement.text in amended.text for statement in amended.statements)
            told = {name for statement in amended.statements for name, there in statement.says.items() if there}
            assert told == {name for name in FINDINGS if amended.labels[name]}
            if change is Change.FOUND or amended.text.startswith(report.text):
                assert amended.text.startswith(report.text)
                assert len(amended.text) > len(report.text)
            else:
                taken_back += 1
                assert sum(amended.labels.values()) == sum(report.labels.values()) - 1
    assert taken_back > 100


def test_a_later_night_brings_new_reports_amendments_and_withdrawals(tmp_path: Path, many: list[MadeUpReport]) -> None:
    write_fhir(iter(many), tmp_path)
    _, cursor = _read(tmp_path)
    night = next_night(many, reports(20, seed=7, first=len(many) + 1), seed=1)
    written = write_night(night, tmp_path)
    assert night == next_night(many, reports(20, seed=7, first=len(many) + 1), seed=1)
    assert (written.reports, written.amended, written.withdrawn) == (20, 8, 2)
    items, cursor = _read(tmp_path, cursor)
    assert all(isinstance(item, Record) for item in items)
    records = [item for item in items if isinstance(item, Record)]
    withdrawn = {item.source_id for item in records if item.withdrawn}
    assert withdrawn == {one.source_id for one in (*night.retracted, *night.deleted)}
    texts = {item.source_id: item.text for item in records if not item.withdrawn}
    assert texts == {one.source_id: one.text for one in (*night.fresh, *night.amended)}
    former = {one.source_id: one for one in many}
    assert sum(dict(one.labels) != dict(former[one.source_id].labels) for one in night.amended) >= 4

    standing = night.standing(many)
    assert len(standing) == 200 - 2 + 20
    third = next_night(standing, reports(5, seed=7, first=301), seed=2, amended=0.0)
    assert write_night(third, tmp_path, number=3).amended == 0
    items, _ = _read(tmp_path, cursor)
    assert len(items) == 5 + 2


def test_the_first_night_is_not_a_later_one(tmp_path: Path, many: list[MadeUpReport]) -> None:
    with pytest.raises(ValueError, match="write_fhir"):
        write_night(next_night(many, (), seed=1), tmp_path, number=1)


def test_annotations_have_the_real_ones_columns_and_the_site(tmp_path: Path, many: list[MadeUpReport]) -> None:
    path = tmp_path / "annotations.csv"
    assert write_annotations(iter(many[:50]), path) == 50
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["AccessionNo", "report_text", *FINDINGS, "site"]
    for row, report in zip(rows, many, strict=False):
        assert row["report_text"] == report.text
        assert {name: int(row[name]) for name in FINDINGS} == report.labels
        assert row["site"] == "made-up-hospital-east"


@pytest.mark.skipif(not REAL.is_file(), reason="../shared/data is not here")
def test_the_findings_are_the_real_columns() -> None:
    with REAL.open(encoding="utf-8", newline="") as file:
        header = next(csv.reader(file))
    assert tuple(header[2:]) == FINDINGS
