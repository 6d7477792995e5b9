"""Training in a process of its own: it ends with whoever started it, and its job goes on elsewhere."""

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from threading import Thread
from typing import Any

import psutil
import pytest
from celery import Celery
from stage import PATIENCE_S, ROOT
from under_test import HouseUnderTest

from nightread import crew
from nightread.crew import Crew, Member
from pipeline import refresh_runs
from pipeline.names import JobKind, Queue, Task
from worker import training_process

Serve = Callable[..., int]
MODULE = "tests.faults.staged_training"

pytestmark = pytest.mark.usefixtures("something_to_learn")


@pytest.fixture(autouse=True)
def here(house: HouseUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a process of the house finds in its environment; the staged module is found from the repository's root."""
    monkeypatch.chdir(ROOT)
    for name, value in house.house.environment().items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def does(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    return lambda what: monkeypatch.setenv("TRAINING_DOES", what)


@pytest.fixture
def asked(house: HouseUnderTest, serve: Serve) -> int:
    """A refresh waits for its worker."""
    serve()
    with house.sessions.begin() as session:
        return refresh_runs.ask(session, reason="asked", by="test@here", rules=house.house.rules).id


def until(condition: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + PATIENCE_S
    while not (found := condition()):
        assert time.monotonic() < deadline, f"waited {PATIENCE_S} s for: {what}"
        time.sleep(0.1)
    return found


def job(house: HouseUnderTest) -> tuple[str, int]:
    """State and attempts of the refresh's job."""
    (row,) = house.rows("SELECT state, attempts FROM job WHERE kind = 'refresh'")
    return row.state, row.attempts


def holder(house: HouseUnderTest) -> psutil.Process:
    """The process that holds the refresh, once one does."""
    held = "SELECT worker FROM job WHERE kind = 'refresh' AND state = 'running'"
    ((worker,),) = until(lambda: house.rows(held), "a training process that claims the refresh")
    return psutil.Process(int(worker.rpartition(":")[2]))


def run(house: HouseUnderTest) -> bool:
    return training_process.run(JobKind.REFRESH, house.sessions, module=MODULE)


@pytest.fixture
def running(house: HouseUnderTest, does: Callable[[str], None], asked: int) -> Iterator[tuple[Thread, list[bool]]]:
    """`run` in a thread, its training process holding the refresh; what it returned will be in the list."""
    does("claims")
    returned: list[bool] = []
    thread = Thread(target=lambda: returned.append(run(house)), daemon=True)
    thread.start()
    held = holder(house)
    yield thread, returned
    with suppress(psutil.NoSuchProcess):
        held.kill()
    thread.join(PATIENCE_S)


# --- how it ends


@pytest.mark.parametrize(("what", "did"), [("a job", True), ("no job", False)])
def test_it_says_whether_it_did_a_job(what: str, did: bool, house: HouseUnderTest, does: Callable[[str], None]) -> None:
    does(what)
    assert run(house) is did


def test_one_that_fails_says_where_and_quotes_nothing(
    house: HouseUnderTest, does: Callable[[str], None], capfd: pytest.CaptureFixture[str], caplog: Any
) -> None:
    does("fails")
    assert run(house) is False
    said = capfd.readouterr().err
    assert "refresh ended: ValueError at staged_training.py:" in said
    assert "the message is the report" not in said
    assert "exit status 1" in caplog.text


def test_a_kind_that_no_training_has_is_no_job(house: HouseUnderTest) -> None:
    assert training_process.run(JobKind.LABEL, house.sessions, module=MODULE) is False


def test_labelling_goes_first(house: HouseUnderTest, running: Any) -> None:
    assert holder(house).nice() == min(19, os.getpriority(os.PRIO_PROCESS, 0) + training_process.NICENESS)


def test_one_that_is_asked_to_end_gives_its_job_back_at_once(
    house: HouseUnderTest, running: tuple[Thread, list[bool]]
) -> None:
    assert job(house) == ("running", 1)
    holder(house).send_signal(signal.SIGTERM)
    thread, returned = running
    thread.join(PATIENCE_S)
    assert returned == [False]
    assert job(house) == ("ready", 0), "the attempt does not count"


def test_one_that_is_killed_keeps_its_job_until_its_lease_is_over(
    house: HouseUnderTest, running: tuple[Thread, list[bool]]
) -> None:
    """It may be what the work does to a process, such as taking all memory: that is an attempt."""
    holder(house).kill()
    thread, returned = running
    thread.join(PATIENCE_S)
    assert returned == [False]
    assert job(house) == ("running", 1)


def test_it_ends_with_its_parent(house: HouseUnderTest, does: Callable[[str], None], asked: int) -> None:
    does("claims")
    script = (
        "from pipeline.names import JobKind; from worker import runtime, training_process;"
        f"training_process.run(JobKind.REFRESH, runtime.sessions(), module={MODULE!r})"
    )
    parent = subprocess.Popen([sys.executable, "-c", script])
    training = holder(house)
    assert training.ppid() == parent.pid
    parent.kill()
    parent.wait()
    until(lambda: not psutil.pid_exists(training.pid), "the end of the training process")


# --- with Celery and a crew


@pytest.fixture
def training_crew(
    house: HouseUnderTest, does: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, addresses: Any, tmp_path: Any
) -> Iterator[Crew]:
    """The training worker of `nightread up`, with the staged process in place of the real one."""
    does("claims")
    command = crew.commands(1)[Member.TRAINING]
    staged = {Member.TRAINING: [MODULE if word == "worker.app" else word for word in command]}
    monkeypatch.setattr(crew, "commands", lambda _: staged)
    found = Crew(house.house, tmp_path, [Member.TRAINING])
    found.start()
    yield found
    found.stop()


def wake(house: HouseUnderTest) -> None:
    """A message, as the scheduler sends it."""
    producer = Celery(broker=house.addresses.broker_url, set_as_current=False)
    with producer.connection_for_write() as connection:
        producer.send_task(Task.REFRESH, queue=Queue.TRAINING, connection=connection, ignore_result=True, exchange="")


def test_a_crew_that_stops_waits_for_no_training(
    house: HouseUnderTest, asked: int, training_crew: Crew, caplog: pytest.LogCaptureFixture
) -> None:
    wake(house)
    training = holder(house)
    celery = training_crew.children[Member.TRAINING]
    family = [celery.pid, training.ppid(), training.pid]
    with caplog.at_level(logging.INFO, "nightread.crew"):
        training_crew.stop()
    assert not any(psutil.pid_exists(pid) for pid in family)
    assert job(house) == ("ready", 0), "its job is given back at once, and the attempt does not count"
    assert "goes on from its last checkpoint" in caplog.text
    assert "did not stop in time" not in caplog.text


def test_a_training_worker_that_is_killed_takes_its_training_with_it(
    house: HouseUnderTest, asked: int, training_crew: Crew
) -> None:
    wake(house)
    training = holder(house)
    psutil.Process(training.ppid()).kill()  # Celery's child
    until(lambda: not psutil.pid_exists(training.pid), "the end of the training process")
    assert job(house) == ("running", 1), "its lease lets another one take over"


def test_an_idle_training_worker_stops_without_a_word(
    house: HouseUnderTest, training_crew: Crew, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "nightread.crew"):
        training_crew.stop()
    assert "checkpoint" not in caplog.text


def test_a_celery_child_loads_no_torch(house: HouseUnderTest) -> None:
    script = "import sys, worker.tasks; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
