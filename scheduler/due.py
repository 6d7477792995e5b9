"""What is due: pure functions of a trigger, the last time served, and now."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from apscheduler.triggers.base import BaseTrigger


def due(trigger: BaseTrigger, last_served: datetime, now: datetime, *, zone: ZoneInfo) -> datetime | None:
    """The scheduled time, in UTC, that is to be served now, or None. `trigger` tells times on the clocks of `zone`.

    Times missed while the machine was down are caught up once: of all that lie after `last_served` and not
    after `now`, the latest counts. A time that summer time skips is due an hour later by those clocks; of the
    hour that is repeated when it ends, the first one counts. `last_served` and `now` are aware.
    """
    latest = None
    for moment in _times(trigger, last_served, zone):
        if moment > now:
            break
        if moment > last_served:
            latest = moment
    return latest


def next_time(trigger: BaseTrigger, now: datetime, *, zone: ZoneInfo) -> datetime | None:
    """The first scheduled time after `now`, in UTC; None if there is none."""
    return next((moment for moment in _times(trigger, now, zone) if moment > now), None)


def _times(trigger: BaseTrigger, after: datetime, zone: ZoneInfo) -> Iterator[datetime]:
    # APScheduler is asked in the clocks' own time, as if it were UTC. Given the zone it finds the same moment
    # again and again in the night that ends summer time, and leaves out the night after summer time begins.
    on_clocks = after.astimezone(zone).replace(tzinfo=UTC, fold=0)
    while (on_clocks := trigger.get_next_fire_time(on_clocks, on_clocks + timedelta(microseconds=1))) is not None:
        yield on_clocks.replace(tzinfo=zone, fold=0).astimezone(UTC)
