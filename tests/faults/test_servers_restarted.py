"""Redis and PostgreSQL killed and started again under a working house.

The lease is the real one of two minutes, longer than any server stays away here: an outage that a lease outlasts must
cost nothing at all.
"""

import signal

import pytest
from stage import Stage, texts

from nightread.servers import running


@pytest.fixture(autouse=True)
def crew(stage: Stage, serve):
    serve()
    stage.processes.start("scheduler")
    stage.processes.start("label")
    yield stage
    with running(stage.house.home):
        pass  # whatever the test came to, the next one finds servers


def test_redis_killed_and_started_again(stage: Stage):
    worker, scheduler = stage.processes.start("label"), stage.processes.start("scheduler")
    stage.hold("predicting")
    stage.receive(texts(8))
    stage.held("predicting")
    # It has its next message in hand, and will acknowledge it to a Redis that is gone. Celery alone goes deaf by that.
    stage.until(lambda: stage.redis().hlen("unacked"), "the worker's next message in its hand")
    stage.kill_server("redis-server")
    stage.release("predicting")
    # The work in hand needs no Redis.
    stage.until(lambda: stage.value("SELECT count(*) FROM classification") == 4, "the job in hand being finished")
    stage.receive(texts(8, start=8))
    stage.until(
        lambda: "the message broker cannot be reached" in stage.processes.said("scheduler"),
        "the scheduler saying that Redis is away",
    )
    with running(stage.house.home):
        assert stage.all_done()["labelled"] == 16
    assert stage.value("SELECT max(attempts) FROM job") == 1
    assert worker.poll() is None and scheduler.poll() is None, "they reconnected, nobody started them again"


def test_everybody_stops_when_told_while_redis_is_away(stage: Stage):
    stage.receive(texts(4))
    stage.all_done()
    stage.kill_server("redis-server")
    stage.receive(texts(4, start=4))
    for name in ("scheduler", "label"):
        child, _ = stage.processes.running[name]
        child.terminate()
        stage.until(lambda child=child: child.poll() is not None, f"the {name} process stopping without Redis")
    with running(stage.house.home):
        stage.processes.start("scheduler")
        stage.processes.start("label")
        assert stage.all_done()["labelled"] == 8


def test_postgres_killed_while_a_worker_predicts(stage: Stage):
    worker, scheduler = stage.processes.start("label"), stage.processes.start("scheduler")
    stage.hold("predicted")
    stage.receive(texts(8))
    stage.held("predicted")
    stage.kill_server("postgres")
    stage.release("predicted")  # it comes to write, and nobody is there
    with running(stage.house.home):
        assert stage.all_done()["labelled"] == 8
    assert stage.rows("SELECT DISTINCT attempts, epoch FROM job") == [(1, 1)]  # nothing was done again
    assert worker.poll() is None and scheduler.poll() is None


def test_postgres_restarted_in_order(stage: Stage):
    """As an administrator does it: sessions are ended with an error of their own (57P01)."""
    stage.hold("predicting")
    stage.receive(texts(8))
    stage.held("predicting")
    stage.signal_server("postgres", signal.SIGINT)
    with running(stage.house.home):
        stage.release("predicting")
        assert stage.all_done()["labelled"] == 8
    assert stage.rows("SELECT DISTINCT attempts, epoch FROM job") == [(1, 1)]
