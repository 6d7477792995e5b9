"""A refresh becomes due by calendar, volume or drift; one at a time, and the reason stays."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from given import RULES, stored
from under_test import TINY_TEXTS, HouseUnderTest

from pipeline import drift, refresh_runs, schedules
from scheduler import clock
from worker import measure_drift

Serve = Callable[..., int]
EVENING = datetime(2026, 11, 22, 20, tzinfo=UTC)
MORNING = datetime(2026, 11, 23, 5, 30, tzinfo=UTC)
WEEKLY = '[refresh]\nschedule = "0 6 * * mon"\n'
SIX = datetime(2026, 11, 23, 6, tzinfo=UTC)
VOLUME = "[refresh]\nnew_reports = 3\n"
DRIFT = "[refresh.drift]\nleast_reports = 3\n"


def annotated(house: HouseUnderTest, split: str = "train") -> None:
    house.execute(
        "INSERT INTO annotation (label_set_id, site, source_id, text_hash, text, labels, split) "
        "SELECT id, 'seoul', 'a1', 'h1', 'No nodule.', array_fill(0, ARRAY[18]), :split FROM label_set",
        split=split,
    )


def measure(house: HouseUnderTest) -> None:
    with house.sessions.begin() as session:
        drift.ask(session, attempts=3)
    assert measure_drift.run_next(house.sessions, house.house.settings, worker="test")
    assert house.value("SELECT state FROM job WHERE kind = 'drift' ORDER BY id DESC LIMIT 1") == "done"


def tick(house: HouseUnderTest, now: datetime) -> list[str]:
    return clock.tick(house.sessions, house.house.settings, now=now)


def runs(house: HouseUnderTest) -> list[tuple[str, str, str]]:
    return [tuple(row) for row in house.rows("SELECT reason, asked_by, state FROM refresh_run ORDER BY id")]


def due_facts(house: HouseUnderTest) -> list[dict[str, Any]]:
    return [row.payload for row in house.rows("SELECT payload FROM event WHERE kind = 'RefreshDue' ORDER BY id")]


def refresh_jobs(house: HouseUnderTest) -> int:
    found: int = house.value("SELECT count(*) FROM job WHERE kind = 'refresh'")
    return found


@pytest.fixture
def ready(house: HouseUnderTest, serve: Serve) -> HouseUnderTest:
    """A model serves, there is something to train on, and four reports came since."""
    house.configure(VOLUME)
    serve()
    annotated(house)
    stored(house, TINY_TEXTS)
    return house


# --- by volume and by drift


def test_many_new_reports_make_a_refresh_due(ready: HouseUnderTest) -> None:
    measure(ready)
    reason = "4 new reports since the last refresh (3 make one due)"
    assert runs(ready) == [(reason, "policy", "open")]
    assert due_facts(ready) == [{"refresh_run_id": 1, "reason": reason, "by": "policy"}]
    assert refresh_jobs(ready) == 1


def test_fewer_do_not(ready: HouseUnderTest) -> None:
    ready.configure("[refresh]\nnew_reports = 5\n")
    measure(ready)
    assert (runs(ready), due_facts(ready), refresh_jobs(ready)) == ([], [], 0)


def test_drift_makes_a_refresh_due(house: HouseUnderTest, serve: Serve) -> None:
    house.configure(DRIFT)
    stored(house, TINY_TEXTS)
    serve()
    annotated(house)
    stored(house, [*TINY_TEXTS, "鼻炎 和 肺炎", "肝脏 未见 异常", "左 上 叶 结节"])
    # `stored` sends r1 to r4 once more, unchanged: three reports are new.
    measure(house)
    reason = "unknown-pieces at seoul drifted by 1 (0.01 make one due)"
    assert runs(house) == [(reason, "policy", "open")]
    assert due_facts(house)[0]["reason"] == reason


def test_a_threshold_that_is_unset_makes_none_due(house: HouseUnderTest, serve: Serve) -> None:
    house.configure(DRIFT)
    stored(house, TINY_TEXTS)
    serve()
    annotated(house)
    stored(house, [*TINY_TEXTS, "鼻炎 和 肺炎", "肝脏 未见 异常", "左 上 叶 结节"])
    unset = {"unknown_pieces": None, "fertility": None}
    limits = house.house.settings.refresh.drift.model_copy(update=unset)
    settings = house.house.settings
    settings = settings.model_copy(update={"refresh": settings.refresh.model_copy(update={"drift": limits})})
    with house.sessions.begin() as session:
        drift.ask(session, attempts=3)
    measure_drift.run_next(house.sessions, settings, worker="test")
    assert house.value("SELECT count(*) FROM drift_signals WHERE drift = 1 AND NOT exceeded") == 1
    assert runs(house) == []


@pytest.mark.parametrize("split", ["calibration", "gate"])
def test_without_anything_to_train_on_none_is_due(house: HouseUnderTest, serve: Serve, split: str) -> None:
    house.configure(VOLUME)
    serve()
    annotated(house, split)
    stored(house, TINY_TEXTS)
    measure(house)
    assert runs(house) == []


@pytest.mark.parametrize(
    ("days_ago", "state", "due"), [(6, "rejected", 0), (8, "rejected", 1), (1, "failed", 0), (8, "cancelled", 1)]
)
def test_not_so_soon_after_the_last(ready: HouseUnderTest, days_ago: int, state: str, due: int) -> None:
    ready.execute(
        "INSERT INTO refresh_run (reason, asked_by, state, finished_at) "
        "VALUES ('asked', 'a@b', :state, now() - make_interval(days => :days))",
        state=state, days=days_ago,
    )  # fmt: skip
    measure(ready)
    assert len(runs(ready)) == 1 + due
    assert refresh_jobs(ready) == due


def test_one_that_is_under_way_will_do(ready: HouseUnderTest) -> None:
    measure(ready)
    measure(ready)
    assert len(runs(ready)) == 1
    assert len(due_facts(ready)) == 1
    assert refresh_jobs(ready) == 1


def test_another_model_promoted_meanwhile_is_not_judged_by_the_former_s_figures(
    ready: HouseUnderTest, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep = drift.store

    def promoted_meanwhile(*given: Any, **named: Any) -> None:
        keep(*given, **named)
        serve()

    monkeypatch.setattr(drift, "store", promoted_meanwhile)
    measure(ready)
    assert runs(ready) == []


# --- by calendar


def test_drift_is_measured_each_night(house: HouseUnderTest) -> None:
    tick(house, EVENING)
    assert schedules.DRIFT not in tick(house, MORNING - timedelta(minutes=1))
    assert schedules.DRIFT in tick(house, MORNING)
    assert tick(house, MORNING + timedelta(minutes=1)) == []
    [job] = house.rows("SELECT key, state, scheduled_at FROM job WHERE kind = 'drift'")
    assert tuple(job) == ("drift", "ready", MORNING)


def test_the_calendar_is_off_unless_it_is_set(ready: HouseUnderTest) -> None:
    assert schedules.REFRESH not in {one.name for one in clock.schedules_of(ready.house.settings)}


def test_the_calendar_makes_a_refresh_due(ready: HouseUnderTest) -> None:
    ready.configure(WEEKLY)
    tick(ready, EVENING)
    assert schedules.REFRESH in tick(ready, SIX)
    assert runs(ready) == [("calendar", "policy", "open")]
    assert [one["reason"] for one in due_facts(ready)] == ["calendar"]
    assert refresh_jobs(ready) == 1
    assert tick(ready, SIX + timedelta(minutes=1)) == []


def test_the_days_after_the_last_do_not_hold_the_calendar_back(ready: HouseUnderTest) -> None:
    ready.configure(WEEKLY)
    ready.execute(
        "INSERT INTO refresh_run (reason, asked_by, state, finished_at) VALUES ('asked', 'a@b', 'promoted', now())",
    )
    tick(ready, EVENING)
    tick(ready, SIX)
    assert len(due_facts(ready)) == 1


def test_a_calendar_that_finds_one_under_way_lets_its_time_pass(ready: HouseUnderTest) -> None:
    ready.configure(WEEKLY)
    tick(ready, EVENING)
    with ready.sessions.begin() as session:
        refresh_runs.ask(session, reason="asked", by="a@b", rules=RULES)
    assert schedules.REFRESH in tick(ready, SIX)
    assert runs(ready) == [("asked", "a@b", "open")]
    assert tick(ready, SIX + timedelta(minutes=1)) == []


def test_a_calendar_in_a_house_without_a_model_lets_its_time_pass(house: HouseUnderTest) -> None:
    house.configure(WEEKLY)
    tick(house, EVENING)
    assert schedules.REFRESH in tick(house, SIX)
    assert (runs(house), due_facts(house), refresh_jobs(house)) == ([], [], 0)


# --- one at a time


def at_once(*doing: Callable[[], object]) -> None:
    """A thread for each, all of which begin together; none may raise."""
    barrier, raised = threading.Barrier(len(doing)), []

    def one(do: Callable[[], object]) -> None:
        barrier.wait(timeout=30)
        try:
            do()
        except Exception as error:  # noqa: BLE001 - told by the test
            raised.append(error)

    threads = [threading.Thread(target=one, args=(do,)) for do in doing]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
    assert raised == []


def test_two_clocks_at_once_make_one_refresh(ready: HouseUnderTest) -> None:
    ready.configure(WEEKLY)
    settings = ready.house.settings
    tick(ready, EVENING)
    at_once(*[lambda: clock.tick(ready.sessions, settings, now=SIX)] * 4)
    assert runs(ready) == [("calendar", "policy", "open")]
    assert len(due_facts(ready)) == 1
    assert refresh_jobs(ready) == 1


def test_clock_and_measurement_at_once_make_one_refresh(ready: HouseUnderTest) -> None:
    ready.configure('[refresh]\nnew_reports = 3\nschedule = "0 6 * * mon"\n')
    settings = ready.house.settings
    tick(ready, EVENING)
    with ready.sessions.begin() as session:
        drift.ask(session, attempts=3)
    at_once(
        lambda: measure_drift.run_next(ready.sessions, settings, worker="one"),
        lambda: measure_drift.run_next(ready.sessions, settings, worker="two"),
        lambda: clock.tick(ready.sessions, settings, now=SIX),
    )
    assert len(runs(ready)) == 1
    assert len(due_facts(ready)) == 1
    assert refresh_jobs(ready) == 1


# --- the end of one whose job was given up


def given_up(house: HouseUnderTest) -> None:
    with house.sessions.begin() as session:
        refresh_runs.ask(session, reason="asked", by="a@b", rules=RULES)
    house.execute("UPDATE job SET state = 'dead', error = 'boom', finished_at = now() WHERE kind = 'refresh'")


def test_the_clock_closes_a_refresh_whose_job_was_given_up(ready: HouseUnderTest) -> None:
    given_up(ready)
    tick(ready, EVENING)
    assert runs(ready) == [("asked", "a@b", "failed")]
    [fact] = ready.rows("SELECT payload FROM event WHERE kind = 'RefreshFinished'")
    assert (fact.payload["state"], fact.payload["reasons"]) == ("failed", ["boom"])
    tick(ready, EVENING)
    assert ready.value("SELECT count(*) FROM event WHERE kind = 'RefreshFinished'") == 1


def test_one_that_is_worked_on_stays_open(ready: HouseUnderTest) -> None:
    with ready.sessions.begin() as session:
        refresh_runs.ask(session, reason="asked", by="a@b", rules=RULES)
    tick(ready, EVENING)
    assert runs(ready) == [("asked", "a@b", "open")]


def test_two_clocks_at_once_close_it_once(ready: HouseUnderTest) -> None:
    given_up(ready)
    settings = ready.house.settings
    at_once(*[lambda: clock.tick(ready.sessions, settings, now=EVENING)] * 4)
    assert ready.value("SELECT count(*) FROM event WHERE kind = 'RefreshFinished'") == 1
