"""Workers killed, stopped and outlived at the worst moments."""

import os
import signal

import pytest
from stage import KILLS, Stage, fhir, stopped, texts

LEASE = {"lease_seconds": "3"}


@pytest.fixture(autouse=True)
def crew(stage: Stage, serve):
    """Two label processes under one parent, with a short lease."""
    serve()
    stage.processes.start("scheduler")
    stage.processes.start("label", label_workers=2, **LEASE)
    return stage


@pytest.mark.parametrize("whole", [False, True], ids=["the child", "the whole worker"])
def test_killed_while_it_predicts(stage: Stage, whole: bool):
    stage.hold("predicting")
    stage.receive(texts(8))
    pid = stage.held("predicting")
    if whole:
        stage.processes.end("label")
        stage.processes.start("label", label_workers=2, **LEASE)
    else:
        os.kill(pid, signal.SIGKILL)
    stage.release("predicting")
    assert stage.all_done() == {"received": 8, "labelled": 8, "dead": 0, "withdrawn": 0}
    assert stage.value("SELECT max(attempts) FROM job") == 2  # the killed attempt counted, the next one finished


@pytest.mark.parametrize("point", ["finishing", "finished", "committed"])
def test_killed_between_write_and_finish_and_after_the_commit(stage: Stage, point: str):
    stage.hold(point)
    stage.receive(texts(4))
    os.kill(stage.held(point), signal.SIGKILL)
    stage.release(point)
    assert stage.all_done()["labelled"] == 4
    [(attempts, error)] = stage.rows("SELECT attempts, error FROM job")
    # What was written without its finish was rolled back with it; what was committed is not done again.
    assert attempts == (1 if point == "committed" else 2)
    assert error is None


def test_a_worker_that_outlives_its_lease_writes_nothing(stage: Stage):
    stage.hold("predicted")
    stage.receive(texts(4))
    pid = stage.held("predicted")
    with stopped(pid):
        stage.release("predicted")
        stage.until(lambda: stage.value("SELECT state FROM job") == "done", "another worker taking over")
        written = stage.rows("SELECT id, report_id, classified_at FROM classification ORDER BY id")
    stage.until(lambda: "this one's result is dropped" in stage.processes.said("label"), "the late worker finding out")
    assert stage.all_done()["labelled"] == 4
    assert stage.rows("SELECT id, report_id, classified_at FROM classification ORDER BY id") == written
    [(worker, epoch)] = stage.rows("SELECT worker, epoch FROM job")
    assert (worker.rsplit(":")[-1], epoch) != (str(pid), 1)
    assert epoch == 2


def test_a_report_that_kills_its_worker_is_dead_lettered_alone(stage: Stage):
    stage.receive({**texts(3), "poison": f"No effusion. {KILLS}"}, attempts=1)
    assert stage.all_done() == {"received": 4, "labelled": 3, "dead": 1, "withdrawn": 0}
    [(source_id, reason)] = stage.rows(
        "SELECT r.source_id, d.reason FROM dead_letters d JOIN report r ON r.id = d.report_id"
    )
    assert source_id == "poison"
    assert "fell silent" in reason and KILLS not in reason


def test_an_intake_worker_killed_in_the_middle_of_a_pull(stage: Stage):
    stage.write_feed("DiagnosticReport.000.ndjson", [fhir(name, body) for name, body in texts(23).items()])
    stage.processes.start("intake", **LEASE)
    stage.hold("stored", arrival=3)  # chunks of five: two are committed, the third is written but not committed
    stage.ask_pull()
    os.kill(stage.held("stored"), signal.SIGKILL)
    stage.release("stored")
    assert stage.all_done() == {"received": 23, "labelled": 23, "dead": 0, "withdrawn": 0}
    # The next attempt read on behind the cursor: nothing was read again, or it would be counted as unchanged.
    assert stage.rows("SELECT state, attempts, outcome FROM job WHERE kind = 'pull'") == [("done", 2, {"new": 23})]
    received = (
        "SELECT jsonb_array_length(payload -> 'report_ids') FROM event WHERE kind = 'ReportsReceived' ORDER BY id"
    )
    assert [count for (count,) in stage.rows(received)] == [5, 5, 5, 5, 3]
