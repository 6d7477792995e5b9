"""Jobs as tests enqueue, claim and fail them, each in a transaction of its own."""

import dataclasses
from datetime import timedelta
from typing import Any

from under_test import HouseUnderTest

from pipeline import jobs
from pipeline.jobs import Claim, Terms
from pipeline.names import JobKind
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


def fail(house: HouseUnderTest, held: Claim) -> None:
    with house.sessions.begin() as session:
        jobs.fail(session, held, "boom")


def row(house: HouseUnderTest, job_id: int) -> Any:
    (found,) = house.rows("SELECT *, not_before > now() AS waiting FROM job WHERE id = :id", id=job_id)
    return found


def ready(house: HouseUnderTest) -> dict[JobKind, int]:
    with house.sessions.begin() as session:
        return jobs.ready(session)
