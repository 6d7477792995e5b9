"""Pausing and resuming what is on the clock; the row of a night and the alert when it brought nothing."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from given import feed_folder, fhir
from sqlalchemy import text
from under_test import HouseUnderTest

from pipeline import schedules, status
from pipeline.status import RunVerdict
from scheduler import clock
from worker import pull_reports

EVENING = datetime(2024, 3, 4, 20, tzinfo=UTC)
NIGHT = datetime(2024, 3, 5, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def tick(house: HouseUnderTest, now: datetime) -> list[str]:
    return clock.tick(house.sessions, house.house.settings, now=now)


def night(house: HouseUnderTest, now: datetime) -> None:
    """A tick, and the pull that it caused."""
    assert "pull:main" in tick(house, now)
    assert pull_reports.run_next(house.sessions, house.house.settings, worker="test")


def pause(house: HouseUnderTest, schedule: str) -> bool:
    with house.sessions.begin() as session:
        return schedules.pause(session, schedule, by="a@b", note="why", rules=house.house.rules)


def resume(house: HouseUnderTest, schedule: str) -> list[str]:
    with house.sessions.begin() as session:
        return schedules.resume(session, schedule, by="c@d", rules=house.house.rules)


def alert(house: HouseUnderTest) -> str | None:
    found: str | None = house.value("SELECT alert FROM feed_state WHERE feed = 'main'")
    return found


# --- pausing


def test_a_paused_night_passes_and_is_not_made_up_for(house: HouseUnderTest, tmp_path: Path) -> None:
    feed_folder(house, tmp_path, schedule="0 1 * * *")
    tick(house, EVENING)
    assert pause(house, "pull:main")
    assert tick(house, NIGHT) == []
    assert resume(house, "pull:main") == ["pull:main"]
    assert "pull:main" not in tick(house, NIGHT + timedelta(hours=1))
    assert "pull:main" in tick(house, NIGHT + DAY)
    ticks = house.rows("SELECT scheduled_at, paused FROM schedule_tick WHERE schedule = 'pull:main' ORDER BY 1")
    assert [tuple(row) for row in ticks] == [(EVENING, False), (NIGHT, True), (NIGHT + DAY, False)]


def test_everything_can_be_paused_at_once(house: HouseUnderTest, tmp_path: Path) -> None:
    feed_folder(house, tmp_path, schedule="0 1 * * *")
    tick(house, EVENING)
    assert pause(house, schedules.ALL)
    assert not pause(house, schedules.ALL), "it is paused already"
    assert tick(house, NIGHT + 5 * DAY) == []
    assert resume(house, "pull:main") == [], "only everything was paused"
    assert resume(house, schedules.ALL) == ["*"]
    assert sorted(tick(house, NIGHT + 6 * DAY)) == ["drift", "pull:main", "reconcile"]


def test_who_paused_and_resumed_stays(house: HouseUnderTest) -> None:
    pause(house, "pull:main")
    resume(house, "pull:main")
    assert pause(house, "pull:main"), "a pause that has ended does not stand in the way of the next"
    rows = house.rows("SELECT paused_by, note, resumed_by FROM schedule_pause ORDER BY id")
    assert [tuple(row) for row in rows] == [("a@b", "why", "c@d"), ("a@b", "why", None)]
    kinds = [row.kind for row in house.rows("SELECT kind FROM event ORDER BY id")]
    assert kinds == ["SchedulePaused", "ScheduleResumed", "SchedulePaused"]


def test_the_commands(house: HouseUnderTest, tmp_path: Path) -> None:
    feed_folder(house, tmp_path, schedule="0 1 * * *")

    def state() -> dict[str, str | None]:
        listed = json.loads(house.command("schedules", "--json").stdout)
        return {one["schedule"]: one["paused_since"] for one in listed}

    assert state() == {"drift": None, "pull:main": None, "reconcile": None}
    assert "Feed main is paused" in house.command("pause", "main", "--note", "server move").stdout
    assert state()["pull:main"] is not None
    assert state()["reconcile"] is None
    assert "Resumed: pull:main." in house.command("resume").stdout
    assert state()["pull:main"] is None
    unknown = house.command("pause", "no-such-feed")
    assert unknown.returncode == 1
    assert "no-such-feed" in unknown.stderr


# --- a feed's own time zone


def test_a_feed_s_own_zone_counts_before_the_hospital_s(house: HouseUnderTest, tmp_path: Path) -> None:
    feed_folder(house, tmp_path, schedule="0 1 * * *", timezone="Asia/Seoul")
    tick(house, EVENING - timedelta(hours=6))
    assert tick(house, datetime(2024, 3, 4, 15, 59, tzinfo=UTC)) == []
    assert tick(house, datetime(2024, 3, 4, 16, 0, tzinfo=UTC)) == ["pull:main"]


def test_summer_time_moves_one_feed_and_not_the_other(house: HouseUnderTest, tmp_path: Path) -> None:
    """Berlin's clocks skip from 2 to 3 on 31 March 2024; Seoul's never change."""
    house.configure(
        "\n".join(
            f'[feeds.{name}]\npath = "{tmp_path}"\nsite = "s"\nschedule = "30 2 * * *"\ntimezone = "{zone}"'
            for name, zone in (("berlin", "Europe/Berlin"), ("seoul", "Asia/Seoul"))
        )
    )
    tick(house, datetime(2024, 3, 30, 12, tzinfo=UTC))
    for quarter in range(4 * 48):
        tick(house, datetime(2024, 3, 30, 12, tzinfo=UTC) + quarter * timedelta(minutes=15))
    ticks = house.rows(
        "SELECT schedule, scheduled_at FROM schedule_tick WHERE schedule LIKE 'pull:%' "
        "AND scheduled_at > '2024-03-30 12:00Z' ORDER BY 1, 2"
    )
    assert [(row.schedule, f"{row.scheduled_at.astimezone(UTC):%d %H:%M}") for row in ticks] == [
        ("pull:berlin", "31 01:30"),  # 03:30 by the clocks that have just skipped 02:30
        ("pull:berlin", "01 00:30"),
        ("pull:seoul", "30 17:30"),
        ("pull:seoul", "31 17:30"),
    ]


# --- the row of a night


def test_a_night_that_brought_nothing_is_an_alert_until_one_brings_something(
    house: HouseUnderTest, tmp_path: Path
) -> None:
    feed_folder(house, tmp_path, schedule="0 1 * * *")
    (tmp_path / "a.ndjson").write_bytes(fhir("r1", "No nodule."))
    tick(house, EVENING)
    night(house, NIGHT)
    assert alert(house) is None
    night(house, NIGHT + DAY)
    assert alert(house) == "brought-nothing"
    night(house, NIGHT + 2 * DAY)
    assert house.value("SELECT nights_without_reports FROM feed_state") == 2
    (tmp_path / "b.ndjson").write_bytes(fhir("r2", "No nodule."))
    night(house, NIGHT + 3 * DAY)
    assert alert(house) is None
    rows = house.rows("SELECT scheduled_at, received, labelled, pending, brought_nothing FROM run_summary ORDER BY run")
    assert [tuple(row) for row in rows] == [
        (NIGHT, 1, 0, 1, False),
        (NIGHT + DAY, 0, 0, 0, True),
        (NIGHT + 2 * DAY, 0, 0, 0, True),
        (NIGHT + 3 * DAY, 1, 0, 1, False),
    ]
    with house.sessions.begin() as session:
        runs = status.read(session).runs
    assert [run.verdict for run in runs] == [
        RunVerdict.LABELLING,
        RunVerdict.NOTHING,
        RunVerdict.NOTHING,
        RunVerdict.LABELLING,
    ]


def test_a_feed_may_be_quiet_as_long_as_its_settings_allow(house: HouseUnderTest, tmp_path: Path) -> None:
    feed_folder(house, tmp_path, schedule="0 1 * * *", quiet_nights="2")
    tick(house, EVENING)
    for nights in range(3):
        night(house, NIGHT + nights * DAY)
        assert alert(house) == ("brought-nothing" if nights == 2 else None)
    pause(house, "pull:main")
    assert alert(house) is None, "nobody expects reports of a paused feed"


def test_a_pull_that_somebody_asked_for_is_no_night(house: HouseUnderTest, tmp_path: Path) -> None:
    feed_folder(house, tmp_path, schedule="0 1 * * *")
    assert house.command("pull").returncode == 0
    assert pull_reports.run_next(house.sessions, house.house.settings, worker="test")
    assert alert(house) is None
    assert house.value("SELECT scheduled_at FROM run_summary") is None


def test_a_pull_that_is_still_open_becomes_the_night_s(house: HouseUnderTest, tmp_path: Path) -> None:
    feed_folder(house, tmp_path, schedule="0 1 * * *")
    tick(house, EVENING)
    assert house.command("pull").returncode == 0
    assert tick(house, NIGHT) == ["pull:main"]
    assert [row.scheduled_at for row in house.rows("SELECT scheduled_at FROM run_summary")] == [NIGHT]
    assert "pull:main" in tick(house, NIGHT + DAY)
    assert [row.scheduled_at for row in house.rows("SELECT scheduled_at FROM run_summary")] == [NIGHT]
    assert alert(house) is None
    with house.sessions.begin() as session:
        session.execute(text("UPDATE job SET created_at = now() - interval '2 days' WHERE kind = 'pull'"))
    assert alert(house) == "stuck"


def test_a_night_that_no_clock_served_is_missed(house: HouseUnderTest, tmp_path: Path) -> None:
    feed_folder(house, tmp_path, schedule="0 1 * * *")
    tick(house, EVENING)

    def missed(now: datetime) -> list[str]:
        with house.sessions.begin() as session:
            standing = clock.standing(session, house.house.settings, now=now)
        return [one.schedule.name for one in standing if one.missed]

    assert missed(NIGHT + timedelta(minutes=5)) == [], "it may be served any moment"
    assert missed(NIGHT + timedelta(minutes=15)) == ["pull:main"]
    tick(house, NIGHT + timedelta(minutes=16))
    assert missed(NIGHT + timedelta(minutes=17)) == []
