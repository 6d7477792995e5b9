"""How many messages wake the workers."""

from hypothesis import given
from hypothesis import strategies as st

from pipeline import names
from pipeline.names import ROUTES
from scheduler.dispatch import MOST_WAITING, missing_messages
from worker.app import QUEUES, app

COUNTS = st.integers(0, 10_000)


def test_without_work_nobody_is_woken() -> None:
    assert missing_messages(ready_jobs=0, waiting_messages=0) == 0


def test_one_job_wants_one_message() -> None:
    assert missing_messages(ready_jobs=1, waiting_messages=0) == 1


def test_a_message_that_still_waits_is_not_doubled() -> None:
    assert missing_messages(ready_jobs=1, waiting_messages=1) == 0


def test_more_messages_than_work_are_left_alone() -> None:
    assert missing_messages(ready_jobs=1, waiting_messages=5) == 0


def test_a_mountain_of_work_does_not_flood_the_queue() -> None:
    assert missing_messages(ready_jobs=10_000, waiting_messages=0, most=8) == 8
    assert missing_messages(ready_jobs=10_000, waiting_messages=5, most=8) == 3


@given(COUNTS, COUNTS)
def test_ready_work_always_has_a_message_and_never_too_many(ready: int, waiting: int) -> None:
    sent = missing_messages(ready_jobs=ready, waiting_messages=waiting)
    assert sent >= 0
    if ready:
        assert waiting + sent >= 1
    assert sent == 0 or waiting + sent <= min(ready, MOST_WAITING)


def test_every_kind_of_job_wakes_someone() -> None:
    assert set(ROUTES) == set(names.JobKind)


def test_the_worker_sends_each_task_on_to_the_queue_that_the_scheduler_uses() -> None:
    assert {queue.name for queue in QUEUES} == {queue for _, queue in ROUTES.values()}
    routes = {task: route["queue"] for task, route in app.conf.task_routes.items()}
    assert routes == dict(ROUTES.values())


def test_queues_need_no_bindings_in_redis() -> None:
    assert all(queue.exchange.name == "" for queue in QUEUES)
