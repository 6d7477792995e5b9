"""Storing reports: every outcome in the tables, a chunk with its cursor, events and jobs in one transaction."""

import threading
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from given import MONDAY, RULES, record, store
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from under_test import HouseUnderTest

from pipeline import jobs as pipeline_jobs
from pipeline import pulls, reports
from pipeline.database import DatabaseFailed
from pipeline.feeds.record import Reason, Record, Skipped, Unreadable
from pipeline.labelling import LabelRules
from pipeline.names import JobKind
from pipeline.settings import FeedSettings
from pipeline.tables import Feed

TUESDAY, WEDNESDAY, SUNDAY = (MONDAY + timedelta(days=days) for days in (1, 2, -1))
NEXT_TEXT, THIRD_TEXT = "Small pleural effusion.", "흉수 증가함."


def versions(house: HouseUnderTest, source_id: str = "r1") -> list[tuple[Any, ...]]:
    """(version, text, current, withdrawn, flagged) of a report, oldest first."""
    rows = house.rows(
        "SELECT version, text, is_current, withdrawn_at IS NOT NULL, flagged_at IS NOT NULL FROM report "
        "WHERE source_id = :source_id ORDER BY site, version",
        source_id=source_id,
    )
    return [tuple(row) for row in rows]


def events(house: HouseUnderTest) -> list[tuple[str, list[int]]]:
    return [
        (row.kind, row.payload["report_ids"])
        for row in house.rows("SELECT kind, payload FROM event WHERE kind LIKE 'Reports%' ORDER BY id")
    ]


def jobs(house: HouseUnderTest) -> list[list[int]]:
    return [list(row.report_ids) for row in house.rows("SELECT report_ids FROM job WHERE kind = 'label' ORDER BY id")]


# --- each outcome


def test_a_new_report_is_stored_with_its_fact_and_its_job(house: HouseUnderTest) -> None:
    assert store(house, record()) == {"new": 1}
    assert versions(house) == [(1, "No pleural effusion.", True, False, False)]
    assert events(house) == [("ReportsReceived", [1])]
    assert jobs(house) == [[1]]


def test_everything_that_a_record_says_is_stored(house: HouseUnderTest) -> None:
    sent = record(text="양측 폐에 결절.", patient="P-7", study_at=SUNDAY, issued_at=TUESDAY)
    store(house, sent)
    (row,) = house.rows("SELECT * FROM report")
    assert (row.site, row.source_system, row.source_id, row.feed) == ("seoul", "fhir", "r1", "main")
    assert (row.accession, row.patient, row.code, row.modality) == ("A-r1", "P-7", "24627-2", "CT")
    assert (row.study_at, row.issued_at, row.source_updated_at) == (SUNDAY, TUESDAY, MONDAY)
    assert (row.language, row.text) == ("ko", "양측 폐에 결절.")


def test_what_is_not_known_is_null(house: HouseUnderTest) -> None:
    store(house, record(updated_at=None, accession=None, patient=None, study_at=None, code=None))
    (row,) = house.rows("SELECT source_updated_at, accession, patient, study_at, code FROM report")
    assert tuple(row) == (None,) * 5


def test_the_same_again_stores_nothing(house: HouseUnderTest) -> None:
    store(house, record())
    assert store(house, record(updated_at=TUESDAY)) == {"unchanged": 1}
    assert versions(house) == [(1, "No pleural effusion.", True, False, False)]
    assert len(events(house)) == len(jobs(house)) == 1


def test_what_was_said_before_the_same_was_said_again_is_outdated(house: HouseUnderTest) -> None:
    store(house, record())
    store(house, record(updated_at=WEDNESDAY))
    assert store(house, record(text=NEXT_TEXT, updated_at=TUESDAY)) == {"outdated": 1}


def test_an_amended_report_keeps_its_history(house: HouseUnderTest) -> None:
    store(house, record())
    assert store(house, record(text=NEXT_TEXT, updated_at=TUESDAY)) == {"amended": 1}
    assert store(house, record(text=THIRD_TEXT, updated_at=WEDNESDAY)) == {"amended": 1}
    assert versions(house) == [
        (1, "No pleural effusion.", False, False, False),
        (2, NEXT_TEXT, False, False, False),
        (3, THIRD_TEXT, True, False, False),
    ]
    assert jobs(house) == [[1], [2], [3]]


def test_an_older_one_changes_nothing(house: HouseUnderTest) -> None:
    store(house, record())
    assert store(house, record(text=NEXT_TEXT, updated_at=SUNDAY)) == {"outdated": 1}
    assert versions(house) == [(1, "No pleural effusion.", True, False, False)]


def test_a_withdrawn_report_stays_with_its_text_and_leaves_the_views(house: HouseUnderTest) -> None:
    store(house, record())
    assert store(house, record(text=None, updated_at=TUESDAY)) == {"withdrawn": 1}
    assert versions(house) == [(1, "No pleural effusion.", True, True, False)]
    assert events(house)[1:] == [("ReportsWithdrawn", [1])]
    assert house.rows("SELECT * FROM report_texts") == []
    assert house.value("SELECT withdrawn FROM completeness") == 1


def test_a_withdrawn_report_that_comes_back_is_a_new_version(house: HouseUnderTest) -> None:
    store(house, record())
    store(house, record(text=None, updated_at=TUESDAY))
    assert store(house, record()) == {"outdated": 1}
    assert store(house, record(updated_at=WEDNESDAY)) == {"reinstated": 1}
    assert versions(house) == [
        (1, "No pleural effusion.", False, True, False),
        (2, "No pleural effusion.", True, False, False),
    ]


def test_a_report_that_was_withdrawn_before_we_saw_it_is_kept_without_text(house: HouseUnderTest) -> None:
    assert store(house, record(text=None, updated_at=TUESDAY)) == {"withdrawn": 1}
    assert versions(house) == [(1, None, True, True, False)]
    assert jobs(house) == []
    assert store(house, record()) == {"outdated": 1}
    assert store(house, record(updated_at=WEDNESDAY)) == {"reinstated": 1}


def test_a_deletion_of_what_we_never_had_is_counted(house: HouseUnderTest) -> None:
    assert store(house, record(text=None, code=None)) == {"skipped": 1}
    assert versions(house) == []
    assert tuple(*house.rows("SELECT feed, reason, records FROM skipped_count")) == (
        "main",
        "deletion-of-unknown-report",
        1,
    )


def test_skipped_records_are_counted_by_reason(house: HouseUnderTest) -> None:
    store(house, *[Skipped("a:1", "other-code")] * 3, Skipped("a:4", "other-modality"))
    store(house, *[Skipped("b:1", "other-code")] * 2, feed="other")
    assert store(house, Skipped("a:5", "other-code")) == {"skipped": 1}
    counted = house.rows("SELECT feed, reason, records FROM skipped_count ORDER BY 1, 2")
    assert [tuple(row) for row in counted] == [
        ("main", "other-code", 4),
        ("main", "other-modality", 1),
        ("other", "other-code", 2),
    ]


# --- quarantine


def quarantine(house: HouseUnderTest) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in house.rows("SELECT place, reason, source_id FROM quarantined_records ORDER BY 1, 2")]


def test_what_cannot_be_read_is_quarantined_and_the_rest_goes_on(house: HouseUnderTest) -> None:
    broken = Unreadable("a.ndjson:2", Reason.BROKEN_JSON)
    assert store(house, record("r1"), broken, record("r3")) == {"new": 2, "quarantined": 1}
    assert quarantine(house) == [("a.ndjson:2", "broken-json", None)]


@pytest.mark.parametrize("stated", [{"patient": "900101-1234567"}, {"accession": "010-1234-5678"}])
def test_identifying_data_beside_the_text_is_quarantined_too(house: HouseUnderTest, stated: dict[str, str]) -> None:
    assert store(house, record("r1", **stated), record("r2")) == {"quarantined": 1, "new": 1}
    assert quarantine(house) == [("a.ndjson:r1", "identifying-data", "r1")]
    assert versions(house, "r1") == []


def test_identifying_data_is_quarantined_without_the_text(house: HouseUnderTest) -> None:
    assert store(house, record(text="환자명: 홍길동, 010-1234-5678")) == {"quarantined": 1}
    assert versions(house) == []
    assert quarantine(house) == [("a.ndjson:r1", "identifying-data", "r1")]
    assert house.value("SELECT kinds FROM quarantined_records") == ["phone-number", "patient-name"]


def test_reading_it_again_adds_no_row(house: HouseUnderTest) -> None:
    broken = Unreadable("a.ndjson:2", Reason.BROKEN_JSON)
    for _ in range(2):
        assert store(house, broken, broken) == {"quarantined": 2}
    assert len(quarantine(house)) == 1
    store(house, Unreadable("a.ndjson:2", Reason.BAD_BASE64, "r2", MONDAY))
    assert len(quarantine(house)) == 2


def test_a_hospital_names_its_own_record_numbers(house: HouseUnderTest) -> None:
    numbered = record(text="Chart H-1234567. No nodule.")
    with house.sessions.begin() as session:
        pulls.register(session, "main", FeedSettings(path=Path("/nowhere"), site="seoul"))
        feed = session.get_one(Feed, "main")
        found = reports.store(session, feed, [numbered], cursor={}, rules=RULES, record_numbers=[r"H-[0-9]{7}"])
    assert found == {"quarantined": 1}
    assert store(house, numbered) == {"new": 1}, "elsewhere it is no such number"


def test_a_deletion_finds_what_is_in_quarantine(house: HouseUnderTest) -> None:
    gone = record(text=None, code=None, updated_at=TUESDAY)
    store(house, record(text=PHONE))
    assert store(house, gone) == {"withdrawn": 1}
    assert store(house, record("r2", text=PHONE), replace(gone, source_id="r2")) == {"quarantined": 1, "withdrawn": 1}
    assert versions(house, "r1") == versions(house, "r2") == [(1, None, True, True, False)]
    assert jobs(house) == []


def test_which_pull_brought_a_report_is_kept(house: HouseUnderTest) -> None:
    store(house)
    with house.sessions.begin() as session:
        job_id = pipeline_jobs.enqueue(session, JobKind.PULL, key="pull:main", feed="main", max_attempts=1)
        feed = session.get_one(Feed, "main")
        reports.store(session, feed, [record(), record("r2")], cursor={}, rules=RULES, job_id=job_id)
    assert house.rows("SELECT DISTINCT job_id FROM report") == [(job_id,)]


PHONE = "Call 010-1234-5678."


def test_a_quarantined_amendment_flags_the_version_that_stands(house: HouseUnderTest) -> None:
    store(house, record())
    assert store(house, record(text=PHONE, updated_at=TUESDAY)) == {"quarantined": 1}
    assert versions(house) == [(1, "No pleural effusion.", True, False, True)]


def test_an_unreadable_amendment_flags_it_too(house: HouseUnderTest) -> None:
    store(house, record())
    store(house, Unreadable("a.ndjson:9", Reason.BAD_BASE64, "r1", TUESDAY))
    assert versions(house) == [(1, "No pleural effusion.", True, False, True)]


def test_an_older_quarantined_copy_does_not_flag_it(house: HouseUnderTest) -> None:
    store(house, record())
    store(house, Unreadable("a.ndjson:9", Reason.BAD_BASE64, "r1", SUNDAY))
    assert versions(house) == [(1, "No pleural effusion.", True, False, False)]


def test_the_amendment_that_can_be_read_stands_without_a_flag(house: HouseUnderTest) -> None:
    store(house, record())
    store(house, record(text=PHONE, updated_at=TUESDAY))
    store(house, record(text=NEXT_TEXT, updated_at=WEDNESDAY))
    assert versions(house)[1] == (2, NEXT_TEXT, True, False, False)


def test_what_stands_said_again_later_takes_the_flag_off(house: HouseUnderTest) -> None:
    store(house, record())
    store(house, record(text=PHONE, updated_at=TUESDAY))
    store(house, record(updated_at=WEDNESDAY))
    assert versions(house) == [(1, "No pleural effusion.", True, False, False)]


def test_a_file_that_is_merely_read_again_leaves_the_flag(house: HouseUnderTest) -> None:
    store(house, record())
    store(house, record(text=PHONE, updated_at=TUESDAY))
    assert store(house, record()) == {"unchanged": 1}
    assert versions(house) == [(1, "No pleural effusion.", True, False, True)]


# --- the same report several times in one chunk


def test_a_report_and_its_amendments_in_one_chunk(house: HouseUnderTest) -> None:
    outcomes = store(
        house,
        record(),
        record(updated_at=MONDAY),
        record(text=NEXT_TEXT, updated_at=WEDNESDAY),
        record(text=THIRD_TEXT, updated_at=TUESDAY),
    )
    assert outcomes == {"new": 1, "unchanged": 1, "amended": 1, "outdated": 1}
    assert versions(house) == [
        (1, "No pleural effusion.", False, False, False),
        (2, NEXT_TEXT, True, False, False),
    ]
    assert jobs(house) == [house_ids(house, current=True)], "only what stands in the end is labelled"


def house_ids(house: HouseUnderTest, *, current: bool) -> list[int]:
    return [row.id for row in house.rows("SELECT id FROM report WHERE is_current = :current", current=current)]


def test_new_and_withdrawn_in_one_chunk(house: HouseUnderTest) -> None:
    assert store(house, record(), record(text=None, updated_at=TUESDAY)) == {"new": 1, "withdrawn": 1}
    assert versions(house) == [(1, "No pleural effusion.", True, True, False)]
    assert jobs(house) == []
    assert store(house, record()) == {"outdated": 1}


def test_amended_and_withdrawn_in_one_chunk_is_a_fact_too(house: HouseUnderTest) -> None:
    store(house, record())
    store(house, record(text=NEXT_TEXT, updated_at=TUESDAY), record(text=None, updated_at=WEDNESDAY))
    assert versions(house)[1] == (2, NEXT_TEXT, True, True, False)
    assert events(house)[1:] == [("ReportsWithdrawn", [2])]


def test_withdrawn_and_reinstated_in_one_chunk(house: HouseUnderTest) -> None:
    store(house, record())
    outcomes = store(house, record(text=None, updated_at=TUESDAY), record(text=NEXT_TEXT, updated_at=WEDNESDAY))
    assert outcomes == {"withdrawn": 1, "reinstated": 1}
    assert versions(house) == [
        (1, "No pleural effusion.", False, True, False),
        (2, NEXT_TEXT, True, False, False),
    ]
    assert jobs(house) == [[1], [2]]


def test_only_the_version_whose_amendment_was_quarantined_is_flagged(house: HouseUnderTest) -> None:
    store(house, record())
    store(house, record(text=NEXT_TEXT, updated_at=TUESDAY), record(text=PHONE, updated_at=WEDNESDAY))
    assert versions(house) == [
        (1, "No pleural effusion.", False, False, False),
        (2, NEXT_TEXT, True, False, True),
    ]


# --- identity


def test_equal_accessions_at_two_sites_are_two_reports(house: HouseUnderTest) -> None:
    store(house, record(accession="A1"))
    assert store(house, record(accession="A1", text=NEXT_TEXT), feed="other", site="busan") == {"new": 1}
    assert len(versions(house)) == 2
    assert house.value("SELECT count(*) FROM report WHERE is_current AND accession = 'A1'") == 2


def test_two_feeds_of_one_site_hold_the_same_report_once(house: HouseUnderTest) -> None:
    store(house, record())
    assert store(house, record(), feed="again") == {"unchanged": 1}


def test_two_feeds_storing_the_same_report_at_once_wait_for_each_other(house: HouseUnderTest) -> None:
    outcomes: list[Counter[str]] = []
    store(house, feed="again")  # both feeds are known
    store(house)
    barrier = threading.Barrier(2)

    def pull(feed: str) -> None:
        barrier.wait(timeout=30)
        outcomes.append(store(house, *(record(f"r{number}") for number in range(50)), feed=feed))

    threads = [threading.Thread(target=pull, args=(feed,)) for feed in ("main", "again")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert sorted(map(dict, outcomes), key=str) == [{"new": 50}, {"unchanged": 50}]
    assert house.value("SELECT count(*) FROM report") == 50


# --- one transaction


def test_the_cursor_moves_with_its_chunk(house: HouseUnderTest) -> None:
    store(house, record(), cursor={"files": {"a": 1}})
    assert house.value("SELECT cursor FROM feed") == {"files": {"a": 1}}
    store(house, cursor={"files": {"a": 2}})
    assert house.value("SELECT cursor FROM feed") == {"files": {"a": 2}}


def test_a_chunk_that_fails_leaves_nothing_and_no_cursor(house: HouseUnderTest) -> None:
    store(house, cursor={"at": 0})
    unstorable = record("r2", code="\x00")  # PostgreSQL holds no NUL
    with pytest.raises(DatabaseFailed) as failure:
        store(house, record("r1"), unstorable, Skipped("a:3", "x"), Unreadable("a:4", Reason.BAD_ID), cursor={"at": 4})
    assert "No pleural" not in str(failure.value)
    assert failure.value.__context__ is None
    assert house.value("SELECT cursor FROM feed") == {"at": 0}
    for table in ("report", "event", "job", "quarantine", "skipped_count"):
        assert house.value(f"SELECT count(*) FROM {table}") == 0, table


def test_a_caller_that_fails_after_storing_keeps_nothing(house: HouseUnderTest) -> None:
    store(house)
    with pytest.raises(KeyError), house.sessions.begin() as session:
        reports.store(session, session.get_one(Feed, "main"), [record()], cursor={"at": 9}, rules=RULES)
        raise KeyError
    assert versions(house) == []
    assert house.value("SELECT cursor FROM feed") == {}


def test_a_chunk_is_cut_into_jobs(house: HouseUnderTest) -> None:
    store(house, *(record(f"r{number}") for number in range(10)), rules=LabelRules(reports=4, attempts=2))
    assert [len(job) for job in jobs(house)] == [4, 4, 2]
    assert sorted(report for job in jobs(house) for report in job) == list(range(1, 11))
    assert house.value("SELECT DISTINCT max_attempts FROM job") == 2


# --- COPY

TEXTS = [
    "tab\there\nline\r\nback\\slash \\N \\. \\t end\\",
    "\\N",
    "\\.",
    "\\.\nNo nodule.",
    'quotes " and \' and , ; and {a,"b"}',
    "흉부 CT: 양측 폐에 결절 🫁 — ½ µm \u200b\ufeff\u2028 e\u0301",
    "👩‍⚕️ 결절 3.5 cm",
    " leading and trailing \n",
    "NULL",
    "vertical\x0b form\x0c bell\x07 next\x85line",
]


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_texts_come_back_as_they_were(text: str, house: HouseUnderTest) -> None:
    store(house, record(text=text, accession=text[:20], patient="a\tb\\c"), record("r2"))
    (row,) = house.rows("SELECT text, accession, patient FROM report WHERE source_id = 'r1'")
    assert tuple(row) == (text, text[:20], "a\tb\\c")
    assert store(house, record(text=text, accession=text[:20], patient="a\tb\\c")) == {"unchanged": 1}


@given(text=st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_comes_back_as_it_was(text: str, house: HouseUnderTest) -> None:
    sent: Record = record(text=text, updated_at=None)
    stored_as = store(house, sent)
    if "quarantined" not in stored_as:
        assert house.value("SELECT text FROM report WHERE is_current") == text
        assert house.value("SELECT length(text) FROM report WHERE is_current") == len(text)
