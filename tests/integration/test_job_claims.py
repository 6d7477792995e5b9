"""A job is enqueued once, claimed by one, and held by a lease; against real PostgreSQL."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from claimed_jobs import LONG, OVER, claim, claimed, enqueue, ready, row
from given import stored
from sqlalchemy import text
from sqlalchemy.orm import Session
from under_test import HouseUnderTest

from pipeline import jobs
from pipeline.database import DatabaseFailed
from pipeline.jobs import Claim, LeaseLost
from pipeline.names import JobKind

# --- enqueued


def test_a_job_is_ready_with_what_it_was_given(house: HouseUnderTest) -> None:
    job_id = enqueue(house, reports=(3, 1, 2), attempts=5, priority=jobs.RELABEL)
    assert job_id is not None
    found = row(house, job_id)
    assert (found.state, found.attempts, found.max_attempts, found.epoch) == ("ready", 0, 5, 0)
    assert (found.report_ids, found.priority) == ([3, 1, 2], jobs.RELABEL)


def test_the_same_work_is_never_open_twice(house: HouseUnderTest) -> None:
    assert enqueue(house) is not None
    assert enqueue(house) is None
    held = claimed(house)
    assert enqueue(house) is None, "running is open too"
    with house.sessions.begin() as session:
        jobs.finish(session, held, {})
    assert enqueue(house) is not None, "once done it may come again"


def test_two_who_enqueue_the_same_at_once_make_one_job(house: HouseUnderTest) -> None:
    made: list[int | None] = []
    barrier = threading.Barrier(4)

    def both() -> None:
        barrier.wait(timeout=30)
        made.append(enqueue(house))

    run(*[both] * 4)
    assert sum(one is not None for one in made) == 1
    assert house.value("SELECT count(*) FROM job") == 1


def test_a_job_that_was_enqueued_in_a_failed_transaction_never_was(house: HouseUnderTest) -> None:
    with pytest.raises(KeyError), house.sessions.begin() as session:
        jobs.enqueue(session, JobKind.LABEL, key="x", max_attempts=1)
        raise KeyError
    assert claim(house) is None


def test_the_database_itself_refuses_a_running_job_without_a_lease(house: HouseUnderTest) -> None:
    enqueue(house)
    with pytest.raises(DatabaseFailed, match="ck_job_lease"), house.sessions.begin() as session:
        session.execute(text("UPDATE job SET state = 'running'"))


# --- claimed


def test_nothing_ready_is_no_claim(house: HouseUnderTest) -> None:
    assert claim(house) is None


def test_a_claim_says_what_is_to_be_done(house: HouseUnderTest) -> None:
    job_id = enqueue(house, reports=(5, 4))
    held = claimed(house)
    assert (held.id, held.kind, held.epoch, held.attempts, held.max_attempts) == (job_id, JobKind.LABEL, 1, 1, 3)
    assert held.report_ids == (5, 4)
    found = row(house, held.id)
    assert (found.state, found.worker) == ("running", "here:1")
    assert house.value("SELECT lease_until - now() BETWEEN '110 s' AND '120 s' FROM job")


def test_fresh_reports_come_before_relabelling_and_old_jobs_before_new(house: HouseUnderTest) -> None:
    relabel = enqueue(house, "a", priority=jobs.RELABEL)
    first, second = enqueue(house, "b"), enqueue(house, "c")
    assert [claimed(house).id for _ in range(3)] == [first, second, relabel]
    assert claim(house) is None


def test_each_kind_is_claimed_on_its_own(house: HouseUnderTest) -> None:
    enqueue(house, kind=JobKind.PULL)
    assert claim(house) is None
    held = claim(house, kind=JobKind.PULL)
    assert held is not None
    assert held.kind is JobKind.PULL


def test_a_waiting_job_is_left_alone_until_its_time(house: HouseUnderTest) -> None:
    enqueue(house)
    house.execute("UPDATE job SET not_before = now() + interval '1 hour'")
    assert claim(house) is None
    assert ready(house) == {}
    house.execute("UPDATE job SET not_before = now()")
    assert ready(house) == {JobKind.LABEL: 1}
    claimed(house)


def test_a_claim_never_waits_for_another_one_s_transaction(house: HouseUnderTest) -> None:
    first, second = enqueue(house, "a"), enqueue(house, "b")
    with house.sessions.begin() as slow, house.sessions.begin() as quick:
        quick.execute(text("SET LOCAL lock_timeout = '5s'"))
        one = jobs.claim(slow, JobKind.LABEL, worker="slow", terms=LONG)
        other = jobs.claim(quick, JobKind.LABEL, worker="quick", terms=LONG)
        assert one is not None
        assert other is not None
        assert (one.id, other.id) == (first, second)
        assert jobs.claim(quick, JobKind.LABEL, worker="quick", terms=LONG) is None


def test_many_claimers_never_get_the_same_job(house: HouseUnderTest) -> None:
    for number in range(40):
        enqueue(house, f"label:{number}")
    barrier, found = threading.Barrier(4), []

    def work() -> None:
        barrier.wait(timeout=30)
        while (held := claim(house)) is not None:
            found.append(held.id)

    run(*[work] * 4)
    assert sorted(found) == list(range(1, 41))


# --- held


def test_a_renewed_lease_lasts_from_now(house: HouseUnderTest) -> None:
    enqueue(house)
    held = claimed(house, terms=OVER)
    with house.sessions.begin() as session:
        jobs.renew(session, held, LONG)
    assert claim(house) is None, "nobody else may take it"
    assert house.value("SELECT lease_until > now() + interval '110 s' FROM job")


def test_a_silent_worker_loses_its_job_to_the_next(house: HouseUnderTest) -> None:
    enqueue(house)
    silent = claimed(house, terms=OVER)
    assert ready(house) == {JobKind.LABEL: 1}, "its job is offered"
    held = claimed(house)
    assert (held.id, held.epoch, held.attempts) == (silent.id, 2, 2)


def lost_lease_writes(session: Session, held: Claim) -> Iterator[Any]:
    yield lambda: jobs.renew(session, held, LONG)
    yield lambda: jobs.read_with(session, held, 1)
    yield lambda: jobs.finish(session, held, {"labelled": 64})
    yield lambda: jobs.give_back(session, held, "late", LONG)
    yield lambda: jobs.fail(session, held, "late")


@pytest.mark.parametrize("taken_over", ["running", "reaped", "done", "dead"])
def test_whoever_lost_the_lease_writes_nothing(taken_over: str, house: HouseUnderTest) -> None:
    enqueue(house, attempts=1 if taken_over == "dead" else 3)
    late = claimed(house, terms=OVER)
    with house.sessions.begin() as session:
        jobs.reap(session)
    if taken_over == "dead":  # a report alone is given up at the second silence
        claimed(house, terms=OVER)
        with house.sessions.begin() as session:
            jobs.reap(session)
        assert row(house, late.id).state == "dead"
    if taken_over in {"running", "done"}:
        new = claimed(house)
        if taken_over == "done":
            with house.sessions.begin() as session:
                jobs.finish(session, new, {"labelled": 1})
    before = row(house, late.id)
    for number in range(5):
        with pytest.raises(LeaseLost, match=f"job {late.id}"), house.sessions.begin() as session:
            list(lost_lease_writes(session, late))[number]()
    assert row(house, late.id) == before


def test_what_was_written_with_a_lost_lease_is_rolled_back(house: HouseUnderTest) -> None:
    enqueue(house)
    late = claimed(house, terms=OVER)
    claimed(house)
    with pytest.raises(LeaseLost), house.sessions.begin() as session:
        session.execute(text("INSERT INTO label_set (name) VALUES ('half a result')"))
        jobs.finish(session, late, {})
    assert house.value("SELECT count(*) FROM label_set WHERE name = 'half a result'") == 0


def test_reaping_leaves_those_alone_who_still_hold_their_lease(house: HouseUnderTest) -> None:
    enqueue(house)
    held = claimed(house)
    with house.sessions.begin() as session:
        jobs.reap(session)
    assert row(house, held.id).state == "running"


def test_the_model_that_read_is_noted(house: HouseUnderTest, serve: Any) -> None:
    stored(house, ["No nodule."])
    version = serve()
    held = claimed(house)
    with house.sessions.begin() as session:
        jobs.read_with(session, held, version)
    assert row(house, held.id).model_version_id == version


def run(*works: Any) -> None:
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert not any(thread.is_alive() for thread in threads)
