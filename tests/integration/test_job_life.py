"""A job's life against real PostgreSQL: claimed once, held by a lease, finished, given back, split, dead-lettered."""

import dataclasses
import select
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import psycopg2
import pytest
from given import stored
from sqlalchemy import text
from sqlalchemy.orm import Session
from under_test import HouseUnderTest

from pipeline import jobs
from pipeline.database import DatabaseFailed
from pipeline.jobs import Claim, LeaseLost, Terms
from pipeline.names import JobKind, Role
from pipeline.settings import Settings

LONG = Terms.of(Settings())
# A lease that is over as soon as it is given: what a silent worker's looks like later.
OVER = dataclasses.replace(LONG, lease=timedelta(seconds=-1))


def enqueue(
    house: HouseUnderTest,
    key: str = "label:1",
    *,
    reports: tuple[int, ...] = (1,),
    attempts: int = 3,
    priority: int = jobs.FRESH,
    kind: JobKind = JobKind.LABEL,
) -> int | None:
    with house.sessions.begin() as session:
        return jobs.enqueue(session, kind, key=key, max_attempts=attempts, report_ids=reports, priority=priority)


def claim(house: HouseUnderTest, *, terms: Terms = LONG, kind: JobKind = JobKind.LABEL) -> Claim | None:
    with house.sessions.begin() as session:
        return jobs.claim(session, kind, worker="here:1", terms=terms)


def claimed(house: HouseUnderTest, *, terms: Terms = LONG) -> Claim:
    held = claim(house, terms=terms)
    assert held is not None
    return held


def row(house: HouseUnderTest, job_id: int) -> Any:
    (found,) = house.rows("SELECT *, not_before > now() AS waiting FROM job WHERE id = :id", id=job_id)
    return found


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
    house_execute(house, "UPDATE job SET not_before = now() + interval '1 hour'")
    assert claim(house) is None
    assert ready(house) == {}
    house_execute(house, "UPDATE job SET not_before = now()")
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
        house_execute(house, "UPDATE job SET not_before = now()")
        with house.sessions.begin() as session:
            held = jobs.claim(session, JobKind.LABEL, worker="w", terms=LONG)
            assert held is not None
            jobs.give_back(session, held, "away", LONG)
            waited.append(session.scalar(text("SELECT extract(epoch FROM not_before - now())::int FROM job")))
    assert waited == [5, 10, 20]
    house_execute(house, "UPDATE job SET not_before = now()")
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
    house_execute(house, "UPDATE job SET not_before = now() + interval '1 hour'")
    with house.sessions.begin() as session:
        jobs.wake(session, JobKind.LABEL)
    assert ready(house) == {JobKind.LABEL: 1}


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


# --- remembered


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
        house_execute(house, "UPDATE job SET not_before = now()")
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
        house_execute(house, "UPDATE job SET not_before = now()")
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


# --- given up only for the model that serves


def test_what_failed_on_a_model_that_serves_no_more_is_not_given_up(house: HouseUnderTest, serve: Any) -> None:
    (report,) = stored(house, ["No nodule."])
    old = serve()
    house_execute(house, "UPDATE job SET max_attempts = 1")
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
    house_execute(house, "UPDATE job SET max_attempts = 1")
    held = claimed(house)
    with house.sessions.begin() as session:
        jobs.read_with(session, held, version)
    fail(house, held)
    assert row(house, held.id).state == "dead"


def test_waking_waits_for_nobody_who_claims(house: HouseUnderTest) -> None:
    enqueue(house, "a")
    enqueue(house, "b")
    with house.sessions.begin() as claiming, house.sessions.begin() as waking:
        waking.execute(text("SET LOCAL lock_timeout = '5s'"))
        assert jobs.claim(claiming, JobKind.LABEL, worker="w", terms=LONG) is not None
        jobs.wake(waking, JobKind.LABEL)


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


# --- NOTIFY


@contextmanager
def listening(house: HouseUnderTest) -> Iterator[Any]:
    connection = psycopg2.connect(house.addresses.database_url(Role.APP))
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(f"LISTEN {jobs.CHANNEL}")
    try:
        yield connection
    finally:
        connection.close()


def heard(connection: Any) -> list[str]:
    """What was notified; waits for the first."""
    select.select([connection], [], [], 30)
    connection.poll()
    said = [notice.payload for notice in connection.notifies]
    connection.notifies.clear()
    return said


def test_whoever_listens_hears_of_new_work(house: HouseUnderTest) -> None:
    with listening(house) as connection:
        enqueue(house)
        assert heard(connection) == ["label"]


def test_whoever_listens_hears_of_work_that_failed_and_of_waiting_work_that_may_go(house: HouseUnderTest) -> None:
    enqueue(house)
    with listening(house) as connection:
        fail(house, claimed(house))
        assert heard(connection) == ["label"]
        with house.sessions.begin() as session:
            jobs.wake(session, JobKind.LABEL)
        assert heard(connection) == ["label"]


def test_work_is_heard_of_only_once_it_can_be_claimed(house: HouseUnderTest) -> None:
    with listening(house) as connection:
        with house.sessions.begin() as session:
            jobs.enqueue(session, JobKind.LABEL, key="x", max_attempts=1)
            connection.poll()
            assert connection.notifies == []
        assert heard(connection) == ["label"]


def house_execute(house: HouseUnderTest, statement: str) -> None:
    with house.sessions.begin() as session:
        session.execute(text(statement))


def ready(house: HouseUnderTest) -> dict[JobKind, int]:
    with house.sessions.begin() as session:
        return jobs.ready(session)


def fail(house: HouseUnderTest, held: Claim) -> None:
    with house.sessions.begin() as session:
        jobs.fail(session, held, "boom")


def run(*works: Any) -> None:
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert not any(thread.is_alive() for thread in threads)
