"""The clock: at each tick, what is due is claimed by a unique row and enqueued in the same transaction.

APScheduler only makes us tick and reads cron expressions. Its memory store would forget runs missed while the
machine was down, and its SQL store unpickles what it finds in the database.
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from apscheduler.triggers.cron import CronTrigger
from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from pipeline import labelling, pulls
from pipeline.database import Sessions
from pipeline.labelling import JobSizes
from pipeline.settings import Settings
from pipeline.tables import ScheduleTick
from scheduler.due import due

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Schedule:
    """Something that happens at the times of a cron expression, in a time zone."""

    name: str
    cron: str
    zone: ZoneInfo
    enqueue: Callable[[Session], object]


def schedules(settings: Settings) -> Iterator[Schedule]:
    """Everything that the settings put on the clock: a pull per feed, and the nightly reconciling query."""
    for name, feed in settings.feeds.items():
        yield Schedule(
            name=f"pull:{name}",
            cron=feed.schedule,
            zone=settings.zone,
            enqueue=lambda session, name=name, feed=feed: pulls.ask(  # type: ignore[misc]
                session, name, feed, attempts=settings.attempts
            ),
        )
    yield Schedule(
        name="reconcile",
        cron=settings.reconcile_schedule,
        zone=settings.zone,
        enqueue=lambda session: labelling.reconcile(session, sizes=JobSizes.of(settings)),
    )


def tick(sessions: Sessions, settings: Settings, *, now: datetime | None = None) -> list[str]:
    """Enqueue what is due; the names of the schedules served by this clock."""
    moment = now or datetime.now(UTC)
    served = []
    for schedule in schedules(settings):
        with sessions.begin() as session:
            if _serve(session, schedule, moment):
                served.append(schedule.name)
                log.info("schedule %s: due, enqueued", schedule.name)
    return served


def _serve(session: Session, schedule: Schedule, now: datetime) -> bool:
    last = session.scalar(select(func.max(ScheduleTick.scheduled_at)).where(ScheduleTick.schedule == schedule.name))
    if last is None:
        _claim(session, schedule.name, now)  # a schedule counts from when it was first seen
        return False
    scheduled = due(CronTrigger.from_crontab(schedule.cron, timezone=UTC), last, now, zone=schedule.zone)
    if scheduled is None or not _claim(session, schedule.name, scheduled):
        return False
    schedule.enqueue(session)
    return True


def _claim(session: Session, name: str, scheduled: datetime) -> bool:
    """Whether this clock is the one to serve that time: of two, only one gets the row in."""
    row = (
        insert(ScheduleTick)
        .values(schedule=name, scheduled_at=scheduled)
        .on_conflict_do_nothing()
        .returning(ScheduleTick.schedule)
    )
    return session.scalar(row) is not None
