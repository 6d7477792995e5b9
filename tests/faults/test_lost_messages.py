"""Messages lost, doubled and sent for nothing; two schedulers. Patient leases: nothing here may cost an attempt."""

import threading
from datetime import UTC, datetime, timedelta

import pytest
from stage import FEED, Stage, fhir, texts

from pipeline.database import Sessions, engine
from pipeline.names import Queue, Role, Task
from pipeline.settings import FeedSettings
from scheduler import clock
from scheduler.dispatch import Dispatcher


@pytest.fixture(autouse=True)
def crew(stage: Stage, serve):
    serve()
    stage.processes.start("label")
    return stage


def attempts(stage: Stage) -> set[int]:
    return {count for (count,) in stage.rows("SELECT attempts FROM job WHERE outcome ->> 'split' IS NULL")}


def test_flushall_while_messages_wait(stage: Stage):
    stage.processes.start("scheduler")
    stage.hold("predicting")
    stage.receive(texts(20))
    stage.held("predicting")
    stage.until(stage.messages, "messages waiting behind the busy worker")
    stage.redis().flushall()
    stage.receive(texts(8, start=20))
    stage.release("predicting")
    assert stage.all_done()["labelled"] == 28
    assert attempts(stage) == {1}


def test_flushall_while_all_is_quiet(stage: Stage):
    worker = stage.processes.start("label")
    stage.processes.start("scheduler")
    stage.receive(texts(4))
    assert stage.all_done()["labelled"] == 4
    [before] = stage.rows("SELECT worker FROM job")
    stage.processes.end("scheduler")  # nobody repeats a message that does not arrive
    stage.redis().flushall()
    stage.receive(texts(8, start=4))
    stage.send(Task.LABEL, Queue.LABEL, 1)  # one for two jobs: the worker passes it on to itself
    assert stage.all_done()["labelled"] == 12
    stage.redis().flushall()
    stage.receive(texts(8, start=12))
    assert Dispatcher(stage.house.sessions, stage.house.addresses.broker_url).dispatch() == 2
    assert stage.all_done()["labelled"] == 20
    # It was the connected worker that heard it, not one that connected afterwards.
    assert stage.rows("SELECT DISTINCT worker FROM job") == [before]
    assert worker.poll() is None


def test_every_message_three_times_and_a_burst(stage: Stage):
    stage.processes.start("intake")
    stage.processes.start("scheduler")
    stage.hold("predicting")
    stage.write_feed("DiagnosticReport.000.ndjson", [fhir(name, body) for name, body in texts(12).items()])
    stage.ask_pull()
    for _ in range(3):
        stage.send(Task.PULL, Queue.INTAKE, 3)
    stage.held("predicting")
    stage.send(Task.LABEL, Queue.LABEL, 3 * 3)
    stage.send(Task.LABEL, Queue.LABEL, 50)
    stage.release("predicting")
    assert stage.all_done() == {"received": 12, "labelled": 12, "dead": 0, "withdrawn": 0}
    assert attempts(stage) == {1}
    assert stage.value("SELECT count(*) FROM job WHERE kind = 'pull'") == 1


def test_two_schedulers(stage: Stage):
    stage.processes.end_if_running("scheduler")
    stage.processes.start("intake")
    stage.write_feed("DiagnosticReport.000.ndjson", [fhir(name, body) for name, body in texts(8).items()])
    long_ago = datetime.now(UTC) - timedelta(days=3)  # three nights missed; they are caught up once
    for schedule in (f"pull:{FEED}", "reconcile"):
        stage.write("INSERT INTO schedule_tick (schedule, scheduled_at) VALUES (:s, :at)", s=schedule, at=long_ago)
    stage.processes.start("scheduler")
    stage.processes.start("scheduler", called="scheduler-2")
    listening = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'LISTEN %'"
    stage.until(lambda: stage.value(listening) == 2, "both schedulers listening")
    stage.receive(texts(8, start=8))
    assert stage.all_done() == {"received": 16, "labelled": 16, "dead": 0, "withdrawn": 0}
    assert attempts(stage) == {1}
    ticks = dict(stage.rows("SELECT schedule, count(*) FROM schedule_tick GROUP BY 1"))
    assert set(ticks) == {f"pull:{FEED}", "reconcile", "drift"}
    assert ticks[f"pull:{FEED}"] == 1 + stage.value("SELECT count(*) FROM job WHERE kind = 'pull'")
    stage.processes.end("scheduler-2")


def test_many_clocks_at_the_same_instant(stage: Stage):
    """What two processes meet by luck, eight threads meet for sure."""
    settings = stage.house.house.settings.model_copy(
        update={"feeds": {FEED: FeedSettings(path=stage.feed, site="site", schedule="0 * * * *")}}
    )
    start = datetime(2025, 1, 1, 0, 30, tzinfo=UTC)
    clock.tick(stage.house.sessions, settings, now=start)
    for hours in range(1, 4):
        served: list[str] = []
        together = threading.Barrier(4)

        def tick(moment: datetime, served: list[str] = served, together: threading.Barrier = together) -> None:
            own = Sessions(engine(stage.house.addresses.database_url(Role.APP), Role.APP))
            together.wait()
            served.extend(clock.tick(own, settings, now=moment))
            own.engine.dispose()

        threads = [threading.Thread(target=tick, args=(start + timedelta(hours=hours),)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert served == [f"pull:{FEED}"]
    stage.processes.start("scheduler")
    stage.processes.start("intake")
    stage.all_done()
