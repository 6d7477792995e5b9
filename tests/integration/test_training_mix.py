"""The training mix of a refresh: which texts are in it, and that nothing withdrawn, held out or judged by ever is."""

import hashlib
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from given import MONDAY, record, store
from under_test import HouseUnderTest

from pipeline import intake, replay, training_mix
from pipeline.annotation_files import text_hash
from pipeline.feeds.record import Record
from pipeline.replay import is_held_out
from pipeline.settings import ReplaySettings
from pipeline.tables import Annotation, Part, RefreshRun, RefreshState, Split
from pipeline.training_mix import Counted, HeldOut

TUESDAY, WEDNESDAY = MONDAY + timedelta(days=1), MONDAY + timedelta(days=2)
ROOMY = ReplaySettings(items=1000, held_out=1000)


def refill(house: HouseUnderTest, kept: ReplaySettings = ROOMY) -> None:
    with house.sessions.begin() as session:
        replay.refill(session, kept=kept)


def add_general(house: HouseUnderTest, *texts: str, kept: ReplaySettings = ROOMY) -> None:
    with house.sessions.begin() as session:
        replay.add_general(session, texts, kept=kept)


def snapshot(house: HouseUnderTest, *, after: int = 0, until: int = 10_000) -> int:
    """The mix of a run of its own, the only one that is open."""
    with house.sessions.begin() as session:
        for before in session.query(RefreshRun).filter_by(state=RefreshState.OPEN):
            before.state, before.finished_at = RefreshState.FAILED, MONDAY
        session.flush()
        run = RefreshRun(reason="test", asked_by="test@here")
        session.add(run)
        session.flush()
        training_mix.snapshot(session, run.id, after=after, until=until)
        return run.id


def leave_out(house: HouseUnderTest, run: int) -> int:
    with house.sessions.begin() as session:
        return training_mix.leave_out(session, run)


def read(house: HouseUnderTest, run: int, part: Part = Part.NEW, stratum: str | None = None) -> list[str]:
    return list(training_mix.texts(house.sessions, run, part, stratum))


def counts(house: HouseUnderTest, run: int) -> list[Counted]:
    with house.sessions.begin() as session:
        return training_mix.counts(session, run)


def trained_on(house: HouseUnderTest, texts: Sequence[str], **changes: Any) -> list[str]:
    """Store reports of these texts, each under an id whose key is not held out; the ids."""
    return [_store_one(house, text, held_out=False, **changes) for text in texts]


def _store_one(house: HouseUnderTest, text: str, *, held_out: bool, **changes: Any) -> str:
    site = changes.pop("site", "seoul")
    number = house.value("SELECT count(*) FROM report")
    for turn in range(1_000):
        sent = record(f"r{number}-{turn}", text, **changes)
        if is_held_out(_key(sent, site)) is held_out:
            store(house, sent, site=site, feed=site)
            return sent.source_id
    raise AssertionError("no such id was found")


def _key(sent: Record, site: str) -> str:
    name = "\x1f".join((site, "fhir", sent.source_id, intake.content_hash(sent)))
    return hashlib.sha256(name.encode()).hexdigest()


def general(count: int, *, held_out: bool = False, prefix: str = "General text") -> list[str]:
    numbered = (f"{prefix} {number}." for number in range(10_000))
    fit = (text for text in numbered if is_held_out(hashlib.sha256(text.encode()).hexdigest()) is held_out)
    return [next(fit) for _ in range(count)]


# --- what is in it


def test_new_reports_are_learnt_and_earlier_ones_and_general_text_replayed(house: HouseUnderTest) -> None:
    trained_on(house, ["Earlier nodule.", "이전 결절."])
    refill(house)
    add_general(house, *general(1))
    trained_on(house, ["Later nodule.", "나중 결절."], site="busan")
    refill(house)
    run = snapshot(house, after=2, until=4)
    assert sorted(read(house, run, Part.NEW)) == ["Later nodule.", "나중 결절."]
    assert sorted(read(house, run, Part.REPLAYED)) == [*sorted(["Earlier nodule.", *general(1)]), "이전 결절."]
    assert counts(house, run) == [
        Counted(Part.NEW, "busan en 2024-Q1", 1, 0),
        Counted(Part.NEW, "busan ko 2024-Q1", 1, 0),
        Counted(Part.REPLAYED, "general en", 1, 0),
        Counted(Part.REPLAYED, "seoul en 2024-Q1", 1, 0),
        Counted(Part.REPLAYED, "seoul ko 2024-Q1", 1, 0),
    ]
    assert read(house, run, Part.REPLAYED, "seoul ko 2024-Q1") == ["이전 결절."]
    assert read(house, run, Part.NEW, "seoul ko 2024-Q1") == []


def test_reports_that_come_after_the_snapshot_wait_for_the_next(house: HouseUnderTest) -> None:
    trained_on(house, ["One.", "Two.", "Three."])
    run = snapshot(house, after=0, until=2)
    assert sorted(read(house, run)) == ["One.", "Two."]


def test_which_texts_they_are_is_kept_by_id_and_hash(house: HouseUnderTest) -> None:
    (source_id,) = trained_on(house, ["One."])
    add_general(house, *general(1))
    run = snapshot(house)
    rows = house.rows("SELECT * FROM refresh_item ORDER BY part")
    assert [(row.refresh_run_id, row.part, row.report_id, row.left_out_at) for row in rows] == [
        (run, "new", 1, None),
        (run, "replayed", None, None),
    ]
    assert rows[0].key == _key(record(source_id, "One."), "seoul")


def test_what_is_held_out_is_in_no_mix(house: HouseUnderTest) -> None:
    store(house, *(record(f"r{number}", f"Nodule {number % 90}.") for number in range(400)))
    refill(house)
    held = {row.key for row in house.rows("SELECT key FROM replay_item WHERE held_out")}
    assert len(held) > 5
    runs = snapshot(house, after=0), snapshot(house, after=400)
    in_mix = {(row.refresh_run_id, row.key) for row in house.rows("SELECT refresh_run_id, key FROM refresh_item")}
    assert len(in_mix) == 2 * (400 - len(held))
    assert not in_mix & {(run, key) for run in runs for key in held}


def test_made_twice_it_is_the_same(house: HouseUnderTest) -> None:
    trained_on(house, ["One.", "Two."])
    run = snapshot(house)
    with house.sessions.begin() as session:
        training_mix.snapshot(session, run, after=0, until=2)
    assert [one.texts for one in counts(house, run)] == [2]


def test_texts_come_by_key_page_after_page(house: HouseUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_mix, "_PAGE", 3)
    trained_on(house, [f"Nodule {number}." for number in range(9)])
    other, run = snapshot(house), snapshot(house)
    in_order = house.rows(
        "SELECT r.text FROM refresh_item i JOIN report r ON r.id = i.report_id WHERE refresh_run_id = :run "
        "ORDER BY i.key",
        run=run,
    )
    assert read(house, run) == [row.text for row in in_order] == read(house, other)
    assert len(in_order) == 9


def test_of_nothing_there_is_nothing(house: HouseUnderTest) -> None:
    run = snapshot(house)
    assert read(house, run) == read(house, run, Part.REPLAYED) == []
    assert counts(house, run) == []
    assert leave_out(house, run) == 0
    with house.sessions.begin() as session:
        assert training_mix.held_out(session, after=0) == []


# --- what leaves it

GONE = {
    "withdrawn": lambda name: [record(name, None, updated_at=TUESDAY)],
    "amended": lambda name: [record(name, "Amended.", updated_at=TUESDAY)],
    "reinstated": lambda name: [record(name, None, updated_at=TUESDAY), record(name, "One.", updated_at=WEDNESDAY)],
}


@pytest.mark.parametrize("part", Part)
@pytest.mark.parametrize("change", GONE)
def test_what_changes_between_snapshot_and_resume_is_left_out(house: HouseUnderTest, part: Part, change: str) -> None:
    gone, _ = trained_on(house, ["One.", "Two."])
    refill(house)
    run = snapshot(house, after=0 if part is Part.NEW else 2)
    assert sorted(read(house, run, part)) == ["One.", "Two."]
    store(house, *GONE[change](gone))
    assert read(house, run, part) == ["Two."], "even before it is marked"
    assert leave_out(house, run) == 1
    assert leave_out(house, run) == 0
    assert read(house, run, part) == ["Two."]
    assert counts(house, run) == [Counted(part, "seoul en 2024-Q1", 1, 1)]
    refill(house)
    former = "SELECT count(*) FROM refresh_item WHERE report_id = 1 AND refresh_run_id = :run"
    assert house.value(former, run=snapshot(house)) == 0
    assert house.value(former, run=snapshot(house, after=10)) == 0


def test_what_is_withdrawn_while_it_is_read_is_not_read(house: HouseUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_mix, "_PAGE", 1)
    names = trained_on(house, ["One.", "Two.", "Three."])
    reading = training_mix.texts(house.sessions, snapshot(house), Part.NEW)
    next(reading)
    store(house, *(record(name, None, updated_at=TUESDAY) for name in names))
    assert list(reading) == []


def test_general_text_that_was_evicted_is_left_out(house: HouseUnderTest) -> None:
    texts = general(9)
    add_general(house, *texts)
    run = snapshot(house)
    assert sorted(read(house, run, Part.REPLAYED)) == sorted(texts)
    refill(house, ReplaySettings(items=4, held_out=1))
    assert len(read(house, run, Part.REPLAYED)) == 4
    assert leave_out(house, run) == 5


def test_a_report_that_was_only_evicted_stays_in_the_mix(house: HouseUnderTest) -> None:
    trained_on(house, ["One.", "Two.", "Three."])
    refill(house)
    run = snapshot(house, after=3)
    refill(house, ReplaySettings(items=1, held_out=1))
    assert leave_out(house, run) == 0
    assert len(read(house, run, Part.REPLAYED)) == 3


def annotated(house: HouseUnderTest, split: Split, *texts: str) -> None:
    with house.sessions.begin() as session:
        for number, text in enumerate(texts):
            session.add(
                Annotation(
                    label_set_id=house.value("SELECT min(id) FROM label_set"),
                    site="elsewhere",
                    source_id=f"{split}-{number}",
                    text_hash=text_hash(text),
                    text=text,
                    labels=[0] * 18,
                    split=split,
                )
            )


def test_what_people_judge_models_by_is_never_learnt(house: HouseUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_mix, "_PAGE", 2)
    trained_on(house, ["Judged  BY\nthis.", "Fitted on.", "Thresholds.", "Nobody read it."])
    judged = general(1)[0]
    add_general(house, *general(2))
    refill(house)
    annotated(house, Split.GATE, "judged by this.", judged.upper())
    annotated(house, Split.TRAIN, "Fitted on.")
    annotated(house, Split.CALIBRATION, "Thresholds.")
    run = snapshot(house)
    assert sorted(read(house, run)) == ["Fitted on.", "Nobody read it.", "Thresholds."]
    assert read(house, run, Part.REPLAYED) == general(2)[1:]
    assert [(one.stratum, one.texts, one.left_out) for one in counts(house, run)] == [
        ("seoul en 2024-Q1", 3, 1),
        ("general en", 1, 1),
    ]


# --- what is held out


def test_forgetting_is_measured_on_what_was_there_before(house: HouseUnderTest) -> None:
    add_general(house, *general(2, held_out=True), *general(2))
    _store_one(house, "Earlier nodule.", held_out=True)
    _store_one(house, "Later nodule.", held_out=True)
    _store_one(house, "새 결절.", held_out=True)
    trained_on(house, ["Trained on."])
    refill(house)
    with house.sessions.begin() as session:
        found = training_mix.held_out(session, after=1)
    assert [HeldOut(one.stratum, one.earlier, sorted(one.texts)) for one in found] == [
        HeldOut("general en", earlier=True, texts=sorted(general(2, held_out=True))),
        HeldOut("seoul en 2024-Q1", earlier=True, texts=["Earlier nodule."]),
        HeldOut("seoul ko 2024-Q1", earlier=False, texts=["새 결절."]),
    ]


def test_what_is_withdrawn_judges_nothing(house: HouseUnderTest) -> None:
    name = _store_one(house, "One.", held_out=True)
    refill(house)
    store(house, record(name, None, updated_at=TUESDAY))
    with house.sessions.begin() as session:
        assert training_mix.held_out(session, after=1) == []
