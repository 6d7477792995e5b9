"""The clock against a real database: what is due is enqueued once, however many clocks there are."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from given import feed_folder, stored
from under_test import HouseUnderTest

from scheduler import clock

EVENING = datetime(2024, 3, 4, 20, tzinfo=UTC)
NIGHT = datetime(2024, 3, 5, 1, tzinfo=UTC)


def ticking(house: HouseUnderTest) -> Callable[[datetime], list[str]]:
    settings = house.house.settings
    return lambda now: clock.tick(house.sessions, settings, now=now)


def pulls(house: HouseUnderTest) -> int:
    found: int = house.value("SELECT count(*) FROM job WHERE kind = 'pull'")
    return found


def test_a_feed_is_pulled_at_its_time(house: HouseUnderTest, tmp_path: Path) -> None:
    feed_folder(house, tmp_path, schedule="0 1 * * *")
    tick = ticking(house)
    assert tick(EVENING) == [], "a schedule counts from when it was first seen"
    assert tick(NIGHT - timedelta(minutes=1)) == []
    assert tick(NIGHT) == ["pull:main"]
    assert tick(NIGHT + timedelta(minutes=1)) == []
    assert pulls(house) == 1


def test_the_hospital_s_zone_counts(house: HouseUnderTest, tmp_path: Path) -> None:
    feed_folder(house, tmp_path, schedule="0 1 * * *")
    settings = house.house.settings.model_copy(update={"timezone": "Asia/Seoul"})
    clock.tick(house.sessions, settings, now=EVENING - timedelta(hours=6))
    assert clock.tick(house.sessions, settings, now=datetime(2024, 3, 4, 15, 59, tzinfo=UTC)) == []
    assert clock.tick(house.sessions, settings, now=datetime(2024, 3, 4, 16, 0, tzinfo=UTC)) == ["pull:main"]


def test_nights_missed_are_caught_up_once(house: HouseUnderTest, tmp_path: Path) -> None:
    feed_folder(house, tmp_path, schedule="0 1 * * *")
    tick = ticking(house)
    tick(EVENING)
    a_week_later = EVENING + timedelta(days=7)
    assert sorted(tick(a_week_later)) == ["drift", "pull:main", "reconcile"]
    assert tick(a_week_later) == []
    assert pulls(house) == 1
    ticks = house.rows("SELECT scheduled_at FROM schedule_tick WHERE schedule = 'pull:main' ORDER BY 1")
    assert [row.scheduled_at for row in ticks] == [EVENING, NIGHT + timedelta(days=6)]


def test_two_clocks_serve_a_time_once(house: HouseUnderTest, tmp_path: Path) -> None:
    feed_folder(house, tmp_path, schedule="0 1 * * *")
    tick = ticking(house)
    tick(EVENING)
    barrier, served = threading.Barrier(4), []

    def one_clock() -> None:
        barrier.wait(timeout=30)
        served.extend(tick(NIGHT))

    threads = [threading.Thread(target=one_clock) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert served == ["pull:main"]
    assert pulls(house) == 1


def test_a_pull_that_is_still_open_will_do(house: HouseUnderTest, tmp_path: Path) -> None:
    feed_folder(house, tmp_path, schedule="0 * * * *")
    tick = ticking(house)
    tick(EVENING)
    tick(EVENING + timedelta(hours=1))
    tick(EVENING + timedelta(hours=2))
    assert pulls(house) == 1


def test_whatever_lacks_its_label_gets_a_job_each_night(house: HouseUnderTest) -> None:
    tick = ticking(house)
    tick(EVENING)
    stored(house, ["No nodule."])
    with house.sessions.begin() as session:
        session.connection().exec_driver_sql("UPDATE job SET state = 'done'")
    assert tick(datetime(2024, 3, 5, 5, tzinfo=UTC)) == ["reconcile"]
    assert house.value("SELECT report_ids FROM job WHERE state = 'ready'") == [1]
