"""How an attempt at a job can end: finished, given back, tried again, split, given up; against real PostgreSQL."""

from typing import Any

from claimed_jobs import LONG, OVER, claim, claimed, enqueue, fail, ready, row
from given import stored
from sqlalchemy import text
from under_test import HouseUnderTest

from pipeline import jobs
from pipeline.names import JobKind

# --- finished and given back


def test_a_finished_job_keeps_its_counts_and_its_lease_ends(house: HouseUnderTest) -> None:
    enqueue(house)
    held = claimed(house)
    with house.sessions.begin() as session:
        jobs.finish(session, held, {"labelled": 64})
    found = row(house, held.id)
    assert (found.state, found.outcome, found.lease_until) == ("done", {"labelled": 64}, None)
    assert found.finished_at is not None
    assert claim(house) is None


def test_when_the_environment_failed_the_attempt_does_not_count_and_the_job_waits(house: HouseUnderTest) -> None:
    enqueue(house, attempts=1)
    held = claimed(house)
    with house.sessions.begin() as session:
        jobs.give_back(session, held, "the model file is missing", LONG)
    found = row(house, held.id)
    assert (found.state, found.attempts, found.waits, found.waiting) == ("ready", 0, 1, True)
    assert found.error == "the model file is missing"
    assert claim(house) is None


def test_it_waits_longer_each_time_and_not_after_it_went_well(house: HouseUnderTest) -> None:
    enqueue(house)
    waited = []
    for _ in range(3):
        house.execute("UPDATE job SET not_before = now()")
        with house.sessions.begin() as session:
            held = jobs.claim(session, JobKind.LABEL, worker="w", terms=LONG)
            assert held is not None
            jobs.give_back(session, held, "away", LONG)
            waited.append(session.scalar(text("SELECT extract(epoch FROM not_before - now())::int FROM job")))
    assert waited == [5, 10, 20]
    house.execute("UPDATE job SET not_before = now()")
    held = claimed(house)
    with house.sessions.begin() as session:
        jobs.finish(session, held, {})
    assert (row(house, held.id).waits, row(house, held.id).error) == (0, None)


def test_what_was_waited_for_has_come(house: HouseUnderTest) -> None:
    enqueue(house)
    held = claimed(house)
    with house.sessions.begin() as session:
        jobs.give_back(session, held, "away", LONG)
        jobs.wake(session, JobKind.LABEL)
    assert claimed(house).id == held.id


def test_waking_one_kind_leaves_the_others_waiting(house: HouseUnderTest) -> None:
    enqueue(house, "a")
    enqueue(house, "b", kind=JobKind.PULL)
    house.execute("UPDATE job SET not_before = now() + interval '1 hour'")
    with house.sessions.begin() as session:
        jobs.wake(session, JobKind.LABEL)
    assert ready(house) == {JobKind.LABEL: 1}


def test_waking_waits_for_nobody_who_claims(house: HouseUnderTest) -> None:
    enqueue(house, "a")
    enqueue(house, "b")
    with house.sessions.begin() as claiming, house.sessions.begin() as waking:
        waking.execute(text("SET LOCAL lock_timeout = '5s'"))
        assert jobs.claim(claiming, JobKind.LABEL, worker="w", terms=LONG) is not None
        jobs.wake(waking, JobKind.LABEL)


# --- failed


def test_failed_work_is_tried_again_until_its_limit(house: HouseUnderTest) -> None:
    enqueue(house, attempts=3)
    for attempt in (1, 2):
        held = claimed(house)
        fail(house, held)
        assert (row(house, held.id).state, row(house, held.id).attempts) == ("ready", attempt)
    fail(house, claimed(house))
    found = row(house, held.id)
    assert (found.state, found.attempts, found.error) == ("dead", 3, "boom")
    assert claim(house) is None


def test_a_poison_report_among_64_stands_alone_in_the_end(house: HouseUnderTest) -> None:
    poison = 23
    enqueue(house, reports=tuple(range(1, 65)), attempts=2)
    sizes, done = [], []
    while (held := claim(house)) is not None:
        sizes.append(len(held.report_ids))
        if poison in held.report_ids:
            fail(house, held)
        else:
            done += held.report_ids
            with house.sessions.begin() as session:
                jobs.finish(session, held, {"labelled": len(held.report_ids)})
    assert sorted(done) == [report for report in range(1, 65) if report != poison]
    assert sorted(sizes, reverse=True) == [64, 64, 32, 32, 16, 16, 8, 8, 4, 4, 2, 2, 1, 1]
    (dead,) = house.rows("SELECT report_id, reason, attempts FROM dead_letters")
    assert tuple(dead) == (poison, "boom", 1)
    assert house.value("SELECT count(*) FROM job WHERE state IN ('ready', 'running')") == 0


def test_halves_keep_their_priority_and_have_one_attempt(house: HouseUnderTest) -> None:
    enqueue(house, reports=(1, 2, 3), attempts=1, priority=jobs.RELABEL)
    fail(house, claimed(house))
    halves = house.rows(
        "SELECT report_ids, priority, max_attempts, attempts, parent_id FROM job WHERE state = 'ready' ORDER BY id"
    )
    assert [tuple(half) for half in halves] == [([1, 2], jobs.RELABEL, 1, 0, 1), ([3], jobs.RELABEL, 1, 0, 1)]


def test_a_job_that_kills_its_workers_is_split_too(house: HouseUnderTest) -> None:
    enqueue(house, reports=(1, 2), attempts=1)
    whole = claimed(house, terms=OVER)
    with house.sessions.begin() as session:
        jobs.reap(session)
    assert row(house, whole.id).state == "done"
    assert "fell silent" in row(house, whole.id).error
    first = claimed(house, terms=OVER)
    assert (first.report_ids, first.max_attempts) == ((1,), 1)
    again = claimed(house, terms=OVER)
    assert again.id == first.id, "something else may have killed its worker"
    second = claimed(house)
    assert second.report_ids == (2,)
    assert row(house, first.id).state == "dead"
    assert row(house, second.id).state == "running"


# --- given up only for the model that serves


def test_what_failed_on_a_model_that_serves_no_more_is_not_given_up(house: HouseUnderTest, serve: Any) -> None:
    (report,) = stored(house, ["No nodule."])
    old = serve()
    house.execute("UPDATE job SET max_attempts = 1")
    held = claimed(house)
    with house.sessions.begin() as session:
        jobs.read_with(session, held, old)
    serve(artifact="tiny2")
    fail(house, held)
    found = row(house, held.id)
    assert (found.state, found.attempts, found.error) == ("ready", 0, "boom")
    again = claimed(house)
    assert (again.id, again.report_ids) == (held.id, (report,))


def test_what_failed_on_the_model_that_serves_is_given_up(house: HouseUnderTest, serve: Any) -> None:
    stored(house, ["No nodule."])
    version = serve()
    house.execute("UPDATE job SET max_attempts = 1")
    held = claimed(house)
    with house.sessions.begin() as session:
        jobs.read_with(session, held, version)
    fail(house, held)
    assert row(house, held.id).state == "dead"
