"""Every failed attempt at a job is remembered, with its reason and in order."""

from typing import Any

import pytest
from claimed_jobs import LONG, OVER, claim, claimed, enqueue, row
from under_test import HouseUnderTest

from pipeline import jobs
from pipeline.names import JobKind


def history(house: HouseUnderTest) -> list[tuple[Any, ...]]:
    rows = house.rows("SELECT job_id, epoch, cause, reason, worker, model_version_id FROM job_failure ORDER BY id")
    return [tuple(one) for one in rows]


def test_every_failed_attempt_is_remembered_with_its_reason(house: HouseUnderTest, serve: Any) -> None:
    version = serve()
    job_id = enqueue(house, attempts=2)
    held = claimed(house)
    with house.sessions.begin() as session:
        jobs.read_with(session, held, version)
        jobs.fail(session, held, "boom")
    claimed(house, terms=OVER)
    with house.sessions.begin() as session:
        jobs.reap(session)
    assert history(house) == [
        (job_id, 1, "work", "boom", "here:1", version),
        (job_id, 2, "silence", "its worker here:1 fell silent", "here:1", version),
    ]
    assert row(house, held.id).state == "dead"


def test_a_job_that_goes_well_leaves_no_failure(house: HouseUnderTest) -> None:
    enqueue(house)
    with house.sessions.begin() as session:
        jobs.finish(session, jobs.claim(session, JobKind.LABEL, worker="w", terms=LONG) or pytest.fail(), {})
    assert history(house) == []


def test_of_an_environment_that_stays_away_the_first_failure_is_kept(house: HouseUnderTest) -> None:
    enqueue(house)
    for why in ("share away", "share away", "share away", "disk full", "share away"):
        house.execute("UPDATE job SET not_before = now()")
        held = claimed(house)
        with house.sessions.begin() as session:
            jobs.give_back(session, held, why, LONG)
    assert [(epoch, cause, reason) for _, epoch, cause, reason, *_ in history(house)] == [
        (1, "environment", "share away"),
        (4, "environment", "disk full"),
        (5, "environment", "share away"),
    ]
    assert row(house, 1).waits == 5, "the job itself counts them"


def test_failed_work_between_two_waits_is_told_in_order(house: HouseUnderTest) -> None:
    enqueue(house)
    for why in ("away", "boom", "away"):
        house.execute("UPDATE job SET not_before = now()")
        held = claimed(house)
        with house.sessions.begin() as session:
            if why == "boom":
                jobs.fail(session, held, why)
            else:
                jobs.give_back(session, held, why, LONG)
    assert [(cause, reason) for _, _, cause, reason, *_ in history(house)] == [
        ("environment", "away"),
        ("work", "boom"),
        ("environment", "away"),
    ]


def test_a_dead_letter_s_history_begins_with_the_job_it_was_split_from(house: HouseUnderTest) -> None:
    enqueue(house, reports=(1, 2, 3), attempts=2)
    while (held := claim(house)) is not None:
        with house.sessions.begin() as session:
            if 3 in held.report_ids:
                jobs.fail(session, held, "boom")
            else:
                jobs.finish(session, held, {})
    rows = house.rows("SELECT dead_letter, job, reports FROM dead_letter_history ORDER BY failure")
    assert [tuple(one) for one in rows] == [(3, 1, 3), (3, 1, 3), (3, 3, 1)]
    assert house.rows("SELECT job, failures FROM dead_letters") == [(3, 3)]
