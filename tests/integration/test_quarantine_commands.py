"""The quarantine's life: held back, looked through, looked into, released; and what a release refuses."""

import json
import os
import pty
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from given import RULES, feed_folder, fhir
from under_test import HouseUnderTest

from pipeline import pulls, quarantine
from pipeline.names import Role
from pipeline.quarantine import NotReleased, Places
from worker import pull_reports

MARKER = "zyxwortmarke"
PHONE = f"{MARKER} 양측 폐에 결절. 연락처: 010-1234-5678"
E_MAIL = f"{MARKER} A nodule. Write to kim@hospital.example.org"
BOTH = f"{PHONE} kim@hospital.example.org"
TUESDAY = {"meta": {"lastUpdated": "2024-03-05T02:00:00Z"}}
WEDNESDAY = {"meta": {"lastUpdated": "2024-03-06T02:00:00Z"}}
NOBODY_KNOWS_WHEN: dict[str, Any] = {"meta": {}}
WHY = "the number is the department's own"


@pytest.fixture
def folder(house: HouseUnderTest, tmp_path: Path) -> Path:
    """The folder of the house's one feed."""
    (tmp_path / "export").mkdir()
    feed_folder(house, tmp_path / "export")
    return tmp_path / "export"


def pull(house: HouseUnderTest) -> dict[str, int]:
    settings = house.house.settings
    with house.sessions.begin() as session:
        for name, feed in settings.feeds.items():
            pulls.ask(session, name, feed, attempts=settings.attempts)
    assert pull_reports.run_next(house.sessions, settings, worker="here:1")
    (job,) = house.rows("SELECT state, error, outcome FROM job WHERE kind = 'pull' ORDER BY id DESC LIMIT 1")
    assert job.state == "done", job.error
    outcome: dict[str, int] = job.outcome
    return outcome


def pulled(house: HouseUnderTest, folder: Path, *lines: bytes, name: str = "a.ndjson") -> dict[str, int]:
    """Write a file of the feed, anew if it is there, and pull."""
    (folder / "new").write_bytes(b"".join(lines))
    (folder / "new").replace(folder / name)
    return pull(house)


def release(house: HouseUnderTest, quarantine_id: int = 1) -> tuple[str, int | None]:
    """Release a record as the command does; outcome and report."""
    settings = house.house.settings
    with house.sessions.begin() as session:
        record = quarantine.found(session, quarantine_id)
    item = Places(settings).read_again(record)
    with house.sessions.begin() as session:
        released = quarantine.release(
            session, quarantine_id, item, by="kim@ct", note=WHY, record_numbers=(), rules=RULES
        )
    return released.outcome, released.report_id


def refused(house: HouseUnderTest, quarantine_id: int = 1) -> str:
    """Why a record is not released; nothing has changed then."""
    before = everything(house)
    with pytest.raises(NotReleased) as refusal:
        release(house, quarantine_id)
    assert everything(house) == before
    assert MARKER not in str(refusal.value)
    return str(refusal.value)


def everything(house: HouseUnderTest) -> list[list[Any]]:
    return [house.rows(f"SELECT * FROM {table} ORDER BY id") for table in ("report", "quarantine", "event", "job")]


def versions(house: HouseUnderTest, source_id: str = "r1") -> list[tuple[Any, ...]]:
    """(version, text, current, withdrawn, flagged) of a report, oldest first."""
    rows = house.rows(
        "SELECT version, text, is_current, withdrawn_at IS NOT NULL, flagged_at IS NOT NULL FROM report "
        "WHERE source_id = :source_id ORDER BY version",
        source_id=source_id,
    )
    return [tuple(row) for row in rows]


def rows(house: HouseUnderTest) -> list[tuple[Any, ...]]:
    """(reason, kinds, released) of the quarantine."""
    found = house.rows("SELECT reason, kinds, released_at IS NOT NULL FROM quarantine ORDER BY id")
    return [tuple(row) for row in found]


# --- the whole way, as people type it


def test_from_quarantine_to_a_label_job(house: HouseUnderTest, folder: Path) -> None:
    assert pulled(house, folder, fhir("r1", "No nodule."), fhir("r2", BOTH), b"{broken\n") == {
        "new": 1,
        "quarantined": 2,
    }
    said = [house.command("quarantine", "list", "--feed", "main", COLUMNS="160")]
    assert said[-1].stdout.splitlines()[0] == "identifying-data 1 (phone-number 1, e-mail 1), broken-json 1"
    assert "identifying-data: phone-number, e-mail" in said[-1].stdout
    assert "a.ndjson:3" in said[-1].stdout

    said.append(house.command("quarantine", "show", "1", COLUMNS="160"))
    assert "r2" in said[-1].stdout
    assert "on a terminal" in said[-1].stdout

    said.append(house.command("quarantine", "release", "1", "--note", WHY))
    assert said[-1].stdout == "1: new, report 2\n", said[-1].stderr

    assert versions(house, "r2") == [(1, BOTH, True, False, False)]
    assert house.rows("SELECT job_id FROM report ORDER BY id") == [(1,), (None,)], "the pull brought one of them"
    assert [2] in [row.report_ids for row in house.rows("SELECT report_ids FROM job WHERE kind = 'label'")]
    (fact,) = house.rows("SELECT payload FROM event WHERE kind = 'RecordReleased'")
    by = fact.payload["by"]
    kinds = ["phone-number", "e-mail"]
    released = {"by": by, "note": WHY, "kinds": kinds, "outcome": "new", "report_id": 2}
    assert fact.payload == {"quarantine_id": 1, "feed": "main", **released}
    assert "@" in by
    (row,) = house.rows("SELECT * FROM quarantined_records WHERE quarantine_id = 1", Role.ANALYST)
    assert (row.released_by, row.release_note, row.release_outcome, row.released_report_id) == (by, WHY, "new", 2)

    said.append(house.command("quarantine", "list", "--json"))
    assert [one["reason"] for one in json.loads(said[-1].stdout)] == ["broken-json"]
    said.append(house.command("quarantine", "list", "--all", "--reason", "e-mail", "--json"))
    assert [(one["id"], one["release_note"]) for one in json.loads(said[-1].stdout)] == [(1, WHY)]
    said.append(house.command("quarantine", "show", "1", "--json"))
    shown = json.loads(said[-1].stdout)
    assert (shown["kinds"], shown["held"][0]["report_id"]) == (kinds, 2)
    (release_shown,) = shown["releases"]
    assert {name: release_shown[name] for name in released} == released

    assert all(done.returncode == 0 for done in said)
    assert MARKER not in "".join(done.stdout + done.stderr for done in said)
    kept = house.rows("SELECT q::text FROM quarantine q UNION ALL SELECT e::text FROM event e")
    kept += house.rows("SELECT j::text FROM job j UNION ALL SELECT f::text FROM feed f")
    assert MARKER not in str(kept)


def test_what_cannot_be_released_does_not_keep_the_others_back(house: HouseUnderTest, folder: Path) -> None:
    pulled(house, folder, fhir("r1", PHONE), b"{broken\n", fhir("r3", E_MAIL))
    done = house.command("quarantine", "release", "1", "2", "3", "1", "9", "--note", WHY)
    assert done.returncode == 1
    assert done.stdout == "1: new, report 1\n3: new, report 2\n"
    assert [line.split(";")[0] for line in done.stderr.splitlines()] == [
        "error: record 2 cannot be read at a.ndjson:2 (broken-json)",
        "error: no record 9 was ever quarantined",
    ]
    assert MARKER not in done.stderr


def test_a_long_list_is_cut_and_says_so(house: HouseUnderTest, folder: Path) -> None:
    pulled(house, folder, b"{broken\n" * 3, fhir("r1", PHONE))
    said = house.command("quarantine", "list", "--limit", "3", COLUMNS="160").stdout
    assert said.startswith("broken-json 3, identifying-data 1 (phone-number 1)"), "all of them are counted"
    assert "a.ndjson:3" in said
    assert "a.ndjson:4" not in said
    assert "1 more are not shown" in said
    assert "not shown" not in house.command("quarantine", "list").stdout
    assert [one["id"] for one in json.loads(house.command("quarantine", "list", "--json", "--limit", "1").stdout)] == [
        1
    ]


@pytest.mark.parametrize("note", [(), ("--note", "  ")], ids=["none", "blank"])
def test_a_release_wants_a_reason(house: HouseUnderTest, note: Sequence[str]) -> None:
    done = house.command("quarantine", "release", "1", *note)
    assert done.returncode == 2
    assert "--note" in done.stderr


def test_a_feed_that_left_the_settings_is_named(house: HouseUnderTest, folder: Path) -> None:
    pulled(house, folder, fhir("r1", PHONE))
    house.configure("")
    done = house.command("quarantine", "release", "1", "--note", WHY)
    assert done.returncode == 1
    assert "the settings name no feed 'main'" in done.stderr
    assert house.command("quarantine", "list", "--feed", "main").stdout.startswith("identifying-data 1")
    assert house.command("quarantine", "list", "--feed", "mian").returncode == 1


def on_a_terminal(house: HouseUnderTest, *arguments: str) -> str:
    """What a command says to a terminal."""
    reading, writing = pty.openpty()
    said = bytearray()

    def listen() -> None:
        with suppress(OSError):  # Linux's way to say that the other end is closed
            while some := os.read(reading, 4096):
                said.extend(some)

    listening = threading.Thread(target=listen)
    listening.start()
    try:
        done = subprocess.run(
            [sys.executable, "-m", "nightread", *arguments],
            env={**os.environ, **house.environment, "COLUMNS": "160", "TERM": "dumb"},
            stdout=writing,
            stderr=subprocess.PIPE,
            timeout=120,
            check=False,
        )
    finally:
        os.close(writing)
        listening.join(timeout=60)
        os.close(reading)
    assert done.returncode == 0, done.stderr.decode()
    return said.decode()


def test_a_terminal_is_shown_the_text_as_its_source_has_it_now(house: HouseUnderTest, folder: Path) -> None:
    pulled(house, folder, fhir("r1", f"{PHONE}\x1b[31m"))
    shown = on_a_terminal(house, "quarantine", "show", "1")
    assert "it holds phone-number:" in shown
    assert PHONE in shown
    assert "\x1b[31m" not in shown, "a text tells the terminal nothing"
    unlikely = house.command("quarantine", "show", "1", FORCE_COLOR="1")
    assert MARKER not in unlikely.stdout, "a pipe is no terminal, whatever the environment says"
    (folder / "a.ndjson").unlink()
    assert "cannot be shown" in on_a_terminal(house, "quarantine", "show", "1")


# --- what a release comes to


def test_an_amendment_that_is_released_stands_without_a_flag(house: HouseUnderTest, folder: Path) -> None:
    lines = fhir("r1", "No nodule."), fhir("r1", PHONE, **TUESDAY)
    pulled(house, folder, *lines)
    assert versions(house) == [(1, "No nodule.", True, False, True)]
    assert release(house) == ("amended", 2)
    amended = [(1, "No nodule.", False, False, True), (2, PHONE, True, False, False)]
    assert versions(house) == amended
    assert pulled(house, folder, *lines, fhir("r9", "New.")) == {"outdated": 1, "unchanged": 1, "new": 1}
    assert versions(house) == amended
    assert rows(house) == [("identifying-data", ["phone-number"], True)]


def test_what_was_released_first_is_flagged_while_its_amendment_waits(house: HouseUnderTest, folder: Path) -> None:
    pulled(house, folder, fhir("r1", PHONE), fhir("r1", E_MAIL, **TUESDAY))
    assert release(house, 1) == ("new", 1)
    assert versions(house) == [(1, PHONE, True, False, True)]
    assert release(house, 2) == ("amended", 2)
    assert versions(house)[1] == (2, E_MAIL, True, False, False)


def test_what_is_older_than_what_we_hold_is_outdated(house: HouseUnderTest, folder: Path) -> None:
    pulled(house, folder, fhir("r1", PHONE), fhir("r1", "No nodule.", **TUESDAY))
    assert release(house) == ("outdated", None)
    assert versions(house) == [(1, "No nodule.", True, False, False)]


def test_the_same_record_in_two_files_becomes_one_report(house: HouseUnderTest, folder: Path) -> None:
    pulled(house, folder, fhir("r1", PHONE))
    pulled(house, folder, fhir("r1", PHONE), name="b.ndjson")
    assert release(house, 1) == ("new", 1)
    assert release(house, 2) == ("unchanged", 1)
    assert len(versions(house)) == 1


@pytest.mark.parametrize("said_at", ["2024-03-05T02:00:00Z", None], ids=["with a time", "without"])
@pytest.mark.parametrize("held", [True, False], ids=["held", "never held"])
@pytest.mark.parametrize("same_pull", [True, False], ids=["one pull", "later"])
def test_what_its_source_deleted_meanwhile_does_not_come_back(
    house: HouseUnderTest, folder: Path, said_at: str | None, held: bool, same_pull: bool
) -> None:
    if held:
        pulled(house, folder, fhir("r1", "No nodule."), name="first.ndjson")
    entry = {"request": {"method": "DELETE", "url": "DiagnosticReport/r1"}}
    bundle = {"resourceType": "Bundle", "entry": [entry]} | ({"timestamp": said_at} if said_at else {})
    quarantined = fhir("r1", PHONE, meta={"lastUpdated": "2024-03-04T12:00:00Z"})
    (folder / "a.ndjson").write_bytes(quarantined)
    if not same_pull:
        pull(house)
    (folder / "deleted").mkdir()
    (folder / "deleted" / "c.ndjson").write_text(json.dumps(bundle) + "\n")
    pull(house)
    assert release(house) == ("outdated", None)
    assert versions(house) == [(1, "No nodule." if held else None, True, True, held)]
    assert house.value("SELECT count(*) FROM report WHERE text LIKE :marker", marker=f"%{MARKER}%") == 0


def test_released_at_the_same_moment_it_is_released_once(house: HouseUnderTest, folder: Path) -> None:
    pulled(house, folder, fhir("r1", PHONE))
    barrier = threading.Barrier(2)
    came_to: list[str] = []

    def run() -> None:
        barrier.wait(timeout=30)
        try:
            came_to.append(release(house)[0])
        except NotReleased as refusal:
            came_to.append(str(refusal))

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    other, first = sorted(came_to, key=len, reverse=True)
    assert first == "new"
    assert "was released by kim@ct already (new)" in other
    assert house.value("SELECT count(*) FROM event WHERE kind = 'RecordReleased'") == 1


def test_a_line_of_a_csv_feed_is_released_too(house: HouseUnderTest, folder: Path) -> None:
    feed_folder(house, folder, kind="csv")
    (folder / "a.csv").write_text(f"id,text\nr1,No nodule.\nr2,{PHONE}\n", encoding="utf-8")
    assert pull(house) == {"new": 1, "quarantined": 1}
    assert release(house) == ("new", 2)
    (folder / "a.csv").touch()
    assert pull(house) == {"unchanged": 2}
    assert rows(house) == [("identifying-data", ["phone-number"], True)]


# --- mended at its source


BROKEN = {
    "bad-status": fhir("r1", "A nodule.", status="perhaps"),
    "missing-id": fhir("r1", "A nodule.").replace(b'"id": "r1"', b'"no": "r1"'),
    "broken-json": b"{broken\n",
}


@pytest.mark.parametrize("reason", BROKEN)
@pytest.mark.parametrize("pulled_since", [False, True], ids=["before the pull", "after it"])
def test_what_was_mended_in_its_place_leaves_quarantine(
    house: HouseUnderTest, folder: Path, reason: str, pulled_since: bool
) -> None:
    pulled(house, folder, BROKEN[reason], fhir("r2", "No nodule."))
    assert rows(house) == [(reason, [], False)]
    mended = fhir("r1", "A nodule.", **TUESDAY), fhir("r2", "No nodule.")
    if pulled_since:
        assert pulled(house, folder, *mended) == {"new": 1, "unchanged": 1}
    else:
        (folder / "a.ndjson").write_bytes(b"".join(mended))
    assert release(house) == ("unchanged" if pulled_since else "new", 2)
    assert rows(house) == [(reason, [], True)]
    assert versions(house) == [(1, "A nodule.", True, False, False)]
    assert pulled(house, folder, *mended, fhir("r3", "New."))["unchanged"] == 2


@pytest.mark.parametrize("pulled_since", [False, True], ids=["before the pull", "after it"])
def test_a_time_that_was_mended_leaves_quarantine(house: HouseUnderTest, folder: Path, pulled_since: bool) -> None:
    feed_folder(house, folder, kind="csv", **{"columns.updated_at": "updated"})
    table = "id,text,updated\nr1,No nodule.,2024-03-04T02:00:00Z\nr2,A nodule.,{}\n"
    (folder / "a.csv").write_text(table.format("yesterday"))
    assert pull(house) == {"new": 1, "quarantined": 1}
    assert rows(house) == [("bad-time", [], False)]
    (folder / "a.csv").write_text(table.format("2024-03-05T02:00:00Z"))
    if pulled_since:
        assert pull(house) == {"new": 1, "unchanged": 1}
    assert release(house) == ("unchanged" if pulled_since else "new", 2)
    assert rows(house) == [("bad-time", [], True)]
    assert versions(house, "r2") == [(1, "A nodule.", True, False, False)]


def test_what_was_mended_into_another_report_is_not_released(house: HouseUnderTest, folder: Path) -> None:
    pulled(house, folder, BROKEN["bad-status"])
    (folder / "a.ndjson").write_bytes(fhir("r2", "A nodule."))
    assert "another one has its place" in refused(house)


def test_what_was_mended_and_deleted_since_does_not_come_back(house: HouseUnderTest, folder: Path) -> None:
    pulled(house, folder, BROKEN["broken-json"])
    pulled(house, folder, fhir("r1", "A nodule."), name="b.ndjson")
    bundle = {
        "resourceType": "Bundle",
        "entry": [{"request": {"method": "DELETE", "url": "DiagnosticReport/r1"}}],
    }
    (folder / "deleted").mkdir()
    (folder / "deleted" / "c.ndjson").write_text(json.dumps(bundle) + "\n")
    pull(house)
    (folder / "a.ndjson").write_bytes(fhir("r1", "A nodule, said later.", **TUESDAY))
    assert release(house) == ("outdated", None)


# --- what a release refuses


def test_released_once_it_is_released(house: HouseUnderTest, folder: Path) -> None:
    pulled(house, folder, fhir("r1", PHONE))
    release(house)
    assert "was released by kim@ct already" in refused(house)


def test_other_kinds_than_those_it_was_quarantined_for_are_named(house: HouseUnderTest, folder: Path) -> None:
    pulled(house, folder, fhir("r1", PHONE))
    (folder / "a.ndjson").write_bytes(fhir("r1", BOTH))
    assert "not quarantined for: e-mail; " in refused(house)
    assert pull(house) == {"quarantined": 1}
    assert rows(house) == [("identifying-data", ["phone-number", "e-mail"], False)], "read again, it says so"
    assert release(house) == ("new", 1)


def test_fewer_kinds_are_no_hindrance(house: HouseUnderTest, folder: Path) -> None:
    pulled(house, folder, fhir("r1", BOTH))
    (folder / "a.ndjson").write_bytes(fhir("r1", E_MAIL))
    assert release(house) == ("new", 1)


@pytest.mark.parametrize(
    "there", [fhir("r2", PHONE), fhir("r1", PHONE, **TUESDAY)], ids=["another report", "another version"]
)
def test_another_record_in_its_place_is_not_released(house: HouseUnderTest, folder: Path, there: bytes) -> None:
    pulled(house, folder, fhir("r1", PHONE))
    (folder / "a.ndjson").write_bytes(there)
    assert "another one has its place" in refused(house)
    assert pull(house) == {"quarantined": 1}
    assert len(rows(house)) == 2, "the next pull has read what is there now"


def test_what_is_not_wanted_any_more_stays(house: HouseUnderTest, folder: Path) -> None:
    pulled(house, folder, fhir("r1", PHONE))
    with (house.home / "nightread.toml").open("a") as toml:
        toml.write('codes = ["24725-4"]\n')
    assert "not wanted any more (other-code)" in refused(house)


def test_a_text_that_was_too_large_is_released_when_the_settings_allow_it(house: HouseUnderTest, folder: Path) -> None:
    house.configure((house.home / "nightread.toml").read_text().replace("[feeds", "max_report_bytes = 9\n[feeds"))
    pulled(house, folder, fhir("r1", "A small nodule."), fhir("r2", PHONE))
    assert "cannot be read at a.ndjson:1 (oversized-text)" in refused(house)
    feed_folder(house, folder)
    assert release(house) == ("new", 1)
    assert "not quarantined for: phone-number" in refused(house, 2), "nobody has ever looked at that"


# --- read again after its release


def test_released_and_then_held_back_anew_it_is_in_quarantine_again(house: HouseUnderTest, folder: Path) -> None:
    # Without times, another text at the same place cannot be told from what was released.
    pulled(house, folder, fhir("r1", PHONE, **NOBODY_KNOWS_WHEN))
    release(house)
    assert pulled(house, folder, fhir("r1", f"{PHONE} Again.", **NOBODY_KNOWS_WHEN)) == {"quarantined": 1}
    assert rows(house) == [("identifying-data", ["phone-number"], False)]
    assert versions(house) == [(1, PHONE, True, False, True)]
    (row,) = house.rows("SELECT released_by, release_note, release_outcome, released_report_id FROM quarantine")
    assert tuple(row) == (None,) * 4
    said = house.command("quarantine", "show", "1", COLUMNS="200").stdout
    assert "released for phone-number by kim@ct: new, report 1" in said, "the audit trail keeps it"
    assert WHY in said
    assert release(house) == ("amended", 2)


def test_the_same_report_said_later_is_looked_at_anew(house: HouseUnderTest, folder: Path) -> None:
    pulled(house, folder, fhir("r1", PHONE))
    release(house)
    assert pulled(house, folder, fhir("r1", PHONE, **TUESDAY)) == {"unchanged": 1}
    assert pulled(house, folder, fhir("r1", f"{PHONE} Amended.", **WEDNESDAY)) == {"quarantined": 1}
    assert len(rows(house)) == 2
