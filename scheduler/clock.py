"""The clock: at each tick, what is due is claimed by a unique row and enqueued in the same transaction.

APScheduler only makes us tick and reads cron expressions. Its memory store would forget runs missed while the
machine was down, and its SQL store unpickles what it finds in the database.
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from apscheduler.triggers.cron import CronTrigger
from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from pipeline import drift, labelling, policy, pulls, refresh_runs, schedules
from pipeline.database import Sessions
from pipeline.labelling import LabelRules
from pipeline.settings import Settings
from pipeline.tables import ScheduleTick
from scheduler.due import due, next_time

log = logging.getLogger(__name__)


# A time that no clock has served this long after it was due was missed: no clock is running.
GRACE = timedelta(minutes=10)


@dataclass(frozen=True)
class Schedule:
    """Something that happens at the times of a cron expression, in a time zone."""

    name: str
    cron: str
    zone: ZoneInfo
    enqueue: Callable[[Session, datetime], object]

    @property
    def trigger(self) -> CronTrigger:
        return CronTrigger.from_crontab(self.cron, timezone=UTC)


@dataclass(frozen=True)
class Served:
    """A schedule as it stands: the last time that was served, the next one, and one that was missed, in UTC."""

    schedule: Schedule
    last: datetime | None
    next: datetime | None
    missed: datetime | None
    paused_since: datetime | None


def schedules_of(settings: Settings) -> Iterator[Schedule]:
    """Everything that the settings put on the clock: a pull per feed, the nightly reconciling query and measurement of
    drift, and refreshes by calendar if they are asked for.
    """
    for name, feed in settings.feeds.items():
        yield Schedule(
            name=schedules.pull(name),
            cron=feed.schedule,
            zone=feed.zone(settings.zone),
            enqueue=lambda session, scheduled_at, name=name, feed=feed: pulls.ask(  # type: ignore[misc]
                session, name, feed, attempts=settings.attempts, scheduled_at=scheduled_at
            ),
        )
    yield Schedule(
        name=schedules.RECONCILE,
        cron=settings.reconcile_schedule,
        zone=settings.zone,
        enqueue=lambda session, _: labelling.reconcile(session, rules=LabelRules.of(settings)),
    )
    yield Schedule(
        name=schedules.DRIFT,
        cron=settings.drift_schedule,
        zone=settings.zone,
        enqueue=lambda session, scheduled_at: drift.ask(session, attempts=settings.attempts, scheduled_at=scheduled_at),
    )
    if settings.refresh.schedule is not None:
        yield Schedule(
            name=schedules.REFRESH,
            cron=settings.refresh.schedule,
            zone=settings.zone,
            enqueue=lambda session, _: _refresh(session, LabelRules.of(settings)),
        )


def tick(sessions: Sessions, settings: Settings, *, now: datetime | None = None) -> list[str]:
    """Enqueue what is due; the names of the schedules served by this clock."""
    moment = now or datetime.now(UTC)
    served = []
    with sessions.begin() as session:
        # A refresh whose job was given up would stay open, and no other could begin.
        refresh_runs.close_dead(session, rules=LabelRules.of(settings))
    for schedule in schedules_of(settings):
        with sessions.begin() as session:
            if _serve(session, schedule, moment):
                served.append(schedule.name)
                log.info("schedule %s: due, enqueued", schedule.name)
    return served


def standing(session: Session, settings: Settings, *, now: datetime) -> list[Served]:
    """Every schedule with its last and next time, for people to look at."""
    pauses = schedules.pauses(session)
    found = []
    for schedule in schedules_of(settings):
        last = _last_served(session, schedule.name)
        paused = schedules.paused(schedule.name, pauses)
        missed = None
        if last is not None and not paused:
            missed = due(schedule.trigger, last, now - GRACE, zone=schedule.zone)
        since = pauses.get(schedule.name) or pauses.get(schedules.ALL)
        found.append(Served(schedule, last, next_time(schedule.trigger, now, zone=schedule.zone), missed, since))
    return found


def _refresh(session: Session, rules: LabelRules) -> None:
    try:
        refresh_runs.ask(session, reason=policy.CALENDAR, by=refresh_runs.POLICY, rules=rules)
    except refresh_runs.NotRefreshed as why:
        log.info("schedule %s: let pass: %s", schedules.REFRESH, why)  # its time will come again


def _last_served(session: Session, name: str) -> datetime | None:
    return session.scalar(select(func.max(ScheduleTick.scheduled_at)).where(ScheduleTick.schedule == name))


def _serve(session: Session, schedule: Schedule, now: datetime) -> bool:
    last = _last_served(session, schedule.name)
    paused = schedules.paused(schedule.name, schedules.pauses(session))
    if last is None:
        _claim(session, schedule.name, now, paused=paused)  # a schedule counts from when it was first seen
        return False
    scheduled = due(schedule.trigger, last, now, zone=schedule.zone)
    if scheduled is None or not _claim(session, schedule.name, scheduled, paused=paused):
        return False
    if paused:
        log.info("schedule %s: due, but paused", schedule.name)
        return False
    schedule.enqueue(session, scheduled)
    return True


def _claim(session: Session, name: str, scheduled: datetime, *, paused: bool) -> bool:
    """Whether this clock is the one to serve that time: of two, only one gets the row in."""
    row = (
        insert(ScheduleTick)
        .values(schedule=name, scheduled_at=scheduled, paused=paused)
        .on_conflict_do_nothing()
        .returning(ScheduleTick.schedule)
    )
    return session.scalar(row) is not None
