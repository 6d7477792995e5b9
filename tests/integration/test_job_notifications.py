"""Whoever listens hears of work as soon as it can be claimed."""

import select
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg2
from claimed_jobs import claimed, enqueue, fail
from under_test import HouseUnderTest

from pipeline import jobs
from pipeline.names import JobKind, Role


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
