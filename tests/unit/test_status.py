"""What `nightread status` concludes: how a run went, and what wants a look."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from pipeline.status import Disk, FeedHealth, Missed, Model, Run, RunVerdict, Status, alerts, verdict

ROOMY = Disk(total=100, free=60, database=1, models=1)
FEED = FeedHealth("main", None, None, None, 0, None)
WELL = Status(
    received=3, labelled=3, pending=0, dead=0, withdrawn=0, stale=0, quarantined=0, skipped=0,
    model=Model(1, "encoder", None, 18, None), jobs_ready=0, jobs_running=0, dead_letters=0,
    waiting=[], feeds=[FEED], runs=[],
)  # fmt: skip
DONE = {"state": "done", "waits": False, "pending": 0, "failed": 0, "brought_nothing": False}


@pytest.mark.parametrize(
    ("differs", "expected"),
    [
        ({}, RunVerdict.WORKED),
        ({"brought_nothing": True}, RunVerdict.NOTHING),
        ({"pending": 1}, RunVerdict.LABELLING),
        ({"pending": 1, "failed": 1}, RunVerdict.LABELLING),
        ({"failed": 1}, RunVerdict.INCOMPLETE),
        ({"state": "dead"}, RunVerdict.FAILED),
        ({"state": "dropped"}, RunVerdict.FAILED),
        ({"state": "running", "pending": 2}, RunVerdict.RUNNING),
        ({"state": "ready"}, RunVerdict.RUNNING),
        ({"state": "ready", "waits": True}, RunVerdict.WAITING),
    ],
)
def test_how_a_run_went(differs: dict[str, object], expected: RunVerdict) -> None:
    assert verdict(**{**DONE, **differs}) is expected  # type: ignore[arg-type]


def test_nothing_wants_a_look_where_all_is_well() -> None:
    assert alerts(WELL, ROOMY, missed=(), fullest=0.9) == []


@pytest.mark.parametrize(
    ("now", "says"),
    [
        (replace(WELL, feeds=[replace(FEED, alert="brought-nothing", nights_without_reports=2)]), "for 2 nights"),
        (replace(WELL, feeds=[replace(FEED, alert="failed")]), "dead-letters list"),
        (replace(WELL, feeds=[replace(FEED, alert="waiting")]), "waits"),
        (replace(WELL, feeds=[replace(FEED, alert="stuck")]), "open for more than a day"),
        (replace(WELL, waiting=["the artifact x is gone"]), "jobs wait: the artifact x is gone"),
        (replace(WELL, dead_letters=1), "one job was given up"),
        (replace(WELL, model=None, pending=1), "no model serves"),
    ],
)
def test_what_wants_a_look(now: Status, says: str) -> None:
    (alert,) = alerts(now, ROOMY, missed=(), fullest=0.9)
    assert says in alert


def test_a_house_without_a_model_and_without_reports_is_only_new() -> None:
    assert alerts(replace(WELL, model=None), ROOMY, missed=(), fullest=0.9) == []


def test_a_full_disk_and_a_missed_night_want_a_look() -> None:
    full = Disk(total=100, free=10, database=1, models=1)
    missed = Missed("pull:main", datetime(2026, 11, 22, 1, tzinfo=UTC))
    first, last = alerts(WELL, full, missed=[missed], fullest=0.9)
    assert "pull:main was due at 2026-11-22 01:00 UTC" in first
    assert "90% full" in last
    assert alerts(WELL, full, missed=(), fullest=0.95) == []


def test_a_night_whose_records_were_all_held_back_points_to_them() -> None:
    moment = datetime(2026, 11, 22, 1, tzinfo=UTC)
    counts = {"quarantined": 500}
    run = Run("main", "done", moment, moment, moment, moment, counts, 0, 0, 0, 0, 1.0, RunVerdict.NOTHING, None)
    quiet = replace(FEED, alert="brought-nothing", nights_without_reports=1)
    (alert,) = alerts(replace(WELL, feeds=[quiet], runs=[run]), ROOMY, missed=(), fullest=0.9)
    assert "500 quarantined" in alert
    assert "feeds check main" in alert
