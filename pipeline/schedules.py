"""Schedules that people pause: by name, or all of them. A night that passes while paused is not made up for."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from pipeline import events
from pipeline.labelling import LabelRules
from pipeline.tables import SchedulePause

ALL = "*"
RECONCILE = "reconcile"
DRIFT = "drift"
REFRESH = "refresh"


def pull(feed: str) -> str:
    """The schedule that pulls a feed."""
    return f"pull:{feed}"


def pause(session: Session, schedule: str, *, by: str, note: str | None, rules: LabelRules) -> bool:
    """Pause a schedule (`ALL`: every one) from now on; False if it is paused already."""
    row = (
        insert(SchedulePause)
        .values(schedule=schedule, paused_by=by, note=note)
        .on_conflict_do_nothing(index_elements=["schedule"], index_where=SchedulePause.resumed_at.is_(None))
        .returning(SchedulePause.id)
    )
    if session.scalar(row) is None:
        return False
    events.publish(session, events.SchedulePaused(schedule, by, note), rules=rules)
    return True


def resume(session: Session, schedule: str, *, by: str, rules: LabelRules) -> list[str]:
    """End the pause of a schedule (`ALL`: every pause there is); the schedules that were paused."""
    open_pauses = update(SchedulePause).where(SchedulePause.resumed_at.is_(None))
    if schedule != ALL:
        open_pauses = open_pauses.where(SchedulePause.schedule == schedule)
    ended = session.scalars(
        open_pauses.values(resumed_at=func.now(), resumed_by=by).returning(SchedulePause.schedule)
    ).all()
    for one in ended:
        events.publish(session, events.ScheduleResumed(one, by), rules=rules)
    return sorted(ended)


def pauses(session: Session) -> dict[str, datetime]:
    """Since when which schedules are paused; `ALL` may be among them."""
    rows = session.execute(
        select(SchedulePause.schedule, SchedulePause.paused_at).where(SchedulePause.resumed_at.is_(None))
    )
    return {row.schedule: row.paused_at for row in rows}


def paused(schedule: str, pauses: Collection[str]) -> bool:
    """Whether a schedule lets its times pass."""
    return ALL in pauses or schedule in pauses
