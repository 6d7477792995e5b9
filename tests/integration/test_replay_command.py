"""`nightread replay` as people type it: what is kept, adding a corpus, refilling."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from given import record, store
from typed_commands import Told, typist_of
from under_test import HouseUnderTest

from nightread.commands import corpus, replay

Typed = Callable[..., Told]


@pytest.fixture
def typed(house: HouseUnderTest, in_house: None, capsys: pytest.CaptureFixture[str]) -> Iterator[Typed]:
    yield typist_of(corpus.app, replay.app, capsys=capsys)
    shutil.rmtree(house.home / "corpora", ignore_errors=True)


@pytest.fixture
def general(typed: Typed, tmp_path: Path) -> str:
    """The name of a corpus of two documents, one of them long."""
    file = tmp_path / "a.txt"
    file.write_text("The sea is deep and cold.\n" + "바다는 깊고 차갑습니다. " * 2_000 + "\n", encoding="utf-8")
    assert typed("corpus", "add", "sea", file).error is None
    return "sea"


def test_an_empty_buffer_says_what_to_do(typed: Typed) -> None:
    said = typed("replay")
    assert "nightread replay add CORPUS" in said.plain
    assert "nightread replay refill" in said.plain
    assert typed("replay", "--json").json == []


def test_a_corpus_is_added_and_seen(house: HouseUnderTest, typed: Typed, general: str) -> None:
    said = typed("replay", "add", general)
    assert "2 documents of sea were read; 2 of them are new in the buffer. 1 were cut to 20,000" in said.plain
    assert "adding sea: 2 of 2" in said.err
    shown = typed("replay")
    assert "general en" in shown.plain
    assert "general ko" in shown.plain
    assert "sea is deep" not in shown.out + shown.err
    (english, korean) = typed("replay", "--json").json
    assert (english["site"], english["language"], english["period"]) == (None, "en", None)
    assert english["kept"] + english["held_out"] == korean["kept"] + korean["held_out"] == 1
    again = typed("replay", "add", general, "--json").json
    assert again == {"read": 2, "new": 0, "cut": 1}
    assert house.value("SELECT count(*) FROM replay_item WHERE report_id IS NULL") == 2


def test_stored_reports_are_taken_by_refilling(house: HouseUnderTest, typed: Typed) -> None:
    store(house, *(record(f"r{number}", f"Nodule {number}.") for number in range(60)))
    house.configure("[replay]\nitems = 5\nheld_out = 1\n")
    assert (
        "6 texts were added, 0 evicted for others, and 0 are gone with their reports."
        in typed("replay", "refill").plain
    )
    assert typed("replay", "--json", "refill").json == {"added": 0, "evicted": 0, "left": 0}
    shown = typed("replay").plain
    assert "seoul en 2024-Q1 5 1" in shown
    assert "all 5 of 5 1" in shown
    house.configure("[replay]\nitems = 3\nheld_out = 1\n")
    assert typed("replay", "refill", "--json").json == {"added": 0, "evicted": 2, "left": 0}


def test_the_stored_reports_are_no_general_text(typed: Typed) -> None:
    said = typed("replay", "add", "reports")
    assert said.error is not None
    assert "nightread replay refill" in said.error


def test_a_corpus_that_is_not_there_is_named(house: HouseUnderTest, typed: Typed) -> None:
    said = typed("replay", "add", "nowhere")
    assert said.error is not None
    assert "'nowhere'" in said.error
    assert "nightread corpus add" in said.error
    assert house.value("SELECT count(*) FROM replay_item") == 0


def test_patients_records_are_no_general_text(typed: Typed, tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("The patient came back.\n\nNo complaint was made.\n", encoding="utf-8")
    assert typed("corpus", "add", "notes", file, "--kind", "ehr").error is None
    assert "withdrawn" in (typed("replay", "add", "notes").error or "")
