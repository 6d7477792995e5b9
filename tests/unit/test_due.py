"""What is due: caught up once, strictly after what was served, whatever the clocks on the wall do."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from apscheduler.triggers.cron import CronTrigger
from hypothesis import given
from hypothesis import strategies as st

from scheduler import due as clock

SEOUL, NEW_YORK = "Asia/Seoul", "America/New_York"
ZONES = (SEOUL, NEW_YORK, "UTC", "Europe/Berlin", "Australia/Lord_Howe", "America/Sao_Paulo", "Africa/Cairo")


@dataclass(frozen=True)
class Schedule:
    cron: str
    zone: str


def trigger(cron: str, zone: str = "UTC") -> Schedule:
    return Schedule(cron, zone)


def due(schedule: Schedule, last_served: datetime, now: datetime) -> datetime | None:
    asked = CronTrigger.from_crontab(schedule.cron, timezone=UTC)
    return clock.due(asked, last_served, now, zone=ZoneInfo(schedule.zone))


def at(moment: str, zone: str = "UTC") -> datetime:
    return datetime.fromisoformat(moment).replace(tzinfo=ZoneInfo(zone))


def test_nothing_is_due_before_its_time() -> None:
    assert due(trigger("0 1 * * *"), at("2024-03-04 01:00"), at("2024-03-05 00:59:59")) is None


def test_it_is_due_at_its_very_second() -> None:
    assert due(trigger("0 1 * * *"), at("2024-03-04 01:00"), at("2024-03-05 01:00")) == at("2024-03-05 01:00")


def test_late_it_is_due_as_of_its_time() -> None:
    assert due(trigger("0 1 * * *"), at("2024-03-04 01:00"), at("2024-03-05 09:17")) == at("2024-03-05 01:00")


def test_what_was_served_is_not_due_again() -> None:
    assert due(trigger("0 1 * * *"), at("2024-03-05 01:00"), at("2024-03-05 01:00")) is None
    assert due(trigger("* * * * *"), at("2024-03-05 01:00"), at("2024-03-05 01:00:59")) is None


def test_a_schedule_first_seen_between_two_times_waits_for_the_next() -> None:
    first_seen = at("2024-03-04 13:37:42.5")
    assert due(trigger("0 1 * * *"), first_seen, at("2024-03-04 23:59")) is None
    assert due(trigger("0 1 * * *"), first_seen, at("2024-03-05 01:00")) == at("2024-03-05 01:00")


def test_nights_missed_are_caught_up_once() -> None:
    nightly, now = trigger("0 1 * * *"), at("2024-03-09 12:00")
    missed = due(nightly, at("2024-03-04 01:00"), now)
    assert missed == at("2024-03-09 01:00")
    assert due(nightly, missed, now) is None


def test_a_clock_set_back_serves_nothing_twice() -> None:
    assert due(trigger("0 1 * * *"), at("2024-03-05 01:00"), at("2024-03-04 23:00")) is None


def test_the_hospital_s_night_counts() -> None:
    assert due(trigger("0 1 * * *", SEOUL), at("2024-03-04 12:00"), at("2024-03-04 15:59")) is None
    assert due(trigger("0 1 * * *", SEOUL), at("2024-03-04 12:00"), at("2024-03-04 16:00")) == at("2024-03-04 16:00")


def test_weekdays_are_meant_as_named() -> None:
    friday, sunday = at("2024-03-08 01:00"), at("2024-03-10 23:00")
    assert due(trigger("0 1 * * mon-fri"), friday, sunday) is None
    assert due(trigger("0 1 * * sun"), friday, sunday) == at("2024-03-10 01:00")


def test_a_time_that_summer_time_skips_is_served_once_that_night() -> None:
    nightly = trigger("30 2 * * *", NEW_YORK)
    skipped = due(nightly, at("2024-03-09 02:30", NEW_YORK), at("2024-03-10 12:00", NEW_YORK))
    assert skipped is not None
    assert skipped.astimezone(ZoneInfo(NEW_YORK)).date().isoformat() == "2024-03-10"
    assert due(nightly, skipped, at("2024-03-11 02:29", NEW_YORK)) is None
    assert due(nightly, skipped, at("2024-03-11 02:30", NEW_YORK)) == at("2024-03-11 06:30")


def test_a_time_that_the_end_of_summer_time_repeats_is_served_once() -> None:
    nightly = trigger("30 1 * * *", NEW_YORK)
    in_summer, in_winter = at("2024-11-03 05:30"), at("2024-11-03 06:30")
    assert due(nightly, at("2024-11-02 05:30"), in_winter) == in_summer
    assert due(nightly, in_summer, at("2024-11-04 06:29")) is None
    assert due(nightly, in_summer, at("2024-11-04 06:30")) == at("2024-11-04 06:30")


def test_a_schedule_first_seen_in_the_repeated_hour_goes_on() -> None:
    nightly = trigger("30 1 * * *", NEW_YORK)
    assert due(nightly, at("2024-11-03 06:10"), at("2024-11-03 23:00")) is None
    assert due(nightly, at("2024-11-03 06:10"), at("2024-11-04 07:00")) == at("2024-11-04 06:30")


def test_an_hourly_schedule_goes_on_after_the_repeated_hour() -> None:
    hourly = trigger("0 * * * *", NEW_YORK)
    assert due(hourly, at("2024-11-03 05:00"), at("2024-11-03 07:00")) == at("2024-11-03 07:00")
    assert due(hourly, at("2024-11-03 07:00"), at("2024-11-03 08:00")) == at("2024-11-03 08:00")


def test_the_night_after_summer_time_begins_is_not_left_out() -> None:
    nightly = trigger("30 0 * * *", NEW_YORK)
    assert due(nightly, at("2024-03-10 05:30"), at("2024-03-11 04:30")) == at("2024-03-11 04:30")


def test_the_night_that_ends_summer_time_is_caught_up_too() -> None:
    assert due(trigger("0 1 * * *", NEW_YORK), at("2024-10-01 12:00"), at("2024-11-05 12:00")) == at("2024-11-05 06:00")


def test_an_impossible_date_is_never_due() -> None:
    assert due(trigger("0 1 30 2 *"), at("2024-01-01 00:00"), at("2024-12-31 00:00")) is None


@pytest.mark.parametrize("zone", [SEOUL, NEW_YORK])
def test_a_year_of_nights_has_every_night(zone: str) -> None:
    nightly, served = trigger("30 0 * * *", zone), at("2024-01-01 00:30", zone)
    nights = []
    for _ in range(365):
        tomorrow = served + timedelta(hours=30)
        served = due(nightly, served, tomorrow) or served
        nights.append(served.astimezone(ZoneInfo(zone)).date())
    assert nights == [datetime(2024, 1, 2).date() + timedelta(days=day) for day in range(365)]


@given(
    cron=st.builds(
        "{} {} * * {}".format,
        st.sampled_from(["0", "*/20", "30", "59"]),
        st.sampled_from(["*", "0", "1", "2", "3", "23"]),
        st.sampled_from(["*", "sun", "mon-fri"]),
    ),
    zone=st.sampled_from(ZONES),
    served=st.datetimes(datetime(2010, 1, 1), datetime(2030, 1, 1)),
    passed=st.integers(0, 3 * 24 * 3600),
)
def test_what_is_due_lies_between_what_was_served_and_now(cron: str, zone: str, served: datetime, passed: int) -> None:
    last = served.replace(tzinfo=UTC)
    now = last + timedelta(seconds=passed)
    found = due(trigger(cron, zone), last, now)
    if found is not None:
        assert last < found <= now
        assert due(trigger(cron, zone), found, now) is None
