"""What is due: pure functions of a trigger, the last time served, and now."""

from datetime import datetime, timedelta

from apscheduler.triggers.base import BaseTrigger


def due(trigger: BaseTrigger, last_served: datetime, now: datetime) -> datetime | None:
    """The scheduled time that is to be served now, or None.

    Times missed while the machine was down are caught up once: of all that lie after `last_served` and not
    after `now`, the latest counts. All times are aware.
    """
    latest = None
    fire_time = _next(trigger, last_served)
    while fire_time is not None and fire_time <= now:
        latest = fire_time
        fire_time = _next(trigger, fire_time)
    return latest


def _next(trigger: BaseTrigger, after: datetime) -> datetime | None:
    """The first fire time strictly after a moment."""
    moment: datetime | None = trigger.get_next_fire_time(after, after + timedelta(microseconds=1))
    return moment
