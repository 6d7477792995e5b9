"""A pull, as a worker runs it: read on from where it stopped, chunk by chunk, whatever lies in the folder."""

import gzip
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from given import feed_folder, fhir, record
from pyarrow import parquet
from sqlalchemy import text
from under_test import HouseUnderTest

from pipeline import feeds, pulls, reports
from pipeline.feeds.record import Record
from pipeline.settings import FeedSettings, Settings
from worker import pull_reports


@pytest.fixture
def folder(house: HouseUnderTest, tmp_path: Path) -> Path:
    """The folder of the house's one feed."""
    feed_folder(house, tmp_path / "export")
    (tmp_path / "export").mkdir()
    return tmp_path / "export"


def asked(house: HouseUnderTest, settings: Settings) -> None:
    with house.sessions.begin() as session:
        for name, feed in settings.feeds.items():
            pulls.ask(session, name, feed, attempts=settings.attempts)


def pull(house: HouseUnderTest, **changes: Any) -> Any:
    """Ask for the feed and run its job; the job's row."""
    settings = house.house.settings.model_copy(update=changes)
    asked(house, settings)
    assert pull_reports.run_next(house.sessions, settings, worker="here:1")
    return house.rows("SELECT *, not_before > now() AS waits_now FROM job WHERE kind = 'pull' ORDER BY id DESC")[0]


def texts(house: HouseUnderTest) -> dict[str, str]:
    rows = house.rows("SELECT source_id, text FROM report WHERE is_current AND withdrawn_at IS NULL")
    return {row.source_id: row.text for row in rows}


def test_without_a_job_there_is_nothing_to_pull(house: HouseUnderTest) -> None:
    assert not pull_reports.run_next(house.sessions, house.house.settings, worker="here:1")


def test_a_folder_becomes_reports(house: HouseUnderTest, folder: Path) -> None:
    (folder / "a.ndjson").write_bytes(fhir("r1", "No nodule.") + fhir("r2", "양측 폐에 결절."))
    (folder / "b.ndjson.gz").write_bytes(gzip.compress(fhir("r3", "Both lung에 GGO.")))
    job = pull(house)
    assert (job.state, job.outcome, job.error) == ("done", {"new": 3}, None)
    assert texts(house) == {"r1": "No nodule.", "r2": "양측 폐에 결절.", "r3": "Both lung에 GGO."}
    assert house.value("SELECT count(*) FROM job WHERE kind = 'label' AND state = 'ready'") == 1


def test_what_a_pull_brought_is_summed_up_for_the_data_team(house: HouseUnderTest, folder: Path) -> None:
    (folder / "a.ndjson").write_bytes(fhir("r1", "No nodule.") + b"{broken\n" + fhir("r2", "", status="registered"))
    pull(house)
    (row,) = house.rows("SELECT * FROM run_summary")
    assert (row.feed, row.state, row.new, row.quarantined, row.skipped, row.amended) == ("main", "done", 1, 1, 1, 0)
    assert row.due_at <= row.started_at <= row.finished_at


def test_the_next_pull_reads_only_what_came_since(house: HouseUnderTest, folder: Path) -> None:
    (folder / "a.ndjson").write_bytes(fhir("r1", "No nodule."))
    pull(house)
    assert pull(house).outcome == {}
    with (folder / "a.ndjson").open("ab") as growing:
        growing.write(fhir("r2", "결절 없음."))
    (folder / "b.ndjson").write_bytes(fhir("r3", "A nodule."))
    assert pull(house).outcome == {"new": 2}
    assert len(texts(house)) == 3


def test_a_file_written_anew_says_nothing_twice(house: HouseUnderTest, folder: Path) -> None:
    (folder / "a.ndjson").write_bytes(fhir("r1", "No nodule."))
    pull(house)
    (folder / "new").write_bytes(fhir("r1", "No nodule.") + fhir("r2", "A nodule."))
    (folder / "new").replace(folder / "a.ndjson")
    assert pull(house).outcome == {"unchanged": 1, "new": 1}


def test_broken_lines_never_stop_a_feed(house: HouseUnderTest, folder: Path) -> None:
    invalid_utf_8 = b'{"resourceType": "DiagnosticReport", "id": "\xff"}\n'
    wrong = [b"{broken\n", b"[]\n", b'{"resourceType": "Patient"}\n', b"\x00\x01\n", invalid_utf_8, b"\n"]
    wrong.append(fhir("r8", "x").replace(b'"data": "', b'"data": "!!'))
    wrong.append(fhir("r9", "NUL \x00 inside"))
    wrong.append(fhir("r10", "  \n"))
    wrong.append(fhir("r11", "Patient name: Hong Gildong"))
    lines = [fhir("r1", "No nodule."), *wrong, fhir("r2", "A nodule.")]
    (folder / "a.ndjson").write_bytes(b"".join(lines))
    (folder / "broken.ndjson.gz").write_bytes(gzip.compress(fhir("r3", "x"))[:-12])
    (folder / "z.ndjson").write_bytes(fhir("r4", "Third."))
    job = pull(house, pull_chunk=3)
    assert job.state == "done"
    assert texts(house) == {"r1": "No nodule.", "r2": "A nodule.", "r4": "Third."}
    assert job.outcome["quarantined"] == house.value("SELECT count(*) FROM quarantine") >= 8


def test_an_oversized_report_is_quarantined(house: HouseUnderTest, folder: Path) -> None:
    (folder / "a.ndjson").write_bytes(fhir("r1", "x" * 101) + fhir("r2", "x" * 100))
    pull(house, max_report_bytes=100)
    assert list(texts(house)) == ["r2"]
    assert house.value("SELECT reason FROM quarantine") == "oversized-text"


def test_a_feed_takes_what_it_wants(house: HouseUnderTest, folder: Path) -> None:
    feed_folder(house, folder)
    with (house.home / "nightread.toml").open("a") as toml:
        toml.write('codes = ["24627-2"]\n')
    other = {"coding": [{"system": "http://loinc.org", "code": "24725-4"}]}
    (folder / "a.ndjson").write_bytes(fhir("r1", "No nodule.") + fhir("r2", "Head.", code=other))
    assert pull(house).outcome == {"new": 1, "skipped": 1}
    assert tuple(*house.rows("SELECT reason, records FROM skipped_count")) == ("other-code", 1)


def test_reports_are_withdrawn_by_status_and_by_deletion(house: HouseUnderTest, folder: Path) -> None:
    (folder / "a.ndjson").write_bytes(b"".join(fhir(f"r{number}", f"Report {number}.") for number in (1, 2, 3)))
    pull(house)
    (folder / "b.ndjson").write_bytes(fhir("r1", "", status="entered-in-error", presentedForm=None))
    (folder / "deleted").mkdir()
    entry = {"request": {"method": "DELETE", "url": "DiagnosticReport/r2"}}
    (folder / "deleted" / "c.ndjson").write_text(json.dumps({"resourceType": "Bundle", "entry": [entry]}) + "\n")
    assert pull(house).outcome == {"withdrawn": 2}
    assert list(texts(house)) == ["r3"]


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_folder_of_tables_becomes_reports(house: HouseUnderTest, folder: Path, kind: str) -> None:
    feed_folder(house, folder, kind=kind, timezone="Asia/Seoul")
    with (house.home / "nightread.toml").open("a") as toml:
        toml.write('columns = { source_id = "no", text = "report", study_at = "day", withdrawn = "gone" }\n')
    columns = {"no": ["r1", "r2"], "report": ["No nodule.", "양측 폐에 결절."], "day": ["2026-01-02"] * 2}
    if kind == "csv":
        lines = zip(*columns.values(), strict=True)
        (folder / "a.csv").write_text("no,report,day,gone\n" + "".join(f"{','.join(line)},\n" for line in lines))
    else:
        parquet.write_table(pa.table({**columns, "gone": [False, False]}), folder / "a.parquet")
    assert pull(house).outcome == {"new": 2}
    assert pull(house).outcome == {}
    assert texts(house) == {"r1": "No nodule.", "r2": "양측 폐에 결절."}
    assert house.value("SELECT DISTINCT study_at = '2026-01-01 15:00Z' FROM report")
    if kind == "csv":
        (folder / "b.csv").write_text("gone,no,report,day\nY,r1,,\n")
    else:
        parquet.write_table(
            pa.table({"no": ["r1"], "report": [""], "day": [None], "gone": [True]}), folder / "b.parquet"
        )
    assert pull(house, pull_chunk=1).outcome == {"withdrawn": 1}
    assert list(texts(house)) == ["r2"]


# --- chunks


def test_a_pull_that_breaks_off_goes_on_behind_its_last_chunk(
    house: HouseUnderTest, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "a.ndjson").write_bytes(b"".join(fhir(f"r{number}", f"Report {number}.") for number in range(5)))
    chunks: list[int] = []
    real = reports.store

    def store_that_breaks_once(session: Any, feed: Any, items: Any, **rest: Any) -> Any:
        chunks.append(len(items))
        outcomes = real(session, feed, items, **rest)
        if len(chunks) == 2:
            raise RuntimeError("the words of a report")  # after writing: the transaction has to take it back
        return outcomes

    monkeypatch.setattr(reports, "store", store_that_breaks_once)
    job = pull(house, pull_chunk=2)
    assert (job.state, job.attempts) == ("ready", 1)
    assert job.error.startswith("RuntimeError at ")
    assert "words" not in job.error
    assert sorted(texts(house)) == ["r0", "r1"]
    job = pull(house, pull_chunk=2)
    assert (job.state, job.outcome) == ("done", {"new": 5})
    assert chunks == [2, 2, 2, 1]
    assert sorted(texts(house)) == ["r0", "r1", "r2", "r3", "r4"]
    assert house.value("SELECT count(*) FROM report") == 5


class Slow:
    """A fake reader whose worker is taken for dead between its second report and its third."""

    def __init__(self, house: HouseUnderTest) -> None:
        self.house = house
        self.read = 0

    def __call__(self, feed: FeedSettings, cursor: Mapping[str, Any], *, max_text_bytes: int, zone: ZoneInfo) -> "Slow":
        return self

    def __iter__(self) -> Iterator[Record]:
        for number in range(5):
            if number == 2:
                with self.house.sessions.begin() as session:
                    session.execute(text("UPDATE job SET epoch = epoch + 1"))
            self.read += 1
            yield record(f"r{number}", f"Report {number}.")

    def cursor(self) -> dict[str, Any]:
        return {"read": self.read}


def test_who_lost_the_lease_stores_nothing_more(
    house: HouseUnderTest, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeds, "reader", Slow(house))
    job = pull(house, pull_chunk=1)
    assert sorted(texts(house)) == ["r0", "r1"]
    assert house.value("SELECT cursor FROM feed") == {"read": 2}
    assert (job.state, job.error) == ("running", None), "it is the new holder's"


# --- an environment that failed, settings that changed


def test_a_missing_folder_gives_the_attempt_back_and_says_so(house: HouseUnderTest, folder: Path) -> None:
    folder.rmdir()
    job = pull(house)
    assert (job.state, job.attempts, job.waits, job.waits_now) == ("ready", 0, 1, True)
    assert str(folder) in job.error
    assert any(str(folder) in reason for reason in house.status()["waiting"])


def test_a_folder_that_came_back_is_read(house: HouseUnderTest, folder: Path) -> None:
    folder.rmdir()
    pull(house)
    folder.mkdir()
    (folder / "a.ndjson").write_bytes(fhir("r1", "No nodule."))
    with house.sessions.begin() as session:
        session.execute(text("UPDATE job SET not_before = now()"))
    job = pull(house)
    assert (job.state, job.outcome, job.error) == ("done", {"new": 1}, None)


def test_asked_for_again_a_waiting_pull_goes_at_once(house: HouseUnderTest, folder: Path) -> None:
    folder.rmdir()
    pull(house)
    folder.mkdir()
    assert pull(house).state == "done"


def test_a_feed_that_left_the_settings_is_a_dead_letter(house: HouseUnderTest, folder: Path) -> None:
    settings = house.house.settings
    asked(house, settings)
    gone = settings.model_copy(update={"feeds": {}})
    while pull_reports.run_next(house.sessions, gone, worker="here:1"):
        pass
    (dead,) = house.rows("SELECT kind, feed, reason FROM dead_letters")
    assert (dead.kind, dead.feed) == ("pull", "main")
    assert "no feed 'main'" in dead.reason
