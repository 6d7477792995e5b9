"""The guarantee: whatever lacks the label it should have gets a job, and nothing else does."""

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest
from given import MONDAY, RULES, record, store, stored
from under_test import HouseUnderTest

from pipeline import findings, jobs, labelling, model_versions
from pipeline.findings import Labelled
from pipeline.labelling import LabelRules
from pipeline.names import JobKind
from pipeline.settings import Settings

Serve = Callable[..., int]
TERMS = jobs.Terms.of(Settings())
TUESDAY = MONDAY + timedelta(days=1)


def reconcile(house: HouseUnderTest, rules: LabelRules = RULES) -> int:
    with house.sessions.begin() as session:
        return labelling.reconcile(session, rules=rules)


def open_jobs(house: HouseUnderTest) -> list[tuple[list[int], int]]:
    rows = house.rows("SELECT report_ids, priority FROM job WHERE state IN ('ready', 'running') ORDER BY id")
    return [(list(row.report_ids), row.priority) for row in rows]


def lose_jobs(house: HouseUnderTest) -> None:
    """As if every job had been done without a result."""
    house.execute("UPDATE job SET state = 'done', lease_until = NULL WHERE state <> 'dead'")


def label(house: HouseUnderTest) -> None:
    """Label whatever has a job, with nothing found."""
    while True:
        with house.sessions.begin() as session:
            held = jobs.claim(session, JobKind.LABEL, worker="w", terms=TERMS)
            if held is None:
                return
            model = labelling.serving(session)
            assert model is not None
            found = [Labelled(report, (0.0,) * 18, ()) for report in held.report_ids]
            findings.save(session, found, model=model)
            jobs.finish(session, held, {})


def die(house: HouseUnderTest) -> None:
    """Dead-letter whatever has a job."""
    while True:
        with house.sessions.begin() as session:
            held = jobs.claim(session, JobKind.LABEL, worker="w", terms=TERMS)
            if held is None:
                return
            model = labelling.serving(session)
            assert model is not None
            jobs.read_with(session, held, model.id)
            jobs.fail(session, held, "boom")


@pytest.fixture
def three(house: HouseUnderTest) -> list[int]:
    return stored(house, ["One.", "Two.", "Three."])


def test_where_nothing_lacks_nothing_is_enqueued(house: HouseUnderTest, serve: Serve, three: list[int]) -> None:
    serve()
    label(house)
    assert reconcile(house) == 0
    assert open_jobs(house) == []


def test_an_empty_house_lacks_nothing(house: HouseUnderTest) -> None:
    assert reconcile(house) == 0


def test_reports_that_lost_their_job_get_one_the_newest_first(house: HouseUnderTest, three: list[int]) -> None:
    lose_jobs(house)
    assert reconcile(house) == 3
    assert open_jobs(house) == [(three[::-1], jobs.FRESH)]


def test_reports_with_an_open_job_are_left_to_it(house: HouseUnderTest, three: list[int]) -> None:
    assert reconcile(house) == 0
    with house.sessions.begin() as session:
        jobs.claim(session, JobKind.LABEL, worker="w", terms=TERMS)
    assert reconcile(house) == 0, "running is open too"
    assert len(open_jobs(house)) == 1


def test_reconciling_twice_enqueues_once(house: HouseUnderTest, three: list[int]) -> None:
    lose_jobs(house)
    assert (reconcile(house), reconcile(house)) == (3, 0)


def test_two_who_reconcile_at_once_enqueue_once(house: HouseUnderTest, three: list[int]) -> None:
    lose_jobs(house)
    barrier, counted = threading.Barrier(4), []

    def one() -> None:
        barrier.wait(timeout=30)
        counted.append(reconcile(house, LabelRules(reports=2, attempts=1)))

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert sorted(counted) == [0, 0, 0, 3]
    assert [len(report_ids) for report_ids, _ in open_jobs(house)] == [2, 1]


def test_they_are_cut_into_jobs(house: HouseUnderTest, three: list[int]) -> None:
    lose_jobs(house)
    reconcile(house, LabelRules(reports=1, attempts=7))
    assert [report_ids for report_ids, _ in open_jobs(house)] == [[report] for report in three[::-1]]
    assert house.value("SELECT DISTINCT max_attempts FROM job WHERE state = 'ready'") == 7


def test_withdrawn_and_superseded_reports_lack_nothing(house: HouseUnderTest, three: list[int]) -> None:
    store(house, record("r1", text=None, updated_at=TUESDAY), record("r2", "Amended.", updated_at=TUESDAY))
    lose_jobs(house)
    assert reconcile(house) == 2
    assert open_jobs(house) == [([4, 3], jobs.FRESH)]


def test_a_dead_letter_is_not_read_again_by_the_same_model(
    house: HouseUnderTest, serve: Serve, three: list[int]
) -> None:
    serve()
    die(house)
    assert house.value("SELECT dead FROM completeness") == 3
    assert reconcile(house) == 0


def test_the_next_model_gets_its_own_try_at_a_dead_letter(
    house: HouseUnderTest, serve: Serve, three: list[int]
) -> None:
    serve()
    die(house)
    serve(artifact="tiny2")
    assert open_jobs(house) == [(three[::-1], jobs.FRESH)]
    assert house.value("SELECT dead FROM completeness") == 0
    label(house)
    assert house.value("SELECT labelled FROM completeness") == 3


def test_stale_labels_are_made_anew_behind_fresh_reports(house: HouseUnderTest, serve: Serve, three: list[int]) -> None:
    serve()
    label(house)
    store(house, record("fresh", "Fresh."))
    serve(artifact="tiny2")
    assert open_jobs(house) == [([4], jobs.FRESH), (three[::-1], jobs.RELABEL)]
    lose_jobs(house)
    assert reconcile(house) == 4
    assert open_jobs(house) == [([4], jobs.FRESH), (three[::-1], jobs.RELABEL)]


def test_a_stale_report_that_is_poison_to_the_new_model_keeps_its_old_label(
    house: HouseUnderTest, serve: Serve, three: list[int]
) -> None:
    serve()
    label(house)
    serve(artifact="tiny2")
    die(house)
    assert reconcile(house) == 0
    (row,) = house.rows("SELECT labelled, dead, stale FROM completeness")
    assert tuple(row) == (3, 0, 3)


def test_promoting_the_model_that_serves_changes_nothing(house: HouseUnderTest, serve: Serve, three: list[int]) -> None:
    version = serve()
    label(house)
    with house.sessions.begin() as session:
        model_versions.promote(session, version, by="test@here", rules=RULES)
    assert open_jobs(house) == []
    assert house.value("SELECT count(*) FROM event WHERE kind = 'ModelPromoted'") == 1


def test_a_promotion_is_a_fact_that_names_its_predecessor(house: HouseUnderTest, serve: Serve) -> None:
    first, second = serve(), serve(artifact="tiny2")
    facts = house.rows("SELECT payload FROM event WHERE kind = 'ModelPromoted' ORDER BY id")
    assert [row.payload for row in facts] == [
        {"model_version_id": first, "former_model_version_id": None, "by": "test@here", "note": None},
        {"model_version_id": second, "former_model_version_id": first, "by": "test@here", "note": None},
    ]
