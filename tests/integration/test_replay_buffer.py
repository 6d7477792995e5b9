"""The replay buffer on PostgreSQL: it follows from what is stored, and what is withdrawn is gone at commit."""

import hashlib
import random
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from itertools import islice
from typing import Any

import pytest
from given import MONDAY, RULES, record, store
from under_test import HouseUnderTest

from pipeline import replay, reports
from pipeline.feeds.record import Record
from pipeline.names import Role
from pipeline.replay import Refilled, is_held_out, shares
from pipeline.settings import ReplaySettings
from pipeline.tables import Feed

TUESDAY, WEDNESDAY = MONDAY + timedelta(days=1), MONDAY + timedelta(days=2)
SUMMER = datetime(2024, 7, 1, tzinfo=UTC)
ROOMY = ReplaySettings(items=1000, held_out=1000)
SMALL = ReplaySettings(items=10, held_out=2)
SPOKEN = {"en": "No nodule, {}.", "ko": "결절 없음, {}.", "mixed": "양측 폐에 nodule 없음, {}."}


def refilled(house: HouseUnderTest, kept: ReplaySettings = ROOMY) -> Refilled:
    with house.sessions.begin() as session:
        return replay.refill(session, kept=kept)


def kept_keys(house: HouseUnderTest) -> dict[str, list[str]]:
    """The keys in the buffer by stratum, in order."""
    found = defaultdict(list)
    for row in house.rows(f"SELECT {replay.STRATUM} AS stratum, i.key FROM replay_item i ORDER BY i.key"):
        found[row.stratum].append(row.key)
    return dict(found)


def expected_keys(house: HouseUnderTest, kept: ReplaySettings) -> dict[str, list[str]]:
    """What should be kept of the reports that may be learnt from, worked out without SQL."""
    keys = defaultdict(list)
    for row in house.rows("SELECT * FROM report WHERE is_current AND withdrawn_at IS NULL"):
        name = "\x1f".join((row.site, row.source_system, row.source_id, row.content_hash))
        quarter = f"{row.study_at.astimezone(UTC).year}-Q{(row.study_at.astimezone(UTC).month + 2) // 3}"
        keys[f"{row.site} {row.language} {quarter}"].append(hashlib.sha256(name.encode()).hexdigest())
    share = shares({name: sum(not is_held_out(key) for key in of) for name, of in keys.items()}, kept.items)
    expected = {
        name: sorted(
            [
                *sorted(key for key in of if not is_held_out(key))[: share[name]],
                *sorted(filter(is_held_out, of))[: kept.held_out],
            ]
        )
        for name, of in keys.items()
    }
    return {name: of for name, of in expected.items() if of}


def some(count: int, *, language: str = "en", prefix: str = "r", **changes: Any) -> list[Record]:
    return [record(f"{prefix}{number}", SPOKEN[language].format(number), **changes) for number in range(count)]


def until(found: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not found():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def waiting(house: HouseUnderTest) -> bool:
    """Whether somebody waits for a lock, as far as their own role may see."""
    blocked = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    return bool(house.rows(blocked, Role.APP)[0][0])


# --- what is kept


def test_a_report_has_the_key_of_its_record_and_the_quarter_of_its_study(house: HouseUnderTest) -> None:
    store(house, record(study_at=datetime(2025, 1, 1, 5, tzinfo=timezone(timedelta(hours=9)))))
    assert refilled(house) == Refilled(added=1, evicted=0, left=0)
    (row,) = house.rows("SELECT i.*, r.content_hash FROM replay_item i JOIN report r ON r.id = i.report_id")
    assert row.key == hashlib.sha256(f"seoul\x1ffhir\x1fr1\x1f{row.content_hash}".encode()).hexdigest()
    assert (row.site, row.language, row.period, row.text) == ("seoul", "en", "2024-Q4", None)
    assert row.held_out == is_held_out(row.key)


def test_without_a_study_it_is_the_quarter_it_was_issued_or_else_received_in(house: HouseUnderTest) -> None:
    store(house, record("r1", study_at=None, issued_at=SUMMER), record("r2", study_at=None, issued_at=None))
    refilled(house)
    received = house.value("SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYY\"-Q\"Q')")
    assert {row.period for row in house.rows("SELECT period FROM replay_item")} == {"2024-Q3", received}


@pytest.mark.parametrize("seed", range(3))
def test_it_follows_from_the_reports_in_whatever_order_they_came(house: HouseUnderTest, seed: int) -> None:
    rng = random.Random(seed)
    sent = [
        (site, one)
        for site in ("seoul", "busan")
        for language in SPOKEN
        for study_at in (MONDAY, SUMMER)
        for one in some(rng.randrange(1, 20), language=language, prefix=f"{language}{study_at:%m}", study_at=study_at)
    ]
    rng.shuffle(sent)
    while sent:
        for site in ("seoul", "busan"):
            store(house, *(one for of, one in sent[:30] if of == site), site=site, feed=site)
        del sent[:30]
        if rng.random() < 0.5:
            refilled(house, SMALL)
    refilled(house, SMALL)
    assert kept_keys(house) == expected_keys(house, SMALL)
    assert house.value("SELECT count(*) FROM replay_item WHERE NOT held_out") == SMALL.items
    assert refilled(house, SMALL) == Refilled(0, 0, 0)


def test_strata_that_come_later_get_their_share_and_the_bound_holds(house: HouseUnderTest) -> None:
    store(house, *some(40))
    refilled(house, SMALL)
    assert house.value("SELECT count(*) FROM replay_item WHERE NOT held_out") == 10
    store(house, *some(40, prefix="s", study_at=SUMMER))
    found = refilled(house, SMALL)
    assert kept_keys(house) == expected_keys(house, SMALL)
    with house.sessions.begin() as session:
        assert {one.name: one.kept for one in replay.strata(session)} == {
            "seoul en 2024-Q1": 5,
            "seoul en 2024-Q3": 5,
        }
    assert found.evicted == 5


def test_what_is_held_out_is_kept_apart_up_to_its_bound(house: HouseUnderTest) -> None:
    store(house, *some(200))
    refilled(house)
    held_out = house.rows("SELECT key FROM replay_item WHERE held_out")
    assert 3 < len(held_out) < 25
    assert {row.key for row in held_out} == {key for key in kept_keys(house)["seoul en 2024-Q1"] if is_held_out(key)}
    refilled(house, SMALL)
    assert [row.key for row in house.rows("SELECT key FROM replay_item WHERE held_out ORDER BY key")] == sorted(
        row.key for row in held_out
    )[:2]


def test_a_smaller_buffer_evicts_and_a_larger_one_takes_back(house: HouseUnderTest) -> None:
    store(house, *some(30))
    refilled(house)
    everything = kept_keys(house)
    assert refilled(house, SMALL).evicted == len(everything["seoul en 2024-Q1"]) - len(
        kept_keys(house)["seoul en 2024-Q1"]
    )
    refilled(house)
    assert kept_keys(house) == everything


def test_without_reports_it_is_empty(house: HouseUnderTest) -> None:
    assert refilled(house) == Refilled(0, 0, 0)
    with house.sessions.begin() as session:
        assert replay.strata(session) == []
        assert replay.add_general(session, [], kept=ROOMY) == replay.Added(0, 0, 0)


# --- leaving

GONE: dict[str, list[Record]] = {
    "withdrawn": [record(text=None, updated_at=TUESDAY)],
    "amended": [record(text="Small nodule.", updated_at=TUESDAY)],
    "withdrawn and reinstated": [record(text=None, updated_at=TUESDAY), record(updated_at=WEDNESDAY)],
    "amended and withdrawn": [
        record(text="Small nodule.", updated_at=TUESDAY),
        record(text=None, updated_at=WEDNESDAY),
    ],
}


@pytest.mark.parametrize("change", GONE)
def test_a_version_leaves_in_the_transaction_that_takes_its_place(house: HouseUnderTest, change: str) -> None:
    store(house, record(), record("r2"))
    refilled(house)
    held = "SELECT count(*) FROM replay_item WHERE report_id = 1"
    with house.sessions.begin() as session:
        reports.store(session, session.get_one(Feed, "main"), GONE[change], cursor={}, rules=RULES)
        assert house.value(held) == 1, "nobody sees a half of it"
    assert house.value(held) == 0
    assert house.value("SELECT count(*) FROM replay_item") == 1
    refilled(house)
    assert house.value(held) == 0
    assert kept_keys(house) == expected_keys(house, ROOMY)


def test_a_change_that_fails_leaves_it_where_it_was(house: HouseUnderTest) -> None:
    store(house, record())
    refilled(house)
    with pytest.raises(KeyError), house.sessions.begin() as session:
        reports.store(session, session.get_one(Feed, "main"), GONE["withdrawn"], cursor={}, rules=RULES)
        raise KeyError
    assert house.value("SELECT count(*) FROM replay_item WHERE report_id = 1") == 1


def test_said_again_after_it_was_withdrawn_it_has_the_same_key(house: HouseUnderTest) -> None:
    store(house, record())
    refilled(house)
    before = kept_keys(house)
    store(house, *GONE["withdrawn and reinstated"])
    refilled(house)
    assert kept_keys(house) == before
    assert house.value("SELECT report_id FROM replay_item") == 2


def test_what_left_makes_room_for_the_next(house: HouseUnderTest) -> None:
    store(house, *some(40))
    refilled(house, SMALL)
    gone = house.rows("SELECT r.source_id FROM replay_item i JOIN report r ON r.id = i.report_id")
    store(house, *(record(row.source_id, None, updated_at=TUESDAY) for row in gone))
    assert kept_keys(house) == {}
    refilled(house, SMALL)
    assert kept_keys(house) == expected_keys(house, SMALL)


def test_a_report_in_the_buffer_that_may_no_longer_be_learnt_from_leaves_at_the_next_refill(
    house: HouseUnderTest,
) -> None:
    """As if somebody had withdrawn it past us."""
    store(house, record(), record("r2"))
    refilled(house)
    with house.sessions.begin() as session:
        session.connection().exec_driver_sql("UPDATE report SET withdrawn_at = now() WHERE id = 1")
    assert refilled(house) == Refilled(added=0, evicted=0, left=1)


# --- at once


def test_what_is_withdrawn_while_a_refill_runs_is_not_added(house: HouseUnderTest) -> None:
    store(house, *some(5, prefix="s"), record())
    with ThreadPoolExecutor(1) as other, house.sessions.begin() as session:
        reports.store(session, session.get_one(Feed, "main"), GONE["withdrawn"], cursor={}, rules=RULES)
        refill = other.submit(refilled, house)
        until(lambda: waiting(house))
        session.commit()
        assert refill.result(timeout=30) == Refilled(added=5, evicted=0, left=0)
    assert kept_keys(house) == expected_keys(house, ROOMY)


def test_what_is_withdrawn_before_a_refill_commits_is_gone_after_both(house: HouseUnderTest) -> None:
    store(house, record(), record("r2"))
    with ThreadPoolExecutor(1) as other, house.sessions.begin() as session:
        replay.refill(session, kept=ROOMY)
        withdrawal = other.submit(store, house, *GONE["withdrawn"])
        until(lambda: waiting(house))
        session.commit()
        assert withdrawal.result(timeout=30) == {"withdrawn": 1}
    assert house.rows("SELECT report_id FROM replay_item") == [(2,)]


def test_two_refills_at_once_wait_for_each_other(house: HouseUnderTest) -> None:
    store(house, *some(60))
    barrier = threading.Barrier(2)

    def refill(_number: int) -> Refilled:
        barrier.wait(timeout=30)
        return refilled(house, SMALL)

    with ThreadPoolExecutor(2) as both:
        found = sorted(both.map(refill, range(2)), key=lambda one: one.added)
    assert found[0] == Refilled(0, 0, 0)
    assert found[1].added == house.value("SELECT count(*) FROM replay_item") == 12
    assert kept_keys(house) == expected_keys(house, SMALL)


def test_refills_and_changes_of_reports_never_wait_for_each_other_for_ever(house: HouseUnderTest) -> None:
    sent = some(60)
    store(house, *sent)

    def amend(turn: int) -> Counter[str]:
        changed = [
            record(one.source_id, f"Nodule {turn}.", updated_at=MONDAY + timedelta(days=turn))
            for one in random.Random(turn).sample(sent, 30)
        ]
        return store(house, *changed)

    def refill(turn: int) -> Refilled:
        return refilled(house, ReplaySettings(items=10 + 7 * (turn % 3), held_out=2))

    with ThreadPoolExecutor(3) as several:
        work = [several.submit(amend if turn % 2 else refill, turn) for turn in range(1, 25)]
        for one in work:
            one.result(timeout=60)
    refilled(house, SMALL)
    assert kept_keys(house) == expected_keys(house, SMALL)


# --- general text


def added(house: HouseUnderTest, texts: list[str], kept: ReplaySettings = ROOMY) -> replay.Added:
    with house.sessions.begin() as session:
        return replay.add_general(session, texts, kept=kept)


def smallest(texts: list[str], count: int, *, held_out: bool) -> list[str]:
    keys = sorted(hashlib.sha256(text.encode()).hexdigest() for text in texts)
    return list(islice((key for key in keys if is_held_out(key) == held_out), count))


def test_general_text_is_a_stratum_for_each_language(house: HouseUnderTest) -> None:
    store(house, record())
    assert added(house, [SPOKEN["en"], SPOKEN["ko"], SPOKEN["ko"], " \n"]) == replay.Added(read=3, new=2, cut=0)
    with house.sessions.begin() as session:
        found = replay.strata(session)
    assert [(one.name, one.site, one.period) for one in found] == [
        ("general en", None, None),
        ("general ko", None, None),
        ("seoul en 2024-Q1", "seoul", "2024-Q1"),
    ]
    assert all(one.kept + one.held_out == 1 for one in found)


def test_a_text_is_kept_as_it_is_and_a_long_one_is_cut(house: HouseUnderTest) -> None:
    long, signs = "lung " * 10_000, 'a\ttab\nline\\N "quoted" 폐 🫁'
    assert added(house, [signs, long]) == replay.Added(read=2, new=2, cut=1)
    assert {row.text for row in house.rows("SELECT text FROM replay_item")} == {signs, long[: replay.LONGEST]}
    for row in house.rows("SELECT key, text FROM replay_item"):
        assert row.key == hashlib.sha256(row.text.encode()).hexdigest()


def test_adding_it_again_changes_nothing(house: HouseUnderTest) -> None:
    texts = [f"General text {number}." for number in range(50)]
    added(house, texts, SMALL)
    before = house.rows("SELECT id, key FROM replay_item ORDER BY id")
    assert added(house, texts, SMALL) == replay.Added(read=50, new=0, cut=0)
    assert house.rows("SELECT id, key FROM replay_item ORDER BY id") == before


@pytest.mark.parametrize("seed", range(2))
def test_the_smallest_keys_are_kept_in_whatever_order_they_are_added(
    house: HouseUnderTest, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr(replay, "_BATCH", 7)
    rng = random.Random(seed)
    texts = [f"General text {number}." for number in range(80)]
    sent = some(30)
    rng.shuffle(texts)
    store(house, *sent[:10])
    first = added(house, texts[:25], SMALL)
    store(house, *sent[10:])
    if seed:
        refilled(house, SMALL)
    second = added(house, texts[25:], SMALL)
    assert (first.read, second.read) == (25, 55)
    assert second.new <= 7
    expected = [*smallest(texts, 5, held_out=False), *smallest(texts, 2, held_out=True)]
    assert kept_keys(house)["general en"] == sorted(expected)
    assert house.value("SELECT count(*) FROM replay_item WHERE NOT held_out") == 10


def test_reports_that_come_later_take_their_share_of_it(house: HouseUnderTest) -> None:
    texts = [f"General text {number}." for number in range(50)]
    added(house, texts, SMALL)
    assert house.value("SELECT count(*) FROM replay_item WHERE NOT held_out") == 10
    store(house, *some(40))
    refilled(house, SMALL)
    expected = [*smallest(texts, 5, held_out=False), *smallest(texts, 2, held_out=True)]
    assert kept_keys(house)["general en"] == sorted(expected)


def test_texts_are_taken_in_one_by_one(house: HouseUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Never more than a batch is in hand before the next is asked for."""
    monkeypatch.setattr(replay, "_BATCH", 5)
    written: list[int] = []

    def texts() -> Iterator[str]:
        for number in range(20):
            written.append(session.connection().exec_driver_sql("SELECT count(*) FROM replay_item").scalar_one())
            yield f"General text {number}."

    with house.sessions.begin() as session:
        replay.add_general(session, texts(), kept=ROOMY)
    assert written == [number // 5 * 5 for number in range(20)]
