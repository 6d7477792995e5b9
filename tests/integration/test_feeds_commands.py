"""`nightread feeds` and `feeds check`: what they say, and that they leave everything as it was."""

import json
import os
import pty
import select
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from given import feed_folder, fhir
from typed_commands import Told, typist_of
from under_test import HouseUnderTest

from nightread.commands import feeds
from pipeline import pulls
from worker import pull_reports

Typed = Callable[..., Told]

CSV_FEED = """
[feeds.main]
kind = "csv"
path = "{folder}"
site = "seoul"
columns = {{ code = "code", study_at = "study" }}
codes = ["24627-2"]
timezone = "Asia/Seoul"
"""


@pytest.fixture
def typed(in_house: None, capsys: pytest.CaptureFixture[str]) -> Typed:
    """Type `nightread feeds …`, inside this process."""
    return partial(typist_of(feeds.app, capsys=capsys), "feeds")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "export").mkdir()
    return tmp_path / "export"


def pull(house: HouseUnderTest) -> None:
    settings = house.house.settings
    with house.sessions.begin() as session:
        for name, feed in settings.feeds.items():
            pulls.ask(session, name, feed, attempts=settings.attempts)
    assert pull_reports.run_next(house.sessions, settings, worker="here:1")


def everything(house: HouseUnderTest) -> dict[str, list[Any]]:
    tables = ("feed", "report", "quarantine", "skipped_count", "event", "job")
    return {name: house.rows(f"SELECT * FROM {name} ORDER BY 1") for name in tables}


# --- feeds


def test_without_feeds_it_says_how_to_add_one(typed: Typed) -> None:
    assert "[feeds.main]" in typed().out
    assert typed("--json").json == []


def test_a_feed_that_was_never_pulled(house: HouseUnderTest, folder: Path, typed: Typed) -> None:
    feed_folder(house, folder)
    (state,) = typed("--json").json
    assert state["name"] == "main"
    assert (state["kind"], state["site"], state["in_settings"]) == ("fhir-ndjson", "seoul", True)
    assert (state["files"], state["position"], state["last_state"], state["counts"]) == (
        0,
        "nothing read yet",
        None,
        {},
    )
    assert "never" in typed().plain


def test_how_far_a_feed_has_been_read(house: HouseUnderTest, folder: Path, typed: Typed) -> None:
    house.configure(CSV_FEED.format(folder=folder))
    (folder / "a.csv").write_text("id,text,code,study\nr1,No nodule.,24627-2,\nr2,x,other,\nr3,,24627-2,\n")
    pull(house)
    (folder / "a.csv").write_text("id,text,code,study\nr4,One nodule.,24627-2,2026-01-02\n")
    pull(house)
    (state,) = typed("--json").json
    assert state["counts"] == {"new": 2, "skipped": 1, "quarantined": 1}
    assert state["skipped"] == {"other-code": 1}
    assert state["quarantined"] == {"empty-text": 1}
    assert (state["last_state"], state["files"], state["position"]) == ("done", 1, "1 of 1 file read to the end")
    assert state["lag_seconds"] >= 0
    said = typed().plain
    for part in ("csv, seoul", "1 of 1 file", "done", "0 min", "2 new"):
        assert part in said


def test_the_newest_report_and_a_feed_that_left_the_settings(house: HouseUnderTest, folder: Path, typed: Typed) -> None:
    feed_folder(house, folder)
    (folder / "a.ndjson").write_bytes(
        fhir("r1", "x", issued="2024-05-01T00:00:00Z") + fhir("r2", "y", meta={"lastUpdated": "2024-04-01T00:00:00Z"})
    )
    pull(house)
    house.configure("")
    (state,) = typed("--json").json
    assert state["newest_report_at"].startswith("2024-05-01")
    assert not state["in_settings"]
    assert "not in the settings" in typed().plain


def test_a_pull_that_waits_says_why(house: HouseUnderTest, folder: Path, typed: Typed) -> None:
    feed_folder(house, folder)
    folder.rmdir()
    pull(house)
    (state,) = typed("--json").json
    assert state["last_state"] == "waiting"
    assert str(folder) in state["error"]


# --- feeds check


@pytest.fixture
def mixed(house: HouseUnderTest, folder: Path) -> Path:
    """A CSV feed with a record of every fate, of which r1 and r2 were pulled before."""
    house.configure(CSV_FEED.format(folder=folder))
    (folder / "a.csv").write_text("id,text,code,study\nr1,No nodule.,24627-2,\nr2,No mass.,24627-2,\n")
    pull(house)
    (folder / "b.csv").write_text(
        "id,text,code,study\n"
        "r1,No nodule.,24627-2,\n"
        "r2,[red]A mass[/] marker-word \x1b[31mhere.,24627-2,\n"
        "r2,A mass of 3 cm marker-word.,24627-2,\n"
        "r3,결절 없음 marker-word.,24627-2,2026-01-02 09:00\n"
        "r4,Head marker-word.,30799-1,\n"
        "r5,,24627-2,\n"
        "r6,Patient name: Hong Gildong marker-word,24627-2,\n"
        "r7,x,24627-2,yesterday\n"
    )
    return folder


def test_check_shows_what_a_pull_would_do(mixed: Path, typed: Typed) -> None:
    found = typed("check", "main", "--json").json
    assert found["from"] == "1 of 1 file read to the end"
    assert (found["read"], found["more"]) == (8, False)
    assert found["outcomes"] == {"unchanged": 1, "amended": 2, "new": 1, "skipped": 1, "quarantined": 3}
    assert [(one["id"], one["outcome"]) for one in found["records"]] == [
        ("r1", "unchanged"),
        ("r2", "amended"),
        ("r2", "amended"),
        ("r3", "new"),
    ]
    newest = found["records"][3]
    assert (newest["place"], newest["language"], newest["characters"]) == ("b.csv:5", "mixed", 18)
    assert newest["study_at"].startswith("2026-01-02 00:00")
    assert {(why["outcome"], why["reason"], why["records"], *why["places"]) for why in found["not_taken"]} == {
        ("skipped", "other-code", 1, "b.csv:6"),
        ("quarantined", "empty-text", 1, "b.csv:7"),
        ("quarantined", "identifying-data: patient-name", 1, "b.csv:8"),
        ("quarantined", "bad-time", 1, "b.csv:9"),
    }


def test_check_is_right(mixed: Path, house: HouseUnderTest, typed: Typed) -> None:
    said = typed("check", "main", "--json").json["outcomes"]
    pull(house)
    assert house.rows("SELECT outcome FROM job WHERE kind = 'pull' ORDER BY id DESC")[0].outcome == said


def test_check_writes_nothing(mixed: Path, house: HouseUnderTest, typed: Typed) -> None:
    before = everything(house)
    for arguments in ([], ["--from-start"], ["--json"], ["--first", "0"]):
        assert typed("check", "main", *arguments).error is None
    assert everything(house) == before


def test_check_for_people_shows_no_text_but_to_a_terminal(
    mixed: Path, typed: Typed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # a terminal in rich's eyes, and yet none
    said = typed("check", "main")
    assert "marker-word" not in said.out
    for part in ("b.csv:7", "empty-text", "identifying-data: patient-name", "2026-01-02 09:00", "Nothing was stored"):
        assert part in said.plain
    assert "marker-word" not in typed("check", "main", "--json").out


def test_check_on_a_terminal_shows_the_beginning_of_each_text(mixed: Path, house: HouseUnderTest) -> None:
    code = "from nightread.commands import feeds; feeds.app(['check', 'main'])"
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, **house.environment, "COLUMNS": "200", "TERM": "xterm"},
    )
    os.close(theirs)
    shown = b""
    while select.select([ours], [], [], 60)[0]:
        try:
            shown += os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
    process.wait(60)
    os.close(ours)
    said = shown.decode()
    # Neither rich nor the terminal obeys a report.
    assert "[red]A mass[/] marker-word \N{REPLACEMENT CHARACTER}[31mhere." in said
    assert "결절 없음 marker-word." in said
    assert "Gildong" not in said


def test_check_from_the_start_and_with_limits(mixed: Path, typed: Typed) -> None:
    found = typed("check", "main", "--from-start", "--first", "2", "--limit", "3", "--json").json
    assert found["from"] == "from the start"
    assert (found["read"], found["more"]) == (3, True)
    assert [one["place"] for one in found["records"]] == ["a.csv:2", "a.csv:3"]
    assert typed("check", "main", "--limit", "8", "--json").json["more"] is False


def test_check_of_a_feed_that_was_never_pulled(house: HouseUnderTest, folder: Path, typed: Typed) -> None:
    feed_folder(house, folder)
    deleted = {"resourceType": "Bundle", "entry": [{"request": {"method": "DELETE", "url": "DiagnosticReport/r9"}}]}
    (folder / "deleted").mkdir()
    (folder / "deleted" / "b.ndjson").write_text(json.dumps(deleted) + "\n")
    (folder / "a.ndjson").write_bytes(
        fhir("r1", "No nodule.") + fhir("r1", "", status="entered-in-error", presentedForm=None) + b"{broken\n"
    )
    found = typed("check", "main", "--json").json
    assert found["outcomes"] == {"new": 1, "withdrawn": 1, "quarantined": 1, "skipped": 1}
    assert house.value("SELECT count(*) FROM feed") == 0


def test_check_says_what_is_wrong(house: HouseUnderTest, folder: Path, typed: Typed) -> None:
    feed_folder(house, folder)
    assert "no feed 'man' (known: main)" in (typed("check", "man").error or "")
    folder.rmdir()
    assert f"the feed's folder {folder} does not exist" in (typed("check", "main").error or "")


def test_options_may_stand_before_check(mixed: Path, typed: Typed) -> None:
    assert typed("--json", "check", "main").json["read"] == 8
