"""Reports withdrawn and amended, and models promoted, while a worker predicts and while it writes."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from stage import Stage, texts


@pytest.fixture(autouse=True)
def crew(stage: Stage, serve):
    serve()
    stage.processes.start("scheduler")
    stage.processes.start("label")
    return stage


@contextmanager
def while_it_is_at(stage: Stage, point: str) -> Iterator[None]:
    """Eight reports, and a worker held at `point` with the first four of them for as long as the body runs."""
    stage.hold(point)
    stage.receive(texts(8))
    stage.held(point)
    yield
    stage.release(point)


def in_background(work: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=work)
    thread.start()
    return thread


BLOCKED = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
LABELS_OF_R1 = "SELECT r.version, count(c.id) FROM report r LEFT JOIN classification c ON c.report_id = r.id \
WHERE r.source_id = 'r1' GROUP BY 1 ORDER BY 1"


def test_withdrawn_while_it_is_predicted(stage: Stage):
    with while_it_is_at(stage, "predicted"):
        stage.receive({"r1": None}, minutes=1)
    assert stage.all_done() == {"received": 8, "labelled": 7, "dead": 0, "withdrawn": 1}
    assert stage.rows(LABELS_OF_R1) == [(1, 0)]  # dropped, not written and then hidden
    outcomes = stage.value("SELECT sum((outcome ->> 'dropped')::int) FROM job")
    assert outcomes == 1


def test_withdrawn_while_it_is_written(stage: Stage):
    with while_it_is_at(stage, "finishing"):
        withdrawal = in_background(lambda: stage.receive({"r1": None}, minutes=1))
        stage.until(lambda: stage.value(BLOCKED), "the withdrawal waiting for the labels to be written")
    withdrawal.join()
    assert stage.all_done() == {"received": 8, "labelled": 7, "dead": 0, "withdrawn": 1}
    assert stage.value("SELECT count(*) FROM current_classification") == 7


def test_amended_while_it_is_predicted(stage: Stage):
    with while_it_is_at(stage, "predicted"):
        stage.receive({"r1": "Amended: both lung에 GGO 있음."}, minutes=1)
    assert stage.all_done() == {"received": 8, "labelled": 8, "dead": 0, "withdrawn": 0}
    assert stage.rows(LABELS_OF_R1)[-1] == (2, 1)
    shown = "SELECT count(*), max(version) FROM current_classification WHERE source_id = 'r1'"
    assert stage.rows(shown) == [(1, 2)]


def test_withdrawn_and_reinstated_while_it_is_predicted(stage: Stage):
    with while_it_is_at(stage, "predicted"):
        stage.receive({"r1": None}, minutes=1)
        stage.receive({"r1": texts(8)["r1"]}, minutes=2)
    assert stage.all_done() == {"received": 8, "labelled": 8, "dead": 0, "withdrawn": 0}


@pytest.mark.parametrize("point", ["predicting", "predicted", "committed"])
def test_promotion_while_a_job_is_predicted(stage: Stage, serve, point: str):
    with while_it_is_at(stage, point):
        newer = serve(threshold=0.5)
    assert stage.all_done()["labelled"] == 8
    by_model = dict(stage.rows("SELECT model_version_id, count(*) FROM classification GROUP BY 1"))
    assert by_model[newer] == 8
    assert by_model[1] == 4  # what the former said of the job in hand stays as history


def test_promotion_while_labels_are_written(stage: Stage, serve):
    with while_it_is_at(stage, "finishing"):
        promotion = in_background(lambda: serve(threshold=0.5))
        stage.until(lambda: stage.value(BLOCKED), "the promotion waiting for the labels to be written")
    promotion.join()
    assert stage.all_done()["labelled"] == 8
    assert stage.value("SELECT count(*) FROM classification WHERE model_version_id = 2") == 8
